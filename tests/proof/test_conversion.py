import json
import os
from dataclasses import replace
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import torch

import quadgate
from networks import model_of, network
from proof_layers import lstm_layer
from quadgate.errors import InputError
from quadgate.formats.registry import FORMATS, written
from quadgate.model import Assumption
from quadgate.proof import convert, ledger, verify

NAMES = {
    "tf1": "m.ckpt",
    "keras": "m.keras",
    "torch": "m.pt",
    "safetensors": "m.safetensors",
    "quadgate": "run",
    "onnx": "m.onnx",
    "flax": "m.msgpack",
}
NEEDS = {"onnx": "onnx", "flax": "msgpack", "keras": "h5py"}
TARGETS = [name for name in written() if find_spec(NEEDS.get(name, "numpy"))]
NETWORKS = {"one": {}, "stacked": {"layers": 3}, "both ways": {"layers": 2, "bidirectional": True}}


@pytest.fixture(autouse=True)
def _keras_on_torch():
    os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.mark.parametrize("shape", NETWORKS)
@pytest.mark.parametrize(("first", "second"), list(product(TARGETS, TARGETS)))
def test_every_pair_of_formats_is_converted_and_proved(first, second, shape, tmp_path, monkeypatch):
    monkeypatch.setattr("quadgate.proof.conversion.run_framework", lambda *_: None)  # as test_frameworks.py does, once
    model = network(len(shape), **NETWORKS[shape])
    one, other = tmp_path / NAMES[first], tmp_path / "there" / NAMES[second]
    quadgate.save(model, one, to=first)
    told = {"activations": model.cells[0][0].activations}
    settings = {"tf1": {"forget_bias": 1.0, **told}, "flax": told}.get(first, {})
    proof = convert(one, other, second, **settings)
    assert proof.verdict == "proved", str(proof)
    assert proof.exit_code == 0
    assert len(proof.layers) == sum(map(len, model.cells))
    assert max(layer.difference.largest for layer in proof.layers) < 1e-6
    again = verify(
        model, quadgate.load(other, **({} if second != "tf1" else {"forget_bias": model_bias(first), **told}))
    )
    assert again.holds, str(again)


def model_bias(first):
    """What is added while running: a format without such a setting has it in the stored bias."""
    return 1.0 if first in ("tf1", "quadgate") else 0.0


@pytest.mark.parametrize("name", TARGETS)
def test_a_format_s_own_file_comes_back_bit_for_bit(name, tmp_path):
    for number, folder in enumerate(("a", "b")):
        source = network(3) if not number else quadgate.load(tmp_path / "a" / NAMES[name])
        quadgate.save(source, tmp_path / folder / NAMES[name], to=name)
    first, second = (quadgate.load(tmp_path / folder / NAMES[name]) for folder in ("a", "b"))
    assert first.shapes.keys() == second.shapes.keys()
    assert all(first.variables[key].tobytes() == second.variables[key].tobytes() for key in first.shapes)


def test_an_assumption_is_named_and_settled_by_an_option(tmp_path):
    quadgate.save(network(), tmp_path / "m.ckpt", to="tf1")
    proof = convert(tmp_path / "m.ckpt", tmp_path / "m.pt")
    assert (proof.verdict, proof.exit_code) == ("proved given forget_bias=1.0, activations=sigmoid tanh", 3)
    told = network().cells[0][0].activations
    proof = convert(tmp_path / "m.ckpt", tmp_path / "m.pt", activations=told)
    assert proof.verdict == "proved given forget_bias=1.0"
    assert convert(tmp_path / "m.ckpt", tmp_path / "m.pt", activations=told, forget_bias=1.0).verdict == "proved"


def test_the_ledger_names_every_tensor(tmp_path):
    state = {"lstm.weight_ih_l0": (16, 3), "lstm.weight_hh_l0": (16, 4), "embedding.weight": (9, 3), "steps": ()}
    torch.save({name: torch.ones(shape) for name, shape in state.items()}, tmp_path / "m.pt")
    told = {use.tensor: use.use for use in convert(tmp_path / "m.pt", tmp_path / "m.keras").ledger}
    assert told.keys() == state.keys()
    assert told["lstm.weight_ih_l0"] == "weight_ih_l0 of lstm.l0 (torch.nn.LSTM)"
    assert told["embedding.weight"].startswith("left out: of another layer")


def test_nothing_is_written_where_the_proof_fails(tmp_path, monkeypatch):
    from quadgate.formats import torch_writer

    quadgate.save(network(), tmp_path / "run")
    honest = torch_writer.arranged

    def spoiled(model):
        tensors, folded = honest(model)
        order = np.r_[0:4, 8:12, 4:8, 12:16]
        return {name: a[order] if len(a) == 16 else a for name, a in tensors.items()}, folded

    monkeypatch.setattr(torch_writer, "arranged", spoiled)
    proof = convert(tmp_path / "run", tmp_path / "out" / "m.pt")
    assert (proof.verdict, proof.exit_code) == ("not proved", 1)
    assert proof.layers[0].why == "B equals A if gates j and f are exchanged"
    assert list((tmp_path / "out").iterdir()) == []


def test_what_the_target_cannot_hold_is_refused_and_an_old_file_stays(tmp_path):
    layer = replace(lstm_layer(0, 3, 4, peepholes=True), b_h=None, forget_bias=1.0)
    quadgate.save(model_of((layer,), layout="tf1.LSTMCell"), tmp_path / "run")
    (tmp_path / "m.pt").write_bytes(b"old")
    with pytest.raises(InputError, match="cannot hold peepholes"):
        convert(tmp_path / "run", tmp_path / "m.pt")
    assert (tmp_path / "m.pt").read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.pt", "run"]


