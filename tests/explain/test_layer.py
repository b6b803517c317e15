from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from quadgate.explain import LANGUAGES, KernelShape, Statistics, explain_cell, explain_products, measure_products
from quadgate.layouts import LAYOUTS
from quadgate.model import Cell


def found(units, gates="ijfo"):
    return Statistics("rnn", gates, np.linspace(0, 1, units), np.linspace(1.4, 1500, units), {}, np.ones(12))


def cell_of(layout, **options):
    names = [(name, f"rnn/{name}") for name in LAYOUTS[layout].names()]
    tensors = [
        pair for pair in names if "peephole" not in pair[0] and "w_" not in pair[0] and "projection" not in pair[0]
    ]
    return Cell("rnn/lstm_cell", layout, tuple(tensors), 12, 64, 64, **options)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_cell_of_a_file_is_told_with_all_it_has(language):
    names = [(name, f"rnn/lstm_cell/{name}") for name in LAYOUTS["tf1.LSTMCell"].names()]
    plain = Cell("rnn/lstm_cell", "tf1.LSTMCell", tuple(names[:2]), 12, 64, 64, forget_bias=1.0)
    full = replace(plain, tensors=tuple(names), width=16, forget_bias=0.5)
    for cell, pieces in (
        (plain, ["76 x 256", "[76, 256]", "1,500", "W_xf", "128..191", "tf1.LSTMCell"]),
        (full, ["28 x 256", "0.5", "(64, 16)", "(64,)", "12..27"]),
    ):
        text = explain_cell(cell, found(64), language)
        assert text.startswith(cell.name)
        for piece in pieces:
            assert piece in text
        assert max(map(cell_len, text.splitlines())) <= 80
        assert ("projection" in text) is (cell is full)


@pytest.mark.parametrize(
    ("layout", "order", "pieces"),
    [
        ("torch.nn.LSTM", "i, f, j, o", ["rnn/weight_ih_l0  [4H, C] = [256, 12]", "f  64..127", "j  128..191", "b_hf"]),
        ("keras.LSTM", "i, f, j, o", ["rnn/recurrent_kernel  [H, 4H] = [64, 256]", "64..127"]),
        ("onnx.LSTM", "i, o, f, j", ["rnn/W  [1, 4H, C] = [1, 256, 12]", "f  128..191"]),
        ("chainer.LSTM", "j, i, f, o", ["unit 0: j"]),
    ],
)
def test_a_layer_is_drawn_as_its_own_framework_keeps_it(layout, order, pieces):
    cell = cell_of(layout)
    text = explain_cell(cell, found(64))
    assert f"the layout of {layout}, gates {order}" in text
    for piece in pieces:
        assert piece in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_a_gru_has_three_gates_and_no_forget_bias():
    text = explain_cell(cell_of("torch.nn.GRU", reset_after=True), found(64, "zrn"))
    assert "(3 gates x 64 units)" in text
    assert "bias of the update gate z: 0.00 to 1.00" in text
    assert "forget" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_measured_products_are_a_table(language):
    text = explain_products("rnn", measure_products(KernelShape(3, 5)), language)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= 80
    rows = [line.split() for line in lines if line.lstrip()[:1].isdigit() and "µs" in line]
    assert [row[0] for row in rows] == ["8", "4", "2", "1"]
    assert rows[-1][-3:] == ["1.00", "/", "1.00"]
