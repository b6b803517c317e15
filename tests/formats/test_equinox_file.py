"""Files of Equinox itself, with its outputs."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

import quadgate
from quadgate.errors import FileFormatError

GOLDEN = Path(__file__).parents[1] / "golden" / "equinox"


@pytest.mark.parametrize("name", ["lstm", "gru", "with_settings"])
def test_outputs_are_those_of_equinox(name):
    model = quadgate.load(GOLDEN / f"{name}.eqx")
    with np.load(GOLDEN / f"{'lstm' if name == 'with_settings' else name}.npz") as told:
        for key in ("outputs", "logits"):
            np.testing.assert_allclose(model.run(told["x"], output=key)[0], told[key], rtol=1e-5, atol=2e-6)


def test_a_cell_without_biases():
    model = quadgate.load(GOLDEN / "stack.eqx")
    assert [len(cell.tensors) for layer in model.cells for cell in layer] == [3, 2]
    assert [one.setting for one in model.assumptions] == ["order"]


def outcome(path):
    """Read everything; the message of the refusal is one line."""
    try:
        list(quadgate.load(path).variables.values())
    except FileFormatError as error:
        return str(error)
    return ""


def test_damaged_files(tmp_path):
    data = (GOLDEN / "with_settings.eqx").read_bytes()
    path = tmp_path / "a.eqx"
    for end in range(len(data)):
        path.write_bytes(data[:end])
        assert "\n" not in outcome(path)
    assert outcome(path)  # one byte is missing
    rng = np.random.default_rng(3)
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(8 * len(data), size=rng.choice([1, 1, 5])):
            damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert "\n" not in outcome(path)


@pytest.mark.parametrize(
    ("shape", "descr", "message"),
    [((1 << 40, 4), "<f4", "reach past the end"), ((2,), "|O", "found dtype object"), ((-1, 4), "<f4", "found shape")],
)
def test_a_header_that_lies(tmp_path, shape, descr, message):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    path = tmp_path / "a.eqx"
    path.write_bytes(json.dumps({"units": 5}).encode() + b"\n" + stream.getvalue() + b"\0" * 16)
    with pytest.raises(FileFormatError, match=message):
        quadgate.load(path)
