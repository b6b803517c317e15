"""The frameworks run what was written for them, and the lines that `convert` prints run in each of them."""

import os
from dataclasses import replace
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest

import quadgate
from networks import model_of, network
from proof_layers import gru_layer, lstm_layer
from quadgate.proof import convert

TARGETS = {
    "torch": ("m.pt", "torch"),
    "safetensors": ("m.safetensors", "torch"),
    "keras": ("m.keras", "keras"),
    "keras weights": ("m.weights.h5", "keras"),
    "onnx": ("m.onnx", "onnxruntime"),
    "flax": ("m.msgpack", "flax"),
    "flax arrays": ("m.npz", "flax"),
    "tf1": ("m.ckpt", "tensorflow"),
}
NETWORKS = {
    "one layer": lambda: network(1),
    "stacked": lambda: network(2, layers=2),
    "both ways": lambda: network(3, layers=2, bidirectional=True),
    "without a head": lambda: network(4, classes=None),
    "relu": lambda: network(5, activation="relu"),
    "gru": lambda: model_of((gru_layer(6, 3, 4, reset_after=True),), layout="torch.nn.GRU", head=(4, 2)),
}
CANNOT = {
    ("tf1", "gru"),  # its reset acts before the recurrent product
    ("torch", "relu"),
    ("safetensors", "relu"),
}
PAIRS = [pair for pair in product(TARGETS, NETWORKS) if pair not in CANNOT]


@pytest.fixture(autouse=True)
def keras_on_torch():
    if find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")


def written(target, name, tmp_path):
    """Convert a network into a format; skip where its framework is not installed."""
    file, package = TARGETS[target]
    pytest.importorskip(package, reason=f"{package} is not installed")
    model = NETWORKS[name]()
    quadgate.save(model, tmp_path / "run")
    return model, convert(tmp_path / "run", tmp_path / file, target.partition(" ")[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a framework's words to its own users
@pytest.mark.parametrize(("target", "name"), PAIRS)
def test_the_printed_lines_load_the_result_and_run_it(target, name, tmp_path):
    model, proof = written(target, name, tmp_path)
    assert proof.verdict == "proved"
    assert len(proof.frameworks) == 1
    assert "only read" not in proof.frameworks[0].framework or (target, name) == ("tf1", "relu")
    x = np.random.default_rng(0).normal(size=(1, 10, model.inputs)).astype(np.float32)
    result = "outputs" if model.head is None or target == "tf1" else "logits"
    if target == "tf1":
        told = in_a_graph(proof.code, result, x)
    else:
        names = {"x": _tensor(target, x)}
        exec("\n".join(line for line in proof.code.splitlines() if not line.startswith("x = ")), names)
        told = _array(names[result])
    wanted, _ = model.run(x, output=result)
    np.testing.assert_allclose(told, wanted, rtol=1e-4, atol=5e-6)


SPECIAL = {
    "peepholes and a clip": (lstm_layer(0, 3, 4, forget_bias=0.5, peepholes=True, cell_clip=0.3), "tf1.LSTMCell", True),
    "gru": (gru_layer(0, 3, 4, reset_after=False), "tf1.GRUCell", True),
    "projection": (lstm_layer(0, 3, 4, P=2), "tf1.LSTMCell", False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SPECIAL)
def test_tensorflow_computes_what_it_has_a_kernel_for_and_reads_the_rest(name, tmp_path):
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    layer, layout, computed = SPECIAL[name]
    model = model_of((replace(layer, b_h=None),), layout=layout, head=(layer.w_h.shape[1], 2))
    quadgate.save(model, tmp_path / "run")
    proof = convert(tmp_path / "run", tmp_path / "m.ckpt", "tf1")
    assert proof.verdict == "proved", str(proof)
    assert ("only read" in proof.frameworks[0].framework) != computed


def in_a_graph(code, result, x):
    """Run the lines of TensorFlow 1, whose x is a place for numbers, beside whatever ran before."""
    import tensorflow as tf

    names = {}
    with tf.Graph().as_default():
        exec(code, names)
        return names["session"].run(names[result], {names["x"]: x})


def _tensor(target, x):
    if target in ("torch", "safetensors"):
        import torch

        return torch.from_numpy(x)
    return x


def _array(value):
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)
