import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quadgate
from browser import WIDTHS, looks_as, opened
from networks import ensemble, model_of, network
from quadgate.cell import GRUParameters, LSTMParameters, lstm
from quadgate.explain import KernelShape, measure_products
from quadgate.explain.kernel_page import kernel_page
from quadgate.explain.kernel_picture import kernel_picture, new_model
from quadgate.explain.texts.pages import words

SEEN = Path(__file__).parent / "stage_390.png"


def layer(C=12, H=64):
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, shape).astype("f4") for shape in ((4, C, H), (4, H, H), (4, H), (4, H))]
    return LSTMParameters(*weights)


MODELS = {
    "torch.nn.LSTM": lambda: model_of((layer(),), layout="torch.nn.LSTM"),
    "keras.LSTM": lambda: model_of((LSTMParameters(layer().w_x, layer().w_h, layer().b_x),), layout="keras.LSTM"),
    "onnx.LSTM": lambda: model_of((layer(),), layout="onnx.LSTM"),
}


def written(tmp_path, model, language="en", **options):
    page = tmp_path / "page.html"
    text = kernel_page(model, language, **options)
    assert len(text) < 5_000_000
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    page.write_text(text, encoding="utf-8")
    return page


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", MODELS)
def test_the_five_questions_are_answered_and_every_cell_is_named(tmp_path, layout, width):
    model = MODELS[layout]()
    page = written(tmp_path, model, products=measure_products(KernelShape(12, 64)))
    with opened(page, width, "light" if width == 1280 else "dark") as tab:
        cards = tab.locator("#questions button")
        text = cards.all_inner_texts()
        assert [card.split("\n")[0] for card in text] == [
            "Why 76?",
            "Why 256?",
            "Which block is the forget gate's?",
            "What is the bias for?",
            "How do I read this in PyTorch?",
        ]
        assert "12 inputs + 64 hidden = 76" in text[0]
        assert "4 gates x 64 units = 256" in text[1]
        assert "64 to 127" in text[2] or layout == "onnx.LSTM"
        assert "128 to 191" in text[2] or layout != "onnx.LSTM"
        assert "weight_ih_l0 (256, 12)" in text[4]
        assert cards.last.bounding_box()["y"] + 40 < WIDTHS[width]  # seen without scrolling
        # from hidden unit 17 to the forget gate of unit 3, found by its name, with its value
        found = tab.evaluate(
            """() => { for (const box of geometry) { const [rows, columns] = shapeOf(box.tensor);
            for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) { const at = identify(box.tensor, i, j);
            if (at.array === "w_h" && at.gate === "f" && at.row === 17 && at.unit === 3)
            return { x: box.left + (j + 0.5) * box.x, y: box.top + (i + 0.5) * box.y }; } } }"""
        )
        tab.locator("#stage").hover(position=found)
        told = tab.locator("#readout").inner_text()
        assert told.endswith("from hidden unit 17 to the forget gate of unit 3")
        value = float(told.split(" = ")[1].split(":")[0])
        assert value == pytest.approx(model.layers[0][0].w_h[2, 17, 3], rel=5e-3)


@pytest.mark.slow
def test_switching_the_layout_moves_the_blocks_and_keys_reach_all(tmp_path):
    with opened(written(tmp_path, network(inputs=12, units=64)), 1280) as tab:
        block = tab.locator('[data-block="w_hf"]')
        before = block.bounding_box()
        tab.get_by_text("torch.nn.LSTM", exact=True).click()
        assert block.bounding_box() != before
        assert "forget bias of 1" in tab.locator("#folded").inner_text()
        assert "rows 64 to 127 of weight_ih_l0" in tab.locator('[data-key="forget"]').inner_text()
        tab.locator('[data-key="forget"]').click()
        lit = tab.locator(".piece:not(.faint)").evaluate_all("all => all.map((one) => one.dataset.block)")
        assert sorted(lit) == ["b_hf", "b_xf", "w_hf", "w_xf"]
        tab.get_by_text("chainer.LSTM", exact=True).click()
        assert "every row number 2 of 4" in tab.locator('[data-key="forget"]').inner_text()
        tab.locator("#stage").focus()
        tab.keyboard.press("ArrowDown")
        assert "from input" in tab.locator("#readout").inner_text()
        tab.keyboard.press("Shift+Tab")  # back to the chosen layout, whose neighbours the arrows reach
        tab.keyboard.press("ArrowLeft")
        assert tab.evaluate("layout.name") == "flax.linen.OptimizedLSTMCell"


