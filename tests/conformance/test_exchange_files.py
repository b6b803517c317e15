"""Real ONNX and TensorFlow Lite files that other people exported, against other exports of the same networks."""

from pathlib import Path

import numpy as np
import pytest

import quadgate
from quadgate.formats import torch_file
from quadgate.layouts import decode

MODELS = Path(__file__).parents[3] / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="../shared/models is not beside the project")

DTLN = MODELS / "20_dtln_h5_onnx_tflite"
SILERO = MODELS / "32_silero_vad"
KERNELS = {"w_x", "w_h"}


def cells_of(path):
    """The normal form of each cell of a file, in order."""
    pytest.importorskip(
        "tflite" if path.suffix == ".tflite" else "onnx", reason="the reader's package is not installed"
    )
    return [cell for layer in quadgate.load(path).layers for cell in layer]


def assert_same(found, expected):
    for name in KERNELS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    np.testing.assert_array_equal(found.bias, expected.bias)


@pytest.fixture(scope="module")
def dtln():
    """The four LSTMs of `model.h5`, those of the first network before those of the second."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    return [cell for layer in quadgate.load(DTLN / "model.h5").layers for cell in layer]


@pytest.mark.parametrize("ending", ["onnx", "tflite"])
@pytest.mark.parametrize("network", [1, 2])
def test_dtln_is_its_keras_model_exactly(dtln, network, ending):
    """One of four files has LSTM nodes; the others were written out as products, splits and activations."""
    found = cells_of(DTLN / f"model_{network}.{ending}")
    assert len(found) == 2
    for one, expected in zip(found, dtln[2 * network - 2 : 2 * network], strict=True):
        assert_same(one, expected)
    assert quadgate.load(DTLN / f"model_{network}.{ending}").chains == (2,)


@pytest.fixture(scope="module")
def silero():
    """The cell for 16 kHz of the TorchScript archive."""
    tensors = torch_file.read(SILERO / "silero_vad.jit").tensors
    names = [name for name in tensors if name.endswith("decoder.rnn.weight_ih") and "8k" not in name]
    prefix = names[0].removesuffix("weight_ih")
    parts = {name: tensors[prefix + name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    return decode(parts, "torch.nn.LSTMCell")


@pytest.mark.parametrize("file", ["silero_vad.onnx", "silero_vad_16k_op15.onnx", "silero_vad_op18_ifless.onnx"])
def test_silero_is_its_torchscript_exactly(silero, file):
    """Weights sliced again by nodes, in branches of branches; one file writes the cell out."""
    found = cells_of(SILERO / file)
    assert len(found) == (1 if "16k" in file else 2)  # the other is for 8 kHz
    same = [one for one in found if np.array_equal(one.w_x, silero.w_x)]
    assert len(same) == 1
    assert_same(same[0], silero)
    np.testing.assert_array_equal(same[0].b_h, silero.b_h)


def test_silero_half_is_another_training(silero):
    """Its numbers are float32 all the same, and those of no other file: a near miss that may not pass for the same."""
    (found,) = cells_of(SILERO / "silero_vad_half.onnx")
    assert found.w_x.shape == silero.w_x.shape
    assert np.abs(found.w_x - silero.w_x).max() > 1
