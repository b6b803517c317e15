"""Each reason that `verify` gives in words, on files of two frameworks: one is right, the other has the mistake."""

import re
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import quadgate
from networks import model_of
from proof_layers import lstm_layer, with_gates
from quadgate.cell import Activations
from quadgate.proof import verify

H = 5
FILES = {"m.pt": "torch", "m.ckpt": "numpy", "m.keras": "h5py", "m.onnx": "onnx", "m.msgpack": "msgpack"}
READ = [name for name, package in FILES.items() if find_spec(package)]
TWO_BIASES = {"m.pt", "m.onnx"}  # the others keep the sum
OPEN = {"m.ckpt": {"forget_bias": 0.0, "activations": Activations()}, "m.msgpack": {"activations": Activations()}}


def turned(blocks):
    return np.ascontiguousarray(np.swapaxes(blocks, 1, 2))


def trained_again(layer):
    rng = np.random.default_rng(3)
    arrays = {name: getattr(layer, name) for name in ("w_x", "w_h", "b_x", "b_h")}
    return replace(layer, **{name: array + rng.normal(0, 0.2, array.shape) for name, array in arrays.items()})


MISTAKES = {
    "exchanged": (lambda p: with_gates(p, (0, 1, 3, 2)), "B equals A if gates f and o are exchanged"),
    "order": (lambda p: with_gates(p, (0, 2, 1, 3)), "B equals A if gates j and f are exchanged"),
    "forget bias": (
        lambda p: replace(p, b_x=p.b_x + np.eye(4, dtype="f4")[2][:, None]),
        "B equals A if a forget bias of 1.0 is added",
    ),
    "recurrent bias": (lambda p: replace(p, b_h=0 * p.b_h), "B equals A if its recurrent bias is dropped"),
    "kernel": (lambda p: replace(p, w_x=turned(p.w_x)), "B equals A if its kernel is transposed"),
    "recurrent kernel": (lambda p: replace(p, w_h=turned(p.w_h)), "B equals A if its recurrent kernel is transposed"),
    "rows": (
        lambda p: replace(p, w_x=p.w_h, w_h=p.w_x),
        r"B equals A if the rows of x and h in its kernel \(5 and 5\) are exchanged",
    ),
    "another training": (trained_again, "another training of the same network: the weights correlate by 0.9"),
    "another network": (lambda p: lstm_layer(8, H, H), "no relation was found"),
}


# Each mistake beside every format, and over all mistakes every pair of formats.
PAIRS = [
    (right, READ[(at + 1 + k % max(1, len(READ) - 1)) % len(READ)], mistake)
    for k, mistake in enumerate(MISTAKES)
    for at, right in enumerate(READ)
    if mistake != "recurrent bias" or right in TWO_BIASES
]


def loaded(layer, path, layout="torch.nn.LSTM"):
    path.parent.mkdir(exist_ok=True)
    quadgate.save(model_of((layer,), layout=layout), path)
    return quadgate.load(path, **OPEN.get(path.name, {}))


@pytest.mark.parametrize(("right", "wrong", "mistake"), PAIRS)
def test_a_mistake_between_two_frameworks_is_named(right, wrong, mistake, tmp_path):
    mutate, words = MISTAKES[mistake]
    layer = lstm_layer(0, H, H)
    proof = verify(loaded(layer, tmp_path / "a" / right), loaded(mutate(layer), tmp_path / "b" / wrong))
    assert (proof.verdict, proof.exit_code) == ("not proved", 1)
    assert re.match(words, proof.layers[0].why), proof.layers[0].why


@pytest.mark.parametrize(
    ("name", "layout", "gate"),
    [("m.onnx", "onnx.LSTM", "hard_sigmoid"), ("m.keras", "keras.LSTM", "hard_sigmoid_v3")],
)
@pytest.mark.parametrize("right", ["m.pt", "m.ckpt"])
def test_hard_sigmoid_on_one_side(right, name, layout, gate, tmp_path):
    if not {name, right} <= set(READ):
        pytest.skip(f"needs {FILES[name]} or {FILES[right]}")
    layer = lstm_layer(0, 3, H)
    hard = replace(layer, b_x=layer.b_x + layer.b_h, b_h=None, activations=Activations(gate=gate))
    proof = verify(loaded(layer, tmp_path / "a" / right), loaded(hard, tmp_path / "b" / name, layout))
    assert proof.layers[0].why == f"B equals A if {gate} is its gate activation in place of sigmoid"


def test_a_forget_bias_that_nobody_added(oracle, tmp_path):
    """The weights of a checkpoint of TensorFlow's moved by hand into PyTorch's order, without what the graph adds."""
    case = oracle("basic_small")
    a = quadgate.load(case.folder / "model.ckpt")
    ((layer,),) = a.layers
    b = loaded(replace(layer, forget_bias=0.0), tmp_path / "m.pt")
    assert verify(a, b).layers[0].why == "B equals A if a forget bias of 1.0 is taken away"
    assert verify(b, a).layers[0].why == "B equals A if a forget bias of 1.0 is added"
