"""Files of TensorFlow's own converter, with the outputs of its interpreter."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="tflite is not installed")

import quadgate
from quadgate.errors import FileFormatError

GOLDEN = Path(__file__).parents[1] / "golden" / "tflite"
FILES = ["one", "classifier", "stacked", "bidirectional", "half", "unrolled", "keras3_unrolled"]


@pytest.mark.parametrize("name", FILES)
def test_outputs_are_those_of_the_interpreter(name):
    model = quadgate.load(GOLDEN / f"{name}.tflite")
    with np.load(GOLDEN / f"{name}.npz") as told:
        ours, _ = model.run(told["x"])
        np.testing.assert_allclose(ours, told["y"], rtol=1e-5, atol=2e-6)


def test_nothing_is_assumed_or_left_out():
    for name in FILES:
        model = quadgate.load(GOLDEN / f"{name}.tflite")
        assert not model.assumptions, name
        assert not model.left_out, name


@pytest.mark.parametrize(
    ("file", "name"),
    [("unrolled", "model_6/lstm_7/lstm_cell"), ("keras3_unrolled", "functional_6_1/lstm_7_1/lstm_cell_1")],
)
def test_a_layer_that_is_written_out_is_called_what_it_was(file, name):
    ((cell,),) = quadgate.load(GOLDEN / f"{file}.tflite").cells
    assert (cell.layout, cell.name) == ("tflite.LSTM.written_out", name)


def test_what_is_found():
    model = quadgate.load(GOLDEN / "bidirectional.tflite")
    assert [[cell.reverse for cell in layer] for layer in model.cells] == [[False, True]]
    model = quadgate.load(GOLDEN / "classifier.tflite")
    assert model.head is not None
    assert model.head.pool == "last"
    assert quadgate.load(GOLDEN / "stacked.tflite").chains == (2,)


@pytest.mark.parametrize("name", ["peepholes", "projection", "unrolled"])
def test_the_operator_of_both_directions(name):
    """The converter of TensorFlow 1.15 wrote it; a dense layer and a softmax of every step follow."""
    model = quadgate.load(GOLDEN / f"operator_{name}.tflite")
    assert [[cell.name for cell in layer] for layer in model.cells] == [
        ["bidirectional_rnn/fw/fw", "bidirectional_rnn/bw/bw"]
    ]
    assert [[cell.reverse for cell in layer] for layer in model.cells] == [[False, True]]
    assert not model.assumptions
    (weights,) = (model.variables[one] for one in model.variables if one.endswith("/transpose"))
    biases = model.variables["MatMul_bias"]
    with np.load(GOLDEN / f"operator_{name}.npz") as told:
        outputs, _ = model.run(told["x"], output="outputs")
        raised = np.exp(outputs[0] @ weights.T + biases)
        np.testing.assert_allclose(raised / raised.sum(axis=1, keepdims=True), told["y"], rtol=1e-5, atol=2e-6)


def test_weights_in_variables_are_not_in_the_file():
    with pytest.raises(FileFormatError, match="its gates are no sum of products with constant"):
        quadgate.load(GOLDEN / "keras3_loop_over_variables.tflite")


def test_weights_of_eight_bits():
    """The interpreter computes in whole numbers too, so it is off by its own steps; the exact outputs are nearby."""
    model = quadgate.load(GOLDEN / "int8.tflite")
    assert any("dequantized when it is read" in line for line in model.left_out)
    with np.load(GOLDEN / "int8.npz") as told:
        ours, _ = model.run(told["x"])
        np.testing.assert_allclose(ours, told["y"], atol=0.02)
        np.testing.assert_allclose(ours, told["exact"], atol=0.01)
