"""Several processes on a set of Parquet files: the losses of one, each reads its share, killed runs go on exactly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import quadgate
from distributed import streamed
from distributed.torchrun import run
from quadgate.data import make_sequences
from quadgate.data.parquet import pack, packing, part
from quadgate.data.parquet.sources import Held
from quadgate.training import History, loop
from small_training import assert_same_bits

SCRIPT = Path(streamed.__file__)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A set of 16 row groups of 8 cases, 8 of them in a window of the tests."""
    monkeypatch.setattr(packing, "GROUP", 8 * 1000)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 8 * 1000)
    for module, name in ((part, "WINDOW"), (loop, "KEPT_EVERY")):  # what a run here changes is put back
        monkeypatch.setattr(module, name, getattr(module, name))
    for name in ("table_of", "cases_alone"):
        monkeypatch.setattr(streamed.parquet_set, name, getattr(streamed.parquet_set, name))
    pack(Held(make_sequences(128, time=(70, 95), channels=3, seed=2)), tmp_path / "set", "x")
    return tmp_path / "set"


def epochs(history):
    return [(one.train_loss, one.valid_loss, one.valid_accuracy, one.gradient_norm) for one in history.epochs]


def near(found, expected):
    assert len(found) == len(expected) >= 4
    for one, other in zip(found, expected, strict=True):
        assert list(one) == [value if value is None else pytest.approx(value, rel=1e-5, abs=1e-7) for value in other]


def weights(folder):
    return {name: np.asarray(array) for name, array in quadgate.load(folder).variables.items()}


def killed(data, folder, rank, batch):
    ended = run(2, SCRIPT, data, folder, rank, batch)
    assert ended.returncode != 0
    assert not list(folder.rglob("*.part"))
    (place,) = (where(file) for file in (folder / "checkpoints").glob("search.*"))
    return place


def where(checkpoint):
    header = checkpoint.read_bytes()
    size = int.from_bytes(header[:8], "little")
    return json.loads(json.loads(header[8 : 8 + size])["__metadata__"]["quadgate.checkpoint"])["position"]


def read(folder, rank):
    """Return the bytes that a process read, and those of all the row groups that it looked into."""
    return np.loadtxt(Path(f"{folder}-read-{rank}"), dtype=np.int64).sum(axis=0)


@pytest.mark.slow
def test_a_run_killed_within_an_epoch_goes_on_to_the_losses_of_one_process_and_each_reads_its_half(tmp_path, data):
    alone = streamed.run(str(data), tmp_path / "alone")
    whole, _ = read(tmp_path / "alone", 0)
    place = killed(data, tmp_path / "run", 1, 9)
    assert (place["epoch"], len(place["losses"])) == (0, 2)
    assert 0 < place["batch"] <= 9
    for rank in (0, 1):
        Path(f"{tmp_path / 'run'}-read-{rank}").unlink()
    ended = run(2, SCRIPT, data, tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    near(epochs(History(tmp_path / "run" / "history.jsonl")), epochs(alone))
    for rank in (0, 1):
        own, _ = read(tmp_path / "run", rank)
        assert own / whole == pytest.approx(0.5, abs=0.06)  # a sample, and of the other half the columns of cases


@pytest.mark.long
@pytest.mark.parametrize(("rank", "batch"), [(0, 3), (1, 14), (0, 17)])
def test_a_run_killed_within_an_epoch_ends_with_the_same_bits(tmp_path, data, rank, batch):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    assert run(2, SCRIPT, data, whole).returncode == 0
    place = killed(data, folder, rank, batch)
    assert place["batch"] > 0
    shutil.copytree(folder, tmp_path / "one")
    shutil.copytree(folder, tmp_path / "three")
    for processes, copy in ((2, folder), (3, tmp_path / "three")):
        ended = run(processes, SCRIPT, data, copy)
        assert ended.returncode == 0, ended.stderr
    assert_same_bits(weights(folder), weights(whole))
    expected = epochs(History(whole / "history.jsonl"))
    assert epochs(History(folder / "history.jsonl")) == expected
    near(epochs(History(tmp_path / "three" / "history.jsonl")), expected)
    near(epochs(streamed.run(str(data), tmp_path / "one")), expected)
