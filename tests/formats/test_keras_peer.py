"""Files that Keras 3 itself writes: every way that it wraps a cell, with its settings and with weights alone."""

import os

import numpy as np
import pytest

import quadgate
from quadgate.errors import InputError

pytest.importorskip("h5py", reason="needs quadgate[hdf5]")

# Keras 3.15.1 on torch 2.13 calls __array__ in the old way, and calls its own .h5 files old.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras 3 is not installed (extra peers)")


def cells(layers):
    return layers.StackedRNNCells([layers.LSTMCell(4), layers.LSTMCell(5)])


NETWORKS = {
    "two layers": lambda k: [k.LSTM(4, return_sequences=True), k.LSTM(5, return_sequences=True)],
    "a cell": lambda k: [k.RNN(k.LSTMCell(4), return_sequences=True)],
    "stacked cells": lambda k: [k.RNN(cells(k), return_sequences=True)],
    "stacked cells below a layer": lambda k: [
        k.RNN(cells(k), return_sequences=True),
        k.GRU(3, return_sequences=True),
    ],
    "stacked cells of GRU": lambda k: [
        k.RNN(k.StackedRNNCells([k.GRUCell(4), k.GRUCell(3, reset_after=False)]), return_sequences=True)
    ],
    "both ways": lambda k: [
        k.Bidirectional(k.LSTM(4, return_sequences=True)),
        k.Dropout(0.5),
        k.Bidirectional(k.GRU(3, return_sequences=True)),
    ],
    "other functions": lambda k: [
        k.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True)
    ],
    "no bias": lambda k: [k.LSTM(4, use_bias=False, return_sequences=True)],
}

NOT_TOLD = {"other functions", "stacked cells below a layer"}  # by weights alone
BACKWARDS = {
    "one": lambda k: [k.LSTM(4, go_backwards=True, return_sequences=True)],
    "its last state": lambda k: [k.LSTM(4, go_backwards=True), k.Dense(2)],
    "below another": lambda k: [k.LSTM(4, go_backwards=True, return_sequences=True), k.LSTM(5, return_sequences=True)],
    "two": lambda k: [k.GRU(4, go_backwards=True, return_sequences=True) for _ in range(2)],
    "three and a head": lambda k: [
        k.LSTM(4, return_sequences=True),
        k.LSTM(4, go_backwards=True, return_sequences=True),
        k.LSTM(3, go_backwards=True),
        k.Dense(2),
    ],
    "stacked cells": lambda k: [k.RNN(cells(k), go_backwards=True), k.Dense(2)],
}


def saved(keras, name, path, *, functional=False):
    """Build a network with numbers in every gate, save it, and return its inputs and outputs."""
    k = keras.layers
    entry = keras.Input((None, 3))
    if functional:
        value = entry
        for layer in NETWORKS[name](k):
            value = layer(value)
        net = keras.Model(entry, value)
    else:
        net = keras.Sequential([entry, *NETWORKS[name](k)])
    rng = np.random.default_rng(0)
    net.set_weights([rng.normal(0, 0.5, one.shape).astype("f4") for one in net.get_weights()])
    (net.save_weights if ".weights." in path.name else net.save)(path)
    x = rng.normal(size=(2, 6, 3)).astype("f4")
    return x, keras.ops.convert_to_numpy(net(x))


@pytest.mark.parametrize("functional", [False, True], ids=["sequential", "functional"])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_computes_what_keras_computes(keras, name, ending, functional, tmp_path):
    x, wanted = saved(keras, name, tmp_path / f"a{ending}", functional=functional)
    model = quadgate.load(tmp_path / f"a{ending}")
    assert not model.assumptions
    np.testing.assert_allclose(model.run(x)[0], wanted, atol=2e-6)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in NOT_TOLD])
def test_weights_alone_compute_what_keras_computes(keras, name, tmp_path):
    x, wanted = saved(keras, name, tmp_path / "a.weights.h5")
    model = quadgate.load(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(model.run(x)[0], wanted, atol=2e-6)


def test_weights_alone_do_not_tell_the_order_of_two_classes(keras, tmp_path):
    saved(keras, "stacked cells below a layer", tmp_path / "a.weights.h5")
    assert "order" in {one.setting for one in quadgate.load(tmp_path / "a.weights.h5").assumptions}


@pytest.mark.parametrize("name", BACKWARDS)
def test_layers_that_read_backwards_alone(keras, name, tmp_path, monkeypatch):
    """Keras gives their steps in the order in which they were read; here each belongs to the step of the input."""
    monkeypatch.setitem(NETWORKS, name, BACKWARDS[name])
    x, wanted = saved(keras, name, tmp_path / "a.keras")
    model = quadgate.load(tmp_path / "a.keras")
    found, _ = model.run(x)
    last_to_first = wanted.ndim == 3 and model.cells[-1][0].reverse
    np.testing.assert_allclose(found[:, ::-1] if last_to_first else found, wanted, atol=2e-6)


def test_both_directions_above_one_that_reads_backwards_are_no_chain(keras, tmp_path, monkeypatch):
    above = lambda k: [  # noqa: E731
        k.LSTM(4, go_backwards=True, return_sequences=True),
        k.Bidirectional(k.LSTM(3, return_sequences=True)),
    ]
    monkeypatch.setitem(NETWORKS, "above", above)
    x, _ = saved(keras, "above", tmp_path / "a.keras")
    with pytest.raises(InputError, match="2 separate chains"):
        quadgate.load(tmp_path / "a.keras").run(x)


def test_directions_that_are_summed_are_each_a_chain(keras, tmp_path, monkeypatch):
    monkeypatch.setitem(
        NETWORKS, "sum", lambda k: [k.Bidirectional(k.LSTM(4, return_sequences=True), merge_mode="sum")]
    )
    x, wanted = saved(keras, "sum", tmp_path / "a.keras")
    model = quadgate.load(tmp_path / "a.keras")
    np.testing.assert_allclose(sum(model.chain(k).run(x)[0] for k in range(2)), wanted, atol=2e-6)


def test_a_layer_with_normalisation_between_is_no_chain(keras, tmp_path, monkeypatch):
    between = lambda k: [k.LSTM(4, return_sequences=True), k.LayerNormalization(), k.LSTM(4)]  # noqa: E731
    monkeypatch.setitem(NETWORKS, "between", between)
    saved(keras, "between", tmp_path / "a.keras")
    assert quadgate.load(tmp_path / "a.keras").chains == (1, 1)