def test_an_ending_that_two_formats_share_asks_which(tmp_path):
    quadgate.save(network(), tmp_path / "run")
    with pytest.raises(InputError, match="give --to safetensors or quadgate"):
        convert(tmp_path / "run", tmp_path / "m.safetensors")


def test_like_writes_into_the_names_of_a_state_dict(tmp_path):
    model = network(7)
    quadgate.save(model, tmp_path / "run")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Linear(5, 3)
            self.encoder = torch.nn.LSTM(3, 4, batch_first=True)
            self.classify = torch.nn.Linear(4, 2)

    net = Net()
    torch.save(net.state_dict(), tmp_path / "like.pt")
    proof = convert(tmp_path / "run", tmp_path / "m.pt", like=tmp_path / "like.pt")
    assert proof.verdict == "proved"
    net.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("f4")
    outputs, _ = net.encoder(torch.from_numpy(x))
    np.testing.assert_allclose(net.classify(outputs[:, -1]).detach().numpy(), model.run(x)[0], atol=1e-5)
    kept = torch.load(tmp_path / "like.pt", weights_only=True)["embed.weight"]
    assert torch.equal(net.embed.weight, kept)


def test_like_of_other_sizes_is_refused(tmp_path):
    quadgate.save(network(), tmp_path / "run")
    torch.save(torch.nn.LSTM(3, 5).state_dict(), tmp_path / "like.pt")
    with pytest.raises(InputError, match="found no free layer with C=3, H=4"):
        convert(tmp_path / "run", tmp_path / "m.pt", like=tmp_path / "like.pt")
    torch.save(torch.nn.LSTM(3, 4, bias=False).state_dict(), tmp_path / "like.pt")
    with pytest.raises(InputError, match=r"has no tensor for bias_ih_l0|cannot hold"):
        convert(tmp_path / "run", tmp_path / "m.pt", like=tmp_path / "like.pt")


def test_verify_finds_layers_whatever_their_names(tmp_path):
    layers = [lstm_layer(k, 4, 4) for k in range(3)]
    a = model_of(*[(layer,) for layer in layers], layout="torch.nn.LSTM")
    order = (2, 0, 1)
    quadgate.save(model_of(*[(layers[k],) for k in order], layout="torch.nn.LSTM"), tmp_path / "m.keras")
    proof = verify(a, tmp_path / "m.keras")
    assert proof.verdict == "proved"
    assert [layer.b for layer in proof.layers] == [f"lstm_{order.index(k)}" for k in range(3)]
    assert json.loads(json.dumps(proof.as_json()))["verdict"] == "proved"


def test_a_layer_without_a_partner_is_no_proof():
    a, b = network(0, layers=2, classes=None), network(0, classes=None)
    proof = verify(a, b)
    assert (proof.verdict, proof.exit_code) == ("not proved", 1)
    assert any("A alone has" in fault for fault in proof.faults)


def test_heads_are_compared():
    a = network(0)
    other = dict(a.variables) | {"out/biases": a.variables["out/biases"] + 1}
    assert verify(a, replace(a, variables=other)).verdict == "not proved"


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_heads_are_run_with_their_pooling(pool):
    a, b = network(0, pool=pool), network(0)
    assert verify(a, a).verdict == "proved"
    proof = verify(a, b)
    assert proof.verdict == "not proved"
    assert proof.head.largest > 0.01
    silent = replace(b, assumptions=(Assumption("pool", "last", "the file does not hold it"),))
    assert verify(a, silent).verdict == "proved"


def test_heads_of_other_sizes_differ():
    assert verify(network(0), network(0, classes=3)).head.largest == np.inf


@pytest.mark.parametrize("to", ["tf1", "torch", "keras", "onnx"])
def test_a_forget_bias_of_its_own_in_each_layer(to, tmp_path):
    layers = [replace(lstm_layer(k, 4, 4), b_h=None, forget_bias=float(k)) for k in range(3)]
    model = model_of(*[(layer,) for layer in layers], layout="tf1.BasicLSTMCell")
    cells = tuple((replace(cell, forget_bias=float(k)),) for k, (cell,) in enumerate(model.cells))
    model = replace(model, network=None, cells=cells)
    quadgate.save(model, tmp_path / "run")
    proof = convert(tmp_path / "run", tmp_path / NAMES[to], to)
    assert proof.verdict == "proved", str(proof)
    if to == "tf1":
        assert "forget_bias=0.0" in proof.code
        assert "forget_bias=2.0" in proof.code


def test_nan_proves_nothing():
    a = network(0)
    broken = dict(a.variables) | {"rnn/basic_lstm_cell/bias": a.variables["rnn/basic_lstm_cell/bias"] * np.nan}
    proof = verify(replace(a, variables=broken), a)
    assert proof.layers[0].why == "A has numbers that are not finite"
    assert json.loads(json.dumps(proof.as_json()))["layers"][0]["outputs"] is None


def test_the_ledger_of_a_model_without_a_head():
    assert {use.tensor for use in ledger(network(classes=None))} == set(network(classes=None).shapes)
    assert {one.name for one in FORMATS if one.name} >= {"tf1", "keras", "torch", "safetensors", "quadgate"}
