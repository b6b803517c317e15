"""Keras files that TensorFlow 1.15.5 wrote, and real ones of other people."""

import json
from pathlib import Path

import numpy as np
import pytest

import quadgate
from conftest import assert_float32_close
from quadgate import cell as judge
from quadgate.cell import Activations
from quadgate.errors import FileFormatError
from quadgate.formats.keras_file import read
from quadgate.layouts import LAYOUTS, decode
from sample_layers import sizes_of, tensors_of

pytest.importorskip("h5py", reason="needs quadgate[hdf5]")

GOLDEN = Path(__file__).parents[1] / "golden" / "oracle" / "keras_lstm"
REAL_FILES = Path(__file__).parents[3] / "shared" / "models"
needs_real_files = pytest.mark.skipif(not REAL_FILES.exists(), reason="the real models lie beside the project")


@pytest.mark.parametrize("file", ["hard_sigmoid/model.h5", "sigmoid/model.h5", "cudnn/cudnn_model.h5"])
def test_a_model_tells_classes_settings_and_arrays(file):
    lstm, dense = read(GOLDEN / file).layers
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
    lstm, dense = read(GOLDEN / file).layers
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
    layers = read(REAL_FILES / "23_student_keras3" / "lstm.keras").layers
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
    recurrent = [layer for layer in read(REAL_FILES / file).layers if "recurrent_kernel" in layer.arrays]
    assert [layer.name for layer in recurrent] == names
    assert {layer.arrays["bias"].shape for layer in recurrent} == {(bias,)}


ORACLE_FILES = {
    "hard_sigmoid": ("model.h5", "weights.h5", "trained_weights.h5", "trained_with_optimizer.h5"),
    "sigmoid": ("model.h5", "weights.h5", "trained_weights.h5", "trained_with_optimizer.h5"),
    "cudnn": ("model.h5", "weights.h5", "cudnn_model.h5", "cudnn_weights.h5"),
}


@pytest.mark.parametrize(("case", "file"), [(case, file) for case, files in ORACLE_FILES.items() for file in files])
def test_a_loaded_file_computes_what_tensorflow_computed(oracle, case, file):
    numbers = oracle(f"keras_lstm/{case}")
    weights_alone = "weights" in file
    asked = {} if not weights_alone or file.startswith("cudnn") else {"activations": Activations(GATES[case])}
    model = quadgate.load(numbers.folder / file, **asked)
    assert {one.setting for one in model.assumptions} == {"pool"}
    logits, (((c, h),),) = model.run(numbers["x"])
    if file == "trained_with_optimizer.h5":
        x = numbers["x"].astype(np.float64)
        prefix = "keras_adam/var/"
        for name, array in model.variables.items():
            expected = numbers[prefix + "/".join(name.removesuffix(":0").split("/")[-2:])]
            np.testing.assert_array_equal(array, expected)
        assert not any(name.startswith("optimizer") for name in model.variables)
        assert model.run(x)[0].shape == logits.shape
    elif file == "trained_weights.h5":
        assert_float32_close(logits, numbers["after/logits"])
    else:
        assert_float32_close(model.run(numbers["x"], output="outputs")[0], numbers["outputs"])
        assert_float32_close(c, numbers["final/c"])
        assert_float32_close(h, numbers["final/h"])
        assert_float32_close(logits, numbers["logits"])


GATES = {"hard_sigmoid": "hard_sigmoid", "sigmoid": "sigmoid", "cudnn": "sigmoid"}


@pytest.mark.parametrize("file", ["weights.h5", "trained_weights.h5"])
def test_the_gates_of_weights_alone_are_an_assumption(file):
    model = quadgate.load(GOLDEN / "sigmoid" / file)
    (one,) = (one for one in model.assumptions if one.setting == "activations")
    assert one.option == "activations="
    assert "weights alone" in str(one)


