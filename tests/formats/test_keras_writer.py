import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from networks import model_of, network
from proof_layers import gru_layer, lstm_layer
from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.formats import load
from quadgate.formats.keras_writer import arranged, loading_code, write_model
from quadgate.model import Scaling

# Keras 3.15.1 on torch 2.13 calls __array__ in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras 3 is not installed (extra peers)")


MODELS = {
    "one layer": network(0),
    "two of both directions": network(1, layers=2, bidirectional=True),
    "no head": network(2, classes=None, layers=3),
    "mean": network(3, pool="mean"),
    "max": network(4, pool="max", bidirectional=True),
    "scaled": replace(network(5), scaling=Scaling([1.0, -2.0, 3.0], [2.0, 0.5, 1.0])),
    "gru": model_of((gru_layer(0, 3, 4),), (gru_layer(1, 4, 5),), layout="keras.GRU", head=(5, 2)),
    "gru, reset before": model_of((gru_layer(0, 3, 4, reset_after=False),), layout="keras.GRU.reset_before"),
    "hard sigmoid": model_of(
        (replace(lstm_layer(0, 3, 4), b_h=None, activations=Activations(gate="hard_sigmoid_v3")),), layout="keras.LSTM"
    ),
    "no bias": model_of((replace(lstm_layer(0, 3, 4), b_x=None, b_h=None),), layout="keras.LSTM"),
    "units of one": network(6, inputs=1, units=1, classes=1),
}


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("name", MODELS)
def test_keras_gives_the_outputs_of_the_model(name, ending, keras, tmp_path):
    model = MODELS[name]
    path = tmp_path / f"m{ending}"
    write_model(model, path)
    x = np.random.default_rng(0).normal(size=(3, 6, model.inputs)).astype("f4")
    space = {"given": x}
    exec(loading_code(model, path).replace(f'np.zeros((1, 10, {model.inputs}), "float32")', "given"), space)
    found = keras.ops.convert_to_numpy(space["outputs" if model.head is None else "logits"])
    np.testing.assert_allclose(found, model.run(x)[0], atol=1e-5)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("scaled", "hard sigmoid")])
def test_what_was_written_is_read_back_bit_for_bit(name, ending, tmp_path):
    model = MODELS[name]
    if name.startswith("gru,") and ending == ".weights.h5":
        pytest.skip("weights alone do not tell where the reset is")
    write_model(model, tmp_path / f"m{ending}")
    back = load(tmp_path / f"m{ending}")
    write_model(back, tmp_path / f"again{ending}")
    again = load(tmp_path / f"again{ending}")
    tensors = arranged(model)[0]
    assert {array.tobytes() for array in tensors.values()} == {array.tobytes() for array in again.variables.values()}
    for ours, theirs in zip(back.layers, again.layers, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.w_x.tobytes() == other.w_x.tobytes()
            assert one.w_h.tobytes() == other.w_h.tobytes()


def test_the_archive_is_what_keras_writes(tmp_path):
    write_model(network(), tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        config = json.loads(archive.read("config.json"))
    assert [layer["class_name"] for layer in config["config"]["layers"]] == ["InputLayer", "LSTM", "Dense"]


@pytest.mark.parametrize(
    ("model", "lacks"),
    [
        (network(pool="attention"), "cannot hold a head with attention"),
        (model_of((replace(lstm_layer(0, 3, 4, cell_clip=3.0), b_h=None),), layout="tf1.LSTMCell"), "cell_clip=3"),
        (model_of((lstm_layer(0, 3, 4, P=2),), layout="torch.nn.LSTM"), "cannot hold a projection to 2"),
        (model_of((lstm_layer(0, 3, 4, reverse=True),), layout="torch.nn.LSTM"), "reads backwards alone"),
        (
            model_of(
                (replace(lstm_layer(0, 3, 4), b_h=None, activations=Activations(gate="hard_sigmoid")),),
                layout="keras2.LSTM",
            ),
            "cannot apply hard_sigmoid",
        ),
    ],
)
def test_what_keras_has_not_is_refused_by_name(model, lacks, tmp_path):
    with pytest.raises(InputError, match=lacks):
        write_model(model, tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []
