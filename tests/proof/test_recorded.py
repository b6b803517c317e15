import shutil
from dataclasses import replace

import numpy as np
import pytest

import quadgate
from networks import model_of
from proof_layers import lstm_layer
from quadgate.cell import lstm
from quadgate.errors import FileFormatError, InputError
from quadgate.proof import convert
from quadgate.proof.recorded import settle_by_recording

GOLDEN = ("basic_forget0", "basic_small")


@pytest.mark.parametrize("name", GOLDEN)
def test_the_forget_bias_of_a_checkpoint_without_its_graph(name, oracle, tmp_path):
    case = oracle(name)
    for file in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        shutil.copy(case.folder / file, tmp_path)
    assumed = convert(tmp_path / "model.ckpt", tmp_path / "m.pt")
    assert assumed.exit_code == 3
    proof = convert(tmp_path / "model.ckpt", tmp_path / "m.pt", against=case.folder / "data.npz")
    assert proof.verdict == "proved"
    bias = 0.0 if name == "basic_forget0" else 1.0
    assert proof.settled[0].startswith(f"forget_bias={bias} fits")
    assert quadgate.verify(case.folder / "model.ckpt", tmp_path / "m.pt").verdict == "proved"


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_the_gates_of_old_keras_weights(gate, oracle, tmp_path):
    case = oracle(f"keras_lstm/{gate}")
    model, told = settle_by_recording(quadgate.load(case.folder / "weights.h5"), case.folder / "data.npz")
    assert model.cells[0][0].activations.gate == gate
    assert any(text.startswith(f"activations={gate} tanh fits") for text in told)


def recorded(layer, path, scale=1.0, **more):
    x = scale * np.random.default_rng(5).normal(size=(3, 9, layer.inputs)).astype("f4")
    outputs, _ = lstm(x, layer, lengths=[9, 4, 7])
    np.savez(path, x=x, lengths=[9, 4, 7], outputs=outputs.astype("f4"), **more)


@pytest.mark.parametrize("clip", [1.0, 3.0])
def test_a_clip_is_found_where_it_acts(clip, tmp_path):
    layer = replace(lstm_layer(0, 3, 4), b_h=None, forget_bias=1.0, cell_clip=clip)
    strong = replace(layer, b_x=layer.b_x + np.float32(6))  # open gates: the state grows by one at each step
    quadgate.save(model_of((strong,), layout="tf1.LSTMCell"), tmp_path / "m.ckpt", to="tf1")
    recorded(strong, tmp_path / "r.npz")
    model, told = settle_by_recording(quadgate.load(tmp_path / "m.ckpt"), tmp_path / "r.npz")
    assert model.cells[0][0].cell_clip == clip
    assert any(text.startswith(f"cell_clip={clip} fits") for text in told)


def test_what_the_recording_cannot_tell_stays_an_assumption(tmp_path):
    layer = replace(lstm_layer(0, 3, 4, peepholes=True), b_h=None, forget_bias=1.0)
    quadgate.save(model_of((layer,), layout="tf1.LSTMCell"), tmp_path / "m.ckpt", to="tf1")
    recorded(layer, tmp_path / "r.npz", scale=0.1)
    model, told = settle_by_recording(quadgate.load(tmp_path / "m.ckpt"), tmp_path / "r.npz")
    assert any(text.startswith("forget_bias=1.0 fits") for text in told)
    assert [one.setting for one in model.assumptions] == ["cell_clip"]
    assert model.cells[0][0].cell_clip is None


def test_a_recording_of_another_model_fits_nothing(tmp_path):
    layer = replace(lstm_layer(0, 3, 4), b_h=None, forget_bias=1.0)
    quadgate.save(model_of((layer,), layout="tf1.LSTMCell"), tmp_path / "m.ckpt", to="tf1")
    recorded(lstm_layer(1, 3, 4), tmp_path / "r.npz")
    with pytest.raises(InputError, match=r"no candidate gives the recorded outputs; the nearest, .* is off by"):
        settle_by_recording(quadgate.load(tmp_path / "m.ckpt"), tmp_path / "r.npz")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [({"x": np.ones((1, 2, 3))}, "expected x, and outputs or logits"), ({}, "found nothing")],
)
def test_a_recording_that_lacks_something(arrays, says, tmp_path):
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(FileFormatError, match=says):
        settle_by_recording(model_of((lstm_layer(0, 3, 4),), layout="torch.nn.LSTM"), tmp_path / "r.npz")
    (tmp_path / "r.npz").write_bytes(b"none")
    with pytest.raises(FileFormatError, match=r"not an \.npz"):
        settle_by_recording(model_of((lstm_layer(0, 3, 4),), layout="torch.nn.LSTM"), tmp_path / "r.npz")