def write_weights(path, layers, **attributes):
    """Write a weights-only file as Keras does: layer -> weight name -> array."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs.update(attributes)
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, array in weights.items():
                group[name] = array


@pytest.mark.parametrize(
    ("name", "layouts"),
    [
        ("gate_by_gate", ["keras1.GRU", "keras1.LSTM"]),
        ("fused", ["keras1.GRU.gpu", "keras1.LSTM.gpu"]),
        ("both_ways", ["keras1.GRU", "keras1.GRU", "keras1.LSTM"]),
    ],
)
def test_models_that_keras_1_wrote(name, layouts):
    """Keras 1.2.2 on Theano, by `golden/keras1/make.py`."""
    model = quadgate.load(GOLDEN.parents[1] / "keras1" / f"{name}.h5")
    assert ([cell.layout for layer in model.cells for cell in layer], model.assumptions) == (layouts, ())
    with np.load(GOLDEN.parents[1] / "keras1" / f"{name}.npz") as told:
        np.testing.assert_allclose(model.run(told["x"])[0], told["y"], rtol=1e-5, atol=2e-6)


ROWS = [
    ("keras1.LSTM", "lstm_1_", "", {}),
    ("keras1.LSTM.gpu", "lstm_1_", "", {}),
    ("keras1.GRU", "gru_1_", "", {}),
    ("keras1.GRU.gpu", "gru_1_", "", {}),
    ("keras2.LSTM", "lstm_1/", ":0", {"keras_version": "2.2.4"}),
    ("tf.keras.PeepholeLSTMCell", "rnn/peephole_lstm_cell/", ":0", {"keras_version": "2.2.4-tf"}),
    ("keras.CuDNNLSTM", "cu_dnnlstm/", ":0", {"keras_version": "2.2.4"}),
    ("keras2.GRU", "gru/", ":0", {"keras_version": "2.2.4-tf"}),
    ("keras2.GRU.reset_before", "gru_1/", ":0", {"keras_version": "2.2.4"}),
    ("keras.CuDNNGRU", "cu_dnngru/", ":0", {"keras_version": "2.2.4"}),
    ("keras.LSTM", "lstm/lstm_cell/", "", {"keras_version": "3.8.0"}),
    ("keras.GRU", "gru/gru_cell/", "", {"keras_version": "3.8.0"}),
]


@pytest.mark.parametrize(("row", "prefix", "suffix", "attributes"), ROWS)
def test_every_class_is_told_by_its_arrays(tmp_path, row, prefix, suffix, attributes):
    tensors = tensors_of(LAYOUTS[row], sizes_of(3, 5))
    fixed = LAYOUTS[row].activations.fixed
    asked = {} if fixed else {"activations": LAYOUTS[row].activations.default}
    parameters = decode(tensors, row, **asked)
    layer = prefix.strip("_/").partition("/")[0]
    write_weights(tmp_path / "w.h5", {layer: {f"{prefix}{n}{suffix}": a for n, a in tensors.items()}}, **attributes)
    model = quadgate.load(tmp_path / "w.h5", **asked)
    ((cell,),), ((loaded,),) = model.cells, model.layers
    assert (cell.layout, cell.kind, model.assumptions) == (row, LAYOUTS[row].cell, ())
    for name in ("w_x", "w_h", "b_x", "b_h", "peepholes"):
        if (wanted := getattr(parameters, name, None)) is not None:
            np.testing.assert_array_equal(getattr(loaded, name), wanted)
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    run = judge.gru if cell.kind == "gru" else judge.lstm
    np.testing.assert_allclose(model.run(x)[0], run(x, parameters)[0], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("version", "gate"),
    [
        ("2.1.5", "hard_sigmoid"),
        ("2.2.4", "hard_sigmoid"),
        ("2.3.1", "sigmoid"),
        ("2.1.6-tf", "hard_sigmoid"),
        ("2.4.0", "sigmoid"),
    ],
)
def test_what_is_assumed_of_weights_alone_is_what_their_version_did(tmp_path, version, gate):
    tensors = tensors_of(LAYOUTS["keras2.LSTM"], sizes_of(2, 3))
    write_weights(tmp_path / "w.h5", {"lstm": {f"lstm/{n}:0": a for n, a in tensors.items()}}, keras_version=version)
    model = quadgate.load(tmp_path / "w.h5")
    assert model.cells[0][0].activations.gate == gate
    assert [one.setting for one in model.assumptions] == ["activations"]


OWN = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}


@pytest.mark.parametrize(
    ("kind", "more", "why"),
    [
        ("Mine>ForgetfulCell", {}, "a ForgetfulCell, which is a class of somebody's own"),
        ("LayerNormLSTMCell", {"kernel_norm/gamma": (20,)}, "a LayerNormLSTMCell that normalises its gates"),
    ],
)
def test_a_cell_of_another_class_is_named_and_none(tmp_path, kind, more, why):
    shapes = {**OWN, **more}
    weights = {f"rnn/own/{name}:0": np.ones(shape, np.float32) for name, shape in shapes.items()}
    plain = {f"lstm/lstm_cell/{name}:0": np.ones(shape, np.float32) for name, shape in OWN.items()}
    layers = [
        {"class_name": "RNN", "config": {"name": "rnn", "cell": {"class_name": kind, "config": {"units": 5}}}},
        {"class_name": "LSTM", "config": {"name": "lstm", "units": 5}},
    ]
    told = {"model_config": json.dumps({"class_name": "Model", "config": {"layers": layers}}), "keras_version": "2.4.0"}
    write_weights(tmp_path / "a.h5", {"rnn": weights, "lstm": plain}, **told)
    model = quadgate.load(tmp_path / "a.h5")
    assert [cell.name for (cell,) in model.cells] == ["lstm/lstm_cell"]
    assert any(line.startswith(f"rnn/rnn/own/kernel:0: of rnn/own, {why}") for line in model.left_out)
    write_weights(tmp_path / "b.h5", {"rnn": weights}, **told)
    with pytest.raises(FileFormatError, match=f"found no LSTM or GRU among its layers .*; of rnn/own, {why}"):
        quadgate.load(tmp_path / "b.h5")
