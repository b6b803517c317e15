import json

import numpy as np
import pytest

from quadgate.data.parquet import ParquetSet
from quadgate.data.parquet import packing as module


def test_a_set_is_packed_and_measured(command, folder):
    code, out, err = command("data", "pack", "data.npz", "packed")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "data.npz: shape (30, 25, 4) is cases x steps x channels",
        "packed: 30 cases x 25 steps x 4 channels, 2 classes",
        "next: quadgate train packed",
    ]
    kept = json.loads((folder / "packed" / "_statistics.json").read_text())
    assert (kept["total_cases"], sorted(kept["classes"])) == (30, ["no", "yes"])
    found = ParquetSet.open("packed").read(0)
    at = found.names.index("7")
    np.testing.assert_array_equal(found.series[at], np.load("data.npz")["X"][7])
    assert command("data", "pack", "data.npz", "packed")[0] == 0


def test_an_interrupt_says_how_to_go_on(command, folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_group", stop)
        code, _, err = command("data", "pack", "data.npz", "packed")
    assert code == 130
    assert err.splitlines()[-2:] == [
        "stopped; 0 cases are packed and stay so",
        "go on with: quadgate data pack data.npz packed",
    ]
    code, out, _ = command("data", "pack", "data.npz", "packed", "--json")
    assert code == 0
    assert json.loads(out) == {"source": "data.npz", "cases": {"packed": 30}}


@pytest.mark.parametrize("source", ["nowhere.npz", "."])
def test_what_cannot_be_packed_gets_one_line_and_leaves_nothing(command, folder, source):
    code, out, err = command("data", "pack", source, "packed")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert not (folder / "packed").exists()


def test_a_set_with_a_test_part_of_its_own_is_found_as_one(command, folder):
    data = np.load("data.npz")
    for part, chosen in (("train", slice(0, 20)), ("test", slice(20, 30))):
        np.savez(f"{part}.npz", X=data["X"][chosen], y=data["y"][chosen])
        assert command("data", "pack", f"{part}.npz", f"both/{part}")[0] == 0
    code, out, err = command("train", "both", "--epochs", "1", "--units", "2", "--out", "run")
    assert code == 0, err
    assert out.startswith("20 cases x 25 steps x 4 channels, 2 classes\n")
    assert "its files are streamed, epoch by epoch" in out
    assert "judged by 10 cases" in out
