"""Files of Flax and Haiku themselves, with their outputs; what is written is read back, and by Flax where installed."""

from pathlib import Path

import numpy as np
import pytest

import quadgate
from quadgate.errors import FileFormatError, InputError
from quadgate.model import Model, Network, Scaling

msgpack = pytest.importorskip("msgpack", reason="msgpack is not installed")

GOLDEN = Path(__file__).parents[1] / "golden" / "flax"


@pytest.mark.parametrize("name", ["linen.msgpack", "nnx.msgpack", "haiku.npz"])
def test_outputs_are_those_of_the_library(name):
    model = quadgate.load(GOLDEN / name)
    with np.load(GOLDEN / f"{name.partition('.')[0]}_answers.npz") as told:
        ours, _ = model.run(told["x"])
        np.testing.assert_allclose(ours, told["y"], rtol=1e-5, atol=2e-6)


def network(tmp_path, **options):
    network = Network(inputs=3, units=4, **options)
    rng = np.random.default_rng(1)
    return Model(network, {name: rng.normal(size=s).astype(np.float32) for name, s in network.shapes.items()})


@pytest.mark.parametrize("ending", ["msgpack", "npz"])
@pytest.mark.parametrize("options", [{"classes": 2}, {"classes": None, "layers": 2, "bidirectional": True}])
def test_what_is_written_is_read_back(tmp_path, ending, options):
    model = network(tmp_path, **options)
    quadgate.save(model, tmp_path / f"a.{ending}")
    x = np.random.default_rng(2).normal(size=(2, 5, 3)).astype(np.float32)
    again, _ = quadgate.load(tmp_path / f"a.{ending}").run(x)
    np.testing.assert_allclose(again, model.run(x)[0], rtol=1e-5, atol=2e-6)


def test_flax_runs_what_is_written(tmp_path):
    flax = pytest.importorskip("flax", reason="flax is not installed")
    model = network(tmp_path, classes=None)
    quadgate.save(model, tmp_path / "a.msgpack")
    tree = flax.serialization.msgpack_restore((tmp_path / "a.msgpack").read_bytes())
    x = np.random.default_rng(2).normal(size=(2, 5, 3)).astype(np.float32)
    cell = flax.linen.RNN(flax.linen.LSTMCell(4))
    theirs = cell.apply({"params": tree["params"]["lstm_0"]}, x)
    np.testing.assert_allclose(model.run(x)[0], theirs, rtol=1e-5, atol=2e-6)


def test_a_scaling_has_no_place(tmp_path):
    model = network(tmp_path, classes=2)
    scaled = Model(model.network, model.variables, scaling=Scaling(np.zeros(3), np.ones(3)))
    with pytest.raises(InputError, match="no scaling"):
        quadgate.save(scaled, tmp_path / "a.msgpack")


def outcome(path):
    """Read everything; the message of the refusal is one line."""
    try:
        list(quadgate.load(path).variables.values())
    except FileFormatError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["linen.msgpack", "nnx.msgpack", "haiku.npz"])
def test_damaged_files(tmp_path, name):
    data = (GOLDEN / name).read_bytes()
    path = tmp_path / name
    for end in range(len(data)):
        path.write_bytes(data[:end])
        message = outcome(path)
        assert message
        assert "\n" not in message
    rng = np.random.default_rng(3)
    for _ in range(500):
        damaged = bytearray(data)
        for place in rng.integers(8 * len(data), size=rng.choice([1, 1, 5])):
            damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert "\n" not in outcome(path)


def test_an_array_that_claims_billions(tmp_path):
    array = msgpack.ExtType(1, msgpack.packb(((2**31, 2**31), "float32", b"\0" * 8)))
    (tmp_path / "a.msgpack").write_bytes(msgpack.packb({"ii": {"kernel": array}}))
    with pytest.raises(FileFormatError, match="found 8 bytes for an array of shape"):
        quadgate.load(tmp_path / "a.msgpack")