@pytest.mark.slow
def test_the_map_looks_as_it_did(tmp_path):
    with opened(written(tmp_path, network(inputs=12, units=64), "zh"), 390) as tab:
        looks_as(tab.locator("#stage"), SEEN)


def test_every_layer_has_its_place_in_the_data():
    model = network(layers=2, bidirectional=True)
    page = kernel_page(model)
    for cell in (cell for each in model.cells for cell in each):
        assert cell.name in page
    gru = GRUParameters(*(np.ones(shape, "f4") for shape in ((3, 2, 4), (3, 4, 4), (3, 4), (3, 4))))
    told = kernel_page(model_of((gru,), layout="torch.nn.GRU"))
    assert "Why 12?" in told
    assert "update gate" in told


def test_a_name_cannot_break_out_of_the_page():
    page = kernel_page(network(), title="</script><script>alert(1)</script>")
    assert "<script>alert" not in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_has_every_glyph(tmp_path, language):
    kernel_picture(new_model(KernelShape(3, 4)), tmp_path / "kernel.png", language)  # a missing glyph is a warning
    with Image.open(tmp_path / "kernel.png") as picture:
        assert picture.size == (1500, 920)


def test_the_pages_say_the_same_in_every_language():
    def shape(value):
        if isinstance(value, dict):
            return {key: shape(one) for key, one in value.items()}
        if isinstance(value, tuple):
            return len(value)
        return sorted(re.findall(r"\{[^}]*\}", value))

    assert shape(words("zh")) == shape(words("en"))


def code_of(page):
    return [unescape(code) for code in re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)]


FILES = {
    "model": lambda: network(inputs=5, units=3),
    "lstm.pt": lambda: network(inputs=5, units=3, layers=2, bidirectional=True, classes=None),
    "lstm.keras": MODELS["keras.LSTM"],
    "lstm.onnx": lambda: model_of((layer(5, 3),), layout="onnx.LSTM"),
    "ensemble": lambda: ensemble(2, inputs=2),
}


@pytest.mark.parametrize("file", FILES)
def test_the_lines_of_pytorch_run_and_are_the_layer(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    quadgate.save(FILES[file](), file)
    found = quadgate.load(file)
    model = found if file != "ensemble" else found.recurrent
    loaded = f"quadgate.load({file!r})" + (".recurrent" if file == "ensemble" else "")
    codes = code_of(kernel_page(model, loaded=loaded))
    parameters = [one for each in model.layers for one in each]
    assert len(codes) == len(parameters)
    for code, p in zip(codes, parameters, strict=True):
        names = {}
        exec(code, names)
        np.testing.assert_array_equal(names["forget"].detach()[: p.inputs], p.w_x[2])
        np.testing.assert_array_equal(names["forget"].detach()[p.inputs :], p.w_h[2])
        x = torch.randn(2, 7, p.inputs)
        outputs = names["lstm"](x.flip(1) if p.reverse else x)[0].detach().numpy()
        expected = lstm(x.numpy(), p)[0]
        np.testing.assert_allclose(outputs[:, ::-1] if p.reverse else outputs, expected, rtol=1e-5, atol=1e-6)


def test_the_lines_of_pytorch_without_a_file_and_where_it_cannot_hold_the_layer():
    names = {}
    exec(code_of(kernel_page(new_model(KernelShape(3, 4))))[0], names)
    assert names["kernel"].shape == (7, 16)
    gru = GRUParameters(*(np.ones(shape, "f4") for shape in ((3, 2, 4), (3, 4, 4), (3, 4), (3, 4))))
    exec(code_of(kernel_page(model_of((gru,), layout="torch.nn.GRU")))[0], names)
    assert names["update"].shape == (6, 4)
    assert code_of(kernel_page(network(activation="relu"))) == []
