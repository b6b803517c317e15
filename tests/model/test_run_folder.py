import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quadgate
from quadgate.errors import InputError
from quadgate.model import Assumption, Model, Network, Scaling
from quadgate.model.network import POOLS

networks = st.builds(
    Network,
    inputs=st.integers(1, 5),
    units=st.integers(1, 4),
    classes=st.none() | st.integers(1, 4),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    pool=st.sampled_from(POOLS),
    forget_bias=st.floats(-3, 3),
    activation=st.sampled_from(["tanh", "relu"]),
)


@settings(max_examples=30, deadline=None)
@given(network=networks, seed=st.integers(0, 99), dtype=st.sampled_from(["f2", "f4", "f8"]), data=st.data())
def test_what_is_saved_is_loaded_bit_for_bit(tmp_path_factory, network, seed, dtype, data):
    random = np.random.default_rng(seed)
    C, K = network.inputs, network.classes
    text = st.text(max_size=5)
    model = Model(
        network,
        {name: random.normal(size=shape).astype(dtype) for name, shape in network.shapes.items()},
        labels=None if K is None else tuple(data.draw(st.lists(text | st.integers(), min_size=K, max_size=K))),
        channels=tuple(data.draw(st.lists(text, min_size=C, max_size=C))),
        scaling=Scaling(random.normal(size=C), random.uniform(0.1, 3, C)),
        assumptions=(Assumption("forget_bias", 1.0, "why"), Assumption("pool", "last", "why", ("a", "b"), "pool=")),
        source="somewhere",
        left_out=("a: b",),
    )
    folder = tmp_path_factory.mktemp("run")
    quadgate.save(model, folder)
    loaded = quadgate.load(folder)
    for name in ("network", "labels", "channels", "assumptions", "source", "left_out", "cells", "head"):
        assert getattr(loaded, name) == getattr(model, name)
    assert list(loaded.variables) == list(model.variables)
    for name, array in model.variables.items():
        np.testing.assert_array_equal(loaded.variables[name], array, strict=True)
    np.testing.assert_array_equal(loaded.scaling.mean, model.scaling.mean, strict=True)
    np.testing.assert_array_equal(loaded.scaling.scale, model.scaling.scale, strict=True)


@pytest.mark.parametrize("name", ["seed_network", "multi", "lstm_peephole_proj"])
def test_a_checkpoint_becomes_a_run_folder(oracle, tmp_path, name):
    case = oracle(name)
    model = quadgate.load(case.folder / "model.ckpt")
    quadgate.save(model, tmp_path / "model.safetensors")
    loaded = quadgate.load(tmp_path / "model.safetensors")
    assert (loaded.cells, loaded.head, loaded.network) == (model.cells, model.head, model.network)
    x = case["x"][:, :20]
    np.testing.assert_array_equal(loaded.run(x)[0], model.run(x)[0])


def test_a_foreign_network_is_recognised(oracle):
    assert quadgate.load(oracle("basic_small").folder / "model.ckpt").network == Network(3, 5, 2)


def test_saving_over_a_file_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    network = Network(1, 1, 1)
    model = Model(network, {name: np.zeros(shape, np.float32) for name, shape in network.shapes.items()})
    with pytest.raises(InputError, match="expected a folder or a name that ends in"):
        quadgate.save(model, tmp_path / "file")


def test_a_save_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    network = Network(1, 1, 1)
    one, two = (
        Model(network, {name: np.full(shape, n, np.float32) for name, shape in network.shapes.items()}) for n in (1, 2)
    )
    quadgate.save(one, tmp_path)

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        quadgate.save(two, tmp_path)
    assert quadgate.load(tmp_path).variables["out/biases"][0] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]
