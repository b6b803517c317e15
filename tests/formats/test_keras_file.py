"""Keras files that TensorFlow 1.15.5 wrote, and real ones of other people."""

from pathlib import Path

import numpy as np
import pytest

from quadgate.errors import FileFormatError
from quadgate.formats.keras_file import read

pytest.importorskip("h5py", reason="needs quadgate[hdf5]")

GOLDEN = Path(__file__).parents[1] / "golden" / "oracle" / "keras_lstm"
REAL_FILES = Path(__file__).parents[3] / "shared" / "models"
needs_real_files = pytest.mark.skipif(not REAL_FILES.exists(), reason="the real models lie beside the project")


@pytest.mark.parametrize("file", ["hard_sigmoid/model.h5", "sigmoid/model.h5", "cudnn/cudnn_model.h5"])
def test_a_model_tells_classes_settings_and_arrays(file):
    lstm, dense = read(GOLDEN / file)
    assert lstm.kind == ("CuDNNLSTM" if "cudnn" in file else "LSTM")
    assert lstm.config.get("recurrent_activation") == {"h": "hard_sigmoid", "s": "sigmoid"}.get(file[0])
    assert dense.kind == "Dense"
    expected = np.load((GOLDEN / file).parent / "data.npz")
    prefix = "cudnn_var/" if "cudnn" in file else "var/"
    for layer in (lstm, dense):
        for role, array in layer.arrays.items():
            np.testing.assert_array_equal(array, expected[f"{prefix}{layer.name}/{role}"])


@pytest.mark.parametrize("file", ["hard_sigmoid/weights.h5", "cudnn/weights.h5", "hard_sigmoid/trained_weights.h5"])
def test_weights_alone_tell_no_class(file):
    lstm, dense = read(GOLDEN / file)
    assert (lstm.name, lstm.kind, lstm.config) == ("lstm", "", {})
    assert list(lstm.arrays) == ["kernel", "recurrent_kernel", "bias"]
    assert lstm.sources["kernel"] == "lstm/lstm/kernel:0"
    assert list(dense.arrays) == ["kernel", "bias"]


def test_a_file_that_is_no_keras_file(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as target:
        target["x"] = [1.0]
    with pytest.raises(FileFormatError, match="layer_names"):
        read(tmp_path / "a.h5")


def test_a_listed_weight_that_is_missing(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as target:
        target.attrs["layer_names"] = [b"lstm"]
        target.create_group("lstm").attrs["weight_names"] = [b"lstm/kernel:0"]
    with pytest.raises(FileFormatError, match="lstm/lstm/kernel:0 is listed and missing"):
        read(tmp_path / "a.h5")


@needs_real_files
def test_keras_3_joins_settings_by_class_and_index():
    layers = read(REAL_FILES / "23_student_keras3" / "lstm.keras")
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("lstm", "LSTM"),
        ("lstm_1", "LSTM"),
        ("dense_1", "Dense"),
        ("dense_2", "Dense"),
    ]
    assert layers[0].arrays["kernel"].shape == (1, 256)
    assert layers[2].arrays["bias"].shape == (128,)


@needs_real_files
@pytest.mark.parametrize(
    ("file", "names", "bias"),
    [
        ("20_dtln_h5_onnx_tflite/model.h5", ["lstm", "lstm_1", "lstm_2", "lstm_3"], 512),
        ("21_textgenrnn_cudnnlstm_h5/textgenrnn_weights.hdf5", ["rnn_1", "rnn_2"], 1024),
    ],
)
def test_real_weight_files(file, names, bias):
    recurrent = [layer for layer in read(REAL_FILES / file) if "recurrent_kernel" in layer.arrays]
    assert [layer.name for layer in recurrent] == names
    assert {layer.arrays["bias"].shape for layer in recurrent} == {(bias,)}
