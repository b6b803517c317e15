"""Files that other people trained: what is known to be equal is proved, a near miss is called what it is."""

from pathlib import Path

import pytest

import quadgate
from quadgate.proof import convert, verify

MODELS = Path(__file__).parents[3] / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the folder of real models is not beside this clone")

SILERO = MODELS / "32_silero_vad"
DTLN = MODELS / "20_dtln_h5_onnx_tflite"


def test_another_training_of_the_same_network_is_called_that():
    a = quadgate.load(SILERO / "silero_vad.jit").chain(0)
    proof = verify(a, SILERO / "silero_vad_16k.safetensors")
    assert (proof.verdict, proof.exit_code) == ("not proved", 1)
    assert proof.layers[0].why.startswith("another training of the same network: the weights correlate by 0.97")


@pytest.mark.parametrize("name", ["silero_vad_16k_op15.onnx", "silero_vad_op18_ifless.onnx", "silero_vad.onnx"])
def test_a_voice_detector_is_the_same_in_torchscript_and_in_onnx(name):
    pytest.importorskip("onnx", reason="onnx is not installed")
    proof = verify(SILERO / "silero_vad.jit", SILERO / name)
    assert proof.layers[0].difference.largest == 0
    # Of the others, the first has no layer for 8 kHz, the second another training of it.
    assert proof.holds == (name == "silero_vad.onnx")


def test_a_training_from_elsewhere_has_no_relation():
    pytest.importorskip("onnx", reason="onnx is not installed")
    proof = verify(quadgate.load(SILERO / "silero_vad_16k_op15.onnx"), SILERO / "silero_vad_half.onnx")
    assert proof.layers[0].why.startswith("no relation was found: the weights correlate by 0.01")


def test_a_denoiser_is_the_same_in_keras_and_in_onnx():
    pytest.importorskip("onnx", reason="onnx is not installed")
    a, b = quadgate.load(DTLN / "model.h5"), quadgate.load(DTLN / "model_1.onnx")
    proof = verify(a.chain(0), b)
    assert proof.holds, str(proof)


@pytest.mark.parametrize(
    ("file", "exit_code"),
    [
        ("03_charrnn_poem_tf1_v1/model.ckpt-360000", 3),
        ("04_charrnn_artclasses_tf1/model.ckpt-46499", 0),
        ("20_dtln_h5_onnx_tflite/model.h5", 3),
        ("21_textgenrnn_cudnnlstm_h5/textgenrnn_weights.hdf5", 0),
        ("23_student_keras3/lstm.keras", 0),
        ("30_noaa_hydrology_torch/sugar_creek_trained.pt", 0),
        ("30_noaa_hydrology_torch/aorc_seq999_model_epoch009.pt", 0),
        ("31_noaa_hydrology_torch_old/all_attributes_model_epoch020.pt", 0),
        ("32_silero_vad/silero_vad.jit", 0),
        ("35_g2pm_bilstm_npy/np_ckpt.pkl", 0),
        ("38_sleep_bilstm_torch_module/lstm_model.pt", 0),
    ],
)
@pytest.mark.parametrize("target", ["m.pt", "m.ckpt"])
def test_they_are_converted_and_proved(file, exit_code, target, tmp_path):
    proof = convert(MODELS / file, tmp_path / target)
    assert proof.exit_code == exit_code, str(proof)
    assert verify(MODELS / file, tmp_path / target, forget_bias=told(MODELS / file)).holds


def told(file):
    """What the source adds to the forget gate: a checkpoint does not say it, and PyTorch's has it in the bias."""
    return quadgate.load(file).cells[0][0].forget_bias
