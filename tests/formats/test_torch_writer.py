from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from networks import model_of, network
from proof_layers import gru_layer, lstm_layer
from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.formats import load, torch_file
from quadgate.formats.torch_writer import arranged, loading_code, modules, write_archive, write_model
from quadgate.model import Scaling

SIZES = st.sampled_from([1, 2, 3, 7])


@given(shapes=st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_torch_reads_every_shape_and_type(shapes, tmp_path_factory):
    path = tmp_path_factory.mktemp("t") / "weights.pt"
    kinds = ["f4", "f8", "f2", "i8", "i4", "i2", "i1"]
    arrays = {
        f"a.{k}.é": np.arange(np.prod(shape, dtype=int), dtype=kinds[k % 7]).reshape(shape)
        for k, shape in enumerate(shapes)
    }
    write_archive(path, arrays)
    read = torch.load(path, weights_only=True)
    mapped = torch.load(path, weights_only=True, mmap=True)
    own = torch_file.read(path).tensors
    assert list(read) == list(arrays) == list(own)
    for name, array in arrays.items():
        for found in (read[name].numpy(), mapped[name].numpy(), own[name]):
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)
        assert read[name].is_contiguous()


@given(C=SIZES, H=SIZES, layers=st.integers(1, 3), both=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_torch_gives_the_outputs_of_the_model(C, H, layers, both, seed, tmp_path_factory):
    path = tmp_path_factory.mktemp("t") / "weights.pt"
    model = network(seed, inputs=C, units=H, layers=layers, bidirectional=both)
    write_model(model, path)
    x = np.random.default_rng(seed).normal(size=(3, 6, C)).astype("f4")
    space = {}
    exec(loading_code(model, path).replace(f"torch.zeros(1, 10, {C})", "given"), {"given": torch.from_numpy(x)}, space)
    np.testing.assert_allclose(space["outputs"].detach().numpy(), model.run(x, output="outputs")[0], atol=2e-6)
    np.testing.assert_allclose(space["logits"].detach().numpy(), model.run(x)[0], atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        network(1, pool="last", bidirectional=True),
        network(1, pool="mean", bidirectional=True),
        network(1, pool="max"),
        replace(network(1), scaling=Scaling([1.0, -2.0, 3.0], [2.0, 0.5, 1.0])),
    ],
    ids=["last", "mean", "max", "scaled"],
)
def test_pooling_and_scaling_are_in_the_code(model, tmp_path):
    write_model(model, tmp_path / "m.pt")
    x = np.random.default_rng(0).normal(size=(3, 6, 3)).astype("f4")
    space = {}
    code = loading_code(model, tmp_path / "m.pt").replace("torch.zeros(1, 10, 3)", "given")
    exec(code, {"given": torch.from_numpy(x)}, space)
    np.testing.assert_allclose(space["logits"].detach().numpy(), model.run(x)[0], atol=1e-5)


def test_layers_that_differ_are_modules_of_their_own():
    model = model_of((lstm_layer(0, 3, 4),), (lstm_layer(1, 4, 4),), (lstm_layer(2, 4, 5),), layout="torch.nn.LSTM")
    assert [(one.name, len(one.layers)) for one in modules(model)] == [("lstm_0", 2), ("lstm_1", 1)]
    model = model_of((gru_layer(0, 3, 4),), (gru_layer(1, 4, 4),), layout="torch.nn.GRU")
    assert [(one.name, one.kind, len(one.layers)) for one in modules(model)] == [("gru", "GRU", 2)]


def test_a_projection_and_a_gru_come_back(tmp_path):
    for model in (
        model_of((lstm_layer(0, 3, 4, P=2),), layout="torch.nn.LSTM"),
        model_of((gru_layer(0, 3, 4),), (gru_layer(1, 4, 4),), layout="torch.nn.GRU"),
    ):
        write_model(model, tmp_path / "m.pt")
        back = load(tmp_path / "m.pt")
        for ours, theirs in zip(model.layers, back.layers, strict=True):
            for name in ("w_x", "w_h", "b_x", "b_h"):
                assert getattr(ours[0], name).tobytes() == getattr(theirs[0], name).tobytes()


@pytest.mark.parametrize(
    ("layer", "layout", "lacks"),
    [
        (lstm_layer(0, 3, 4, peepholes=True), "tf1.LSTMCell", "cannot hold peepholes"),
        (lstm_layer(0, 3, 4, activations=Activations(gate="hard_sigmoid")), "keras2.LSTM", "cannot apply hard_sigmoid"),
        (lstm_layer(0, 3, 4, cell_clip=3.0), "tf1.LSTMCell", "cannot hold cell_clip=3"),
        (lstm_layer(0, 3, 4, input_clip=3.0), "onnx.LSTM", "cannot hold input_clip=3"),
        (gru_layer(0, 3, 4, reset_after=False), "tf1.GRUCell", "applies the reset after"),
        (lstm_layer(0, 3, 4, reverse=True), "torch.nn.LSTM", "reads backwards alone"),
    ],
)
def test_what_torch_has_not_is_refused_by_name(layer, layout, lacks, tmp_path):
    if layout == "tf1.LSTMCell":
        layer = replace(layer, b_h=None)
    with pytest.raises(InputError, match=lacks):
        write_model(model_of((layer,), layout=layout), tmp_path / "m.pt")
    assert list(tmp_path.iterdir()) == []


def test_what_was_folded_is_told():
    assert arranged(network())[1] == ("forget bias of 1, added while running, into bias_ih_l0",)
