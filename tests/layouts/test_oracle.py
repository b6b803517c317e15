"""TensorFlow 1.15.5's own variables, decoded and run by the reference, give TensorFlow's own outputs."""

import numpy as np
import pytest

from quadgate.cell import Activations, lstm
from quadgate.layouts import decode, encode


def assert_float64_equal(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def run(case, variables, layout, prefix="", x=None, state=None, **settings):
    tensors = {name.removeprefix(prefix): array for name, array in variables.items() if name.startswith(prefix)}
    lengths = case.get("sequence_length")
    return lstm(case["x"] if x is None else x, decode(tensors, layout, **settings), state, lengths)


@pytest.mark.parametrize(("name", "forget_bias"), [("basic_small", 1.0), ("basic_forget0", 0.0)])
def test_basic_lstm_cell(oracle, name, forget_bias):
    case = oracle(name)
    state = (case["initial/c"], case["initial/h"]) if "initial/c" in case.arrays else None
    prefix = "rnn/basic_lstm_cell/"
    outputs, (c, h) = run(case, case.under("var"), "tf1.BasicLSTMCell", prefix, state=state, forget_bias=forget_bias)
    assert_float64_equal(outputs, case["f64/outputs"])
    assert_float64_equal(c, case["f64/final/c"])
    assert_float64_equal(h, case["f64/final/h"])


def test_two_layers(oracle):
    case = oracle("multi")
    x = case["x"]
    for layer in range(2):
        prefix = f"rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell/"
        x, (c, _) = run(case, case.under("var"), "tf1.BasicLSTMCell", prefix, x=x)
        assert_float64_equal(c, case[f"f64/final/{layer}/c"])
    assert_float64_equal(x, case["f64/outputs"])


@pytest.mark.parametrize("direction", ["fw", "bw"])
def test_both_directions(oracle, direction):
    case = oracle("bidirectional")
    prefix = f"bidirectional_rnn/{direction}/basic_lstm_cell/"
    outputs, _ = run(case, case.under("var"), "tf1.BasicLSTMCell", prefix, reverse=direction == "bw")
    assert_float64_equal(outputs, case[f"f64/outputs/{direction}"])


def test_peepholes_projection_and_clips(oracle):
    case = oracle("lstm_peephole_proj")
    state = (case["initial/c"], case["initial/h"])
    clips = {"cell_clip": 3.0, "projection_clip": 1.0}
    outputs, (c, h) = run(case, case.under("var"), "tf1.LSTMCell", "rnn/lstm_cell/", state=state, **clips)
    assert_float64_equal(outputs, case["f64/outputs"])
    assert_float64_equal(c, case["f64/final/c"])
    assert_float64_equal(h, case["f64/final/h"])


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_keras(oracle, gate):
    case = oracle(f"keras_lstm/{gate}")
    outputs, _ = run(case, case.under("var"), "keras2.LSTM", "lstm/", activations=Activations(gate=gate))
    assert_float64_equal(outputs, case["f64/outputs"])


def test_cudnn_memory_and_keras_own_conversion_of_it(oracle):
    case = oracle("keras_lstm/cudnn")
    theirs = {name.split("/")[-1]: array for name, array in case.under("cudnn_var").items() if "lstm" in name}
    parameters = decode(theirs, "keras.CuDNNLSTM")
    converted = encode(parameters, "keras2.LSTM")
    for name, array in case.under("var").items():
        if name.startswith("lstm/"):
            np.testing.assert_array_equal(converted.tensors[name.split("/")[-1]], array)
    assert converted.folded == ("b_h added to b_x in bias",)
    outputs, _ = lstm(case["x"], decode(converted.tensors, "keras2.LSTM"))
    assert_float64_equal(outputs, case["f64/outputs"])


def test_through_any_other_class_and_back(oracle):
    """What leaves TensorFlow for another framework's arrangement still gives TensorFlow's outputs."""
    case = oracle("basic_small")
    state = (case["initial/c"], case["initial/h"])
    kernel, bias = (case[f"var/rnn/basic_lstm_cell/{name}"] for name in ("kernel", "bias"))
    parameters = decode({"kernel": kernel, "bias": bias}, "tf1.BasicLSTMCell")
    for layout in ("torch.nn.LSTM", "keras.LSTM", "onnx.LSTM", "flax.linen.LSTMCell", "chainer.LSTM", "dl4j.LSTM"):
        encoded = encode(parameters, layout)
        again = decode(encoded.tensors, layout, **encoded.settings)
        outputs, _ = lstm(case["x"], again, state, case.get("sequence_length"))
        np.testing.assert_allclose(outputs, case["f64/outputs"], rtol=0, atol=1e-6)  # the bias plus 1 is rounded
