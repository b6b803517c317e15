"""Layers found by PyTorch's names, in every kind of file, against PyTorch itself."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import quadgate
from quadgate.errors import FileFormatError, InputError

LAYERS = {
    "LSTM": torch.nn.LSTM(3, 5),
    "LSTM of three layers in two directions": torch.nn.LSTM(3, 5, 3, bidirectional=True),
    "LSTM with a projection": torch.nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2),
    "LSTM projected to its own width": torch.nn.LSTM(3, 5, proj_size=4),
    "LSTM without biases": torch.nn.LSTM(3, 5, bias=False),
    "LSTM of one unit": torch.nn.LSTM(1, 1),
    "GRU": torch.nn.GRU(3, 5, 2),
    "GRU in two directions, no biases": torch.nn.GRU(3, 7, bidirectional=True, bias=False),
}


class Nested(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.embedding = torch.nn.Embedding(9, layer.input_size)
        self.encoder = torch.nn.ModuleDict({"rnn": layer})


def write(kind, state, path):
    if kind == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    elif kind == "pickle of arrays":
        path.write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in state.items()}))
    elif kind == "checkpoint":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": t for name, t in state.items()}}, path)
    else:
        torch.save(state, path)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", ["state dict", "checkpoint", "safetensors", "pickle of arrays"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_what_torch_computes(tmp_path, kind, name):
    layer = LAYERS[name]
    path = tmp_path / {"safetensors": "a.safetensors", "pickle of arrays": "a.pkl"}.get(kind, "a.pt")
    write(kind, Nested(layer).state_dict(), path)
    model = quadgate.load(path)
    assert model.assumptions == ()
    assert len(model.cells) == layer.num_layers
    assert {cell.holds("projection") for cells in model.cells for cell in cells} == {layer.proj_size > 0}
    x = np.random.default_rng(0).normal(size=(4, 7, layer.input_size)).astype(np.float32)
    with torch.no_grad():
        expected, end = layer(torch.from_numpy(x).transpose(0, 1))
    outputs, state = model.run(x)
    np.testing.assert_allclose(outputs, expected.transpose(0, 1).numpy(), rtol=1e-5, atol=2e-6)
    h = end[0] if isinstance(end, tuple) else end
    np.testing.assert_allclose(
        np.stack([arrays[-1] for cells in state for arrays in cells]), h.numpy(), rtol=1e-5, atol=2e-6
    )
    (left,) = model.left_out
    assert left.partition(": ")[0].endswith("embedding.weight")


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_cells_alone(tmp_path, kind):
    cell = getattr(torch.nn, f"{kind}Cell")(3, 5)
    torch.save(cell.state_dict(), tmp_path / "a.pt")
    model = quadgate.load(tmp_path / "a.pt")
    x = torch.randn(4, 3)
    with torch.no_grad():
        h = cell(x)[0] if kind == "LSTM" else cell(x)
    np.testing.assert_allclose(model.run(x[:, None].numpy())[0][:, 0], h.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("container", ["state dict", "safetensors"])
def test_numbers_of_another_width(tmp_path, kind, container):
    layer = torch.nn.LSTM(3, 5).to(kind)
    path = tmp_path / ("a.safetensors" if container == "safetensors" else "a.pt")
    write(container, layer.state_dict(), path)
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    with torch.no_grad():
        expected, _ = layer.double()(torch.from_numpy(x).double().transpose(0, 1))
    np.testing.assert_allclose(quadgate.load(path).run(x)[0], expected.transpose(0, 1).numpy(), rtol=1e-5, atol=2e-6)


def test_an_encoder_and_a_decoder_are_chains_of_their_own(tmp_path):
    state = {f"encoder.rnn.{n}": a for n, a in torch.nn.LSTM(3, 5, 2).state_dict().items()}
    state |= {f"decoder.rnn.{n}": a for n, a in torch.nn.LSTM(5, 5).state_dict().items()}
    torch.save(state, tmp_path / "a.pt")
    model = quadgate.load(tmp_path / "a.pt")
    assert model.chains == (2, 1)
    with pytest.raises(InputError, match=r"2 separate chains \(0: encoder.rnn.l0, 1: decoder.rnn.l0\)"):
        model.run(np.zeros((1, 2, 3)))
    assert model.chain(1).run(np.zeros((1, 2, 5)))[0].shape == (1, 2, 5)
    assert list(model.chain(1).variables) == [name for name in state if name.startswith("decoder")]


def test_modules_side_by_side_may_follow_each_other(tmp_path):
    state = {f"one.{n}": a for n, a in torch.nn.LSTM(3, 5).state_dict().items()}
    state |= {f"two.{n}": a for n, a in torch.nn.GRU(5, 2).state_dict().items()}
    torch.save(state, tmp_path / "a.pt")
    model = quadgate.load(tmp_path / "a.pt")
    (order,) = model.assumptions
    assert (model.chains, order.setting, order.cells) == ((2,), "order", ("two.l0",))
    assert model.run(np.zeros((1, 2, 3)))[0].shape == (1, 2, 2)


def test_the_head_is_the_one_linear_layer_that_reads_the_top(tmp_path):
    module = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 5), "out": torch.nn.Linear(5, 5)})
    torch.save(
        {"net": module.state_dict(), "optimizer": torch.optim.Adam(module.parameters()).state_dict()}, tmp_path / "a"
    )
    model = quadgate.load(tmp_path / "a")
    assert (model.head.weights, model.head.biases, model.head.transposed) == ("net.out.weight", "net.out.bias", True)
    x = torch.randn(2, 4, 3)
    with torch.no_grad():
        expected = module["out"](module["rnn"](x.transpose(0, 1))[1][0][0])
    np.testing.assert_allclose(model.run(x.numpy())[0], expected.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"forget_bias": 1.0}, r"found forget_bias=1.0, but l0 \(torch.nn.LSTM\) has 0.0"),
        ({"cell_clip": 3.0}, "has None"),
        ({"input_clip": 3.0}, "has None"),
    ],
)
def test_settings_that_the_class_does_not_have(tmp_path, asked, message):
    torch.save(torch.nn.LSTM(3, 5).state_dict(), tmp_path / "a.pt")
    with pytest.raises(InputError, match=message):
        quadgate.load(tmp_path / "a.pt", **asked)


def test_a_plain_rnn_is_none(tmp_path):
    torch.save(torch.nn.RNN(3, 5).state_dict(), tmp_path / "a.pt")
    with pytest.raises(FileFormatError, match="found no LSTM or GRU among its 4 arrays"):
        quadgate.load(tmp_path / "a.pt")


def test_matrices_that_do_not_fit_each_other(tmp_path):
    state = torch.nn.LSTM(3, 5).state_dict() | {"weight_ih_l0": torch.zeros(24, 3)}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(FileFormatError, match=r"found weight_hh_l0 of shape \(20, 5\), expected \(24, 6\)"):
        quadgate.load(tmp_path / "a.pt")


class Normalised(torch.nn.Module):
    """An LSTM cell that normalises its gates, with the names of PyTorch's own example."""

    def __init__(self, inputs, units):
        super().__init__()
        self.weight_ih = torch.nn.Parameter(torch.randn(4 * units, inputs))
        self.weight_hh = torch.nn.Parameter(torch.randn(4 * units, units))
        self.layernorm_i = torch.nn.LayerNorm(4 * units)
        self.layernorm_h = torch.nn.LayerNorm(4 * units)
        self.layernorm_c = torch.nn.LayerNorm(units)


def test_a_cell_that_normalises_its_gates_is_named_and_none(tmp_path):
    net = torch.nn.ModuleDict({"encoder": Normalised(3, 5), "rnn": torch.nn.LSTM(3, 5), "ln": torch.nn.LayerNorm(20)})
    torch.save(net.state_dict(), tmp_path / "a.pt")
    model = quadgate.load(tmp_path / "a.pt")
    assert [cell.name for (cell,) in model.cells] == ["rnn.l0"]
    assert any(
        line.startswith("encoder.weight_ih: encoder normalises its gates (encoder.layernorm_")
        for line in model.left_out
    )
    torch.save(net["encoder"].state_dict(), tmp_path / "b.pt")
    with pytest.raises(FileFormatError, match=r"its cell normalises its gates \(layernorm_i.weight\)"):
        quadgate.load(tmp_path / "b.pt")
