"""Training on a set of Parquet files: the same loop as in memory, exact within an epoch, and nothing left out."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from quadgate.data import make_sequences
from quadgate.data.parquet import ParquetSet, Part, pack, statistics_of
from quadgate.data.parquet import packing as packing
from quadgate.data.parquet import part as parts
from quadgate.data.parquet.sources import Held
from quadgate.errors import FileFormatError, InputError
from quadgate.training import Settings, StoppedError, Workers, loop, train
from quadgate.training.blueprint import Blueprint
from quadgate.training.disk import parts_on_disk
from quadgate.training.loop import Callback
from quadgate.training.streamed import _Epoch

SETTINGS = Settings(units=4, epochs=2, batch_size=4, batches=1, steps=0, frames=0, noise=0.05, refit=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A packed set of 60 cases in row groups of a few cases, which fill windows of three or four of them."""
    monkeypatch.setattr(packing, "GROUP", 1200)
    monkeypatch.setattr(packing, "FILE", 4000)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 300)
    monkeypatch.setattr(parts, "WINDOW", 5000)
    pack(Held(make_sequences(60, time=(20, 30), channels=3, seed=2)), tmp_path / "set", "x")
    return tmp_path / "set"


@pytest.fixture
def whole(folder):
    data = ParquetSet.open(folder)
    return Part.whole(data, statistics_of(data))


def streamed(part):
    return Blueprint.of(part, SETTINGS).data(part)


def rows(batches):
    return [tuple(row[:n].flatten().tolist()) for x, lengths, *_ in batches for row, n in zip(x, lengths, strict=True)]


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_an_epoch_gives_every_case_once(whole, size):
    part = whole.split(0.2, 0)[0]
    found = list(streamed(part).epoch(size, 3, 1).batches)
    assert sum(len(x) for x, *_ in found) == len(part)
    assert len(found) == streamed(part).steps(size, 3, 1)
    assert max(len(x) for x, *_ in found) <= size
    assert sorted(rows(found)) == sorted(rows(streamed(part).in_order(1)))
    for x, lengths, targets, *none in found:
        assert (x.dtype, lengths.dtype, targets.dtype, *none) == (torch.float32, torch.int64, torch.int64, None, None)


def test_validation_sees_every_case_once(whole):
    found = list(streamed(whole).in_order(7))
    assert sum(len(x) for x, *_ in found) == 60


def test_epochs_differ_and_are_drawn_again_the_same(whole):
    firsts = [rows(streamed(whole).epoch(4, seed, epoch).batches) for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert firsts[0] == firsts[3]
    assert firsts[0] != firsts[1]
    assert firsts[0] != firsts[2]
    assert len(set(map(len, firsts))) == 1


@pytest.mark.parametrize("done", [1, 5, 9, 14])
def test_a_pass_goes_on_after_any_batch(whole, done):
    data = streamed(whole)
    every = list(data.epoch(4, 0, 0).batches)
    passing = data.epoch(4, 0, 0)
    begun = iter(passing.batches)
    for _ in range(done):
        next(begun)
    where = passing.where()
    assert json.loads(where)
    begun.close()
    rest = list(data.epoch(4, 0, 0, done, where).batches)
    assert len(rest) == len(every) - done
    for one, other in zip(rest, every[done:], strict=True):
        for a, b in zip(one[:3], other[:3], strict=True):
            assert torch.equal(a, b)


class StopAt(Callback):
    def __init__(self, batch):
        self.left = batch

    def on_batch(self, stage, done, planned):  # noqa: ARG002
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Count(Callback):
    seen = 0

    def on_batch(self, stage, done, planned):  # noqa: ARG002
        self.seen += 1


def trained(part, folder=None, **more):
    return train(part, SETTINGS.changed(valid_fraction=0.2), folder, **more)


@pytest.mark.parametrize("stop", [3, 17, 40])
def test_a_run_stopped_within_an_epoch_ends_with_the_same_bits(whole, tmp_path, stop, monkeypatch):
    every = Count()
    expected = trained(whole, tmp_path / "whole", callbacks=[every])
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    with pytest.raises(StoppedError):
        trained(whole, tmp_path / "cut", callbacks=[StopAt(stop)])
    count = Count()
    found = trained(whole, tmp_path / "cut", resume=True, callbacks=[count])
    assert count.seen == every.seen - (stop - 1)
    for name, array in expected.model.variables.items():
        np.testing.assert_array_equal(found.model.variables[name], array)
    losses = [(one.train_loss, one.valid_loss, one.gradient_norm) for one in expected.history.epochs]
    assert losses == [(one.train_loss, one.valid_loss, one.gradient_norm) for one in found.history.epochs]


def test_a_run_in_memory_resumes_within_an_epoch_too(tmp_path, monkeypatch):
    sequences = make_sequences(60, time=(20, 30), channels=3, seed=2)
    expected = trained(sequences, tmp_path / "whole")
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    with pytest.raises(StoppedError):
        trained(sequences, tmp_path / "cut", callbacks=[StopAt(17)])
    found = trained(sequences, tmp_path / "cut", resume=True)
    for name, array in expected.model.variables.items():
        np.testing.assert_array_equal(found.model.variables[name], array)


def test_the_disk_learns_what_the_memory_learns(tmp_path):
    sequences = make_sequences(300, time=25, channels=2, seed=4)
    pack(Held(sequences), tmp_path / "set", "x")
    settings = Settings(units=8, epochs=12, frames=0, steps=0, batches=1, batch_size=16, learning_rate=0.02)
    learn, judge, how, _ = parts_on_disk(str(tmp_path / "set"), settings)
    assert how[0] == "300 cases x 25 steps x 2 channels, 2 classes"
    run = train(learn, settings, tmp_path / "run")
    chances, _ = run.model.run(list(judge.series), output="probabilities")
    assert (chances.argmax(1) == judge.labels).mean() > 0.9
    assert run.fitted_cases + run.validation_cases == len(learn)


def test_names_that_are_numbers_in_some_row_groups_only(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "GROUP", 100)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 1)
    from quadgate.data import Sequences

    base = make_sequences(20, time=20, channels=2)
    sequences = Sequences(base.series, labels=np.array(["1", "x"])[base.labels])
    pack(Held(sequences), tmp_path / "set", "x")
    data = ParquetSet.open(tmp_path / "set")
    part = Part.whole(data, statistics_of(data))
    assert part.classes.tolist() == ["1", "x"]
    targets = torch.cat([targets for _, _, targets, _ in streamed(part).in_order(3)])
    assert sorted(targets.tolist()) == [0] * 10 + [1] * 10


def test_a_class_at_every_step(tmp_path):
    from quadgate.data import Sequences
    from quadgate.training import preset

    base = make_sequences(40, time=20, channels=2)
    steps = [np.repeat([label, 1 - label], 10) for label in base.labels]
    pack(Held(Sequences(base.series, step_labels=steps)), tmp_path / "set", "x")
    settings = preset("stream").changed(units=3, epochs=1, batch_size=8)
    learn, judge, *_ = parts_on_disk(str(tmp_path / "set"), settings)
    run = train(learn, settings, tmp_path / "run")
    assert judge.step_labels is not None
    assert run.history.epochs[-1].train_loss > 0


def test_a_test_part_of_other_channels_is_refused(folder, tmp_path):
    pack(Held(make_sequences(8, time=20, channels=2)), tmp_path / "other", "x")
    with pytest.raises(InputError, match="other: found 2 channels in the test part, expected 3"):
        parts_on_disk(str(folder), SETTINGS, test=tmp_path / "other")


KILLED = """
import sys
from pathlib import Path
from quadgate.data.parquet import ParquetSet, Part, part, statistics_of
from quadgate.training import Settings, loop, train
part.WINDOW, loop.KEPT_EVERY = 5000, 0.0
data = ParquetSet.open(sys.argv[1])
settings = Settings(units=4, epochs=2, batch_size=4, batches=1, steps=0, frames=0, noise=0.05)
whole = Part.whole(data, statistics_of(data))
train(whole, settings.changed(valid_fraction=0.2), Path(sys.argv[2]), resume=True)
"""


@pytest.mark.long
def test_a_run_killed_within_an_epoch_ends_with_the_same_bits(whole, tmp_path):
    command = [sys.executable, "-c", KILLED, whole.data.place.url, str(tmp_path / "cut")]
    rng = np.random.default_rng(0)
    for _ in range(3):
        before = set()
        with subprocess.Popen(command) as process:
            wanted = int(rng.integers(2, 12))
            while process.poll() is None and len(before) < wanted:  # so many checkpoints were written
                before |= {path.stat().st_mtime_ns for path in (tmp_path / "cut").glob("checkpoints/*.safetensors")}
            assert process.poll() is None, "the run was over before it was killed"
            process.kill()
    expected = trained(whole, tmp_path / "whole")
    found = trained(whole, tmp_path / "cut", resume=True)
    for name, array in expected.model.variables.items():
        np.testing.assert_array_equal(found.model.variables[name], array)
    assert [one.train_loss for one in expected.history.epochs] == [one.train_loss for one in found.history.epochs]


def test_what_is_wrong_in_the_process_beside_is_one_line(whole, monkeypatch):
    monkeypatch.setattr(Part, "read", lambda *_: (_ for _ in ()).throw(FileFormatError("a.parquet: damaged")))
    with pytest.raises(FileFormatError) as refused:
        list(streamed(whole).epoch(4, 0, 0).batches)
    assert str(refused.value) == "a.parquet: damaged"


def test_the_callers_generator_stays_as_it_is(whole):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    list(streamed(whole).epoch(4, 0, 0).batches)
    assert torch.equal(torch.get_rng_state(), before)
    trained(whole)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pass_in_another_order_is_not_gone_on_with(whole):
    passing = streamed(whole).epoch(4, 0, 0)
    begun = iter(passing.batches)
    next(begun)
    earlier = json.dumps(json.loads(passing.where())["loader"])
    begun.close()
    with pytest.raises(
        InputError, match=r"^set: the run was stopped within an epoch by a version of quadgate that .* train anew"
    ):
        streamed(whole).epoch(4, 0, 0, 1, earlier)


def grouped(folder, lengths, subjects):
    """Write a file with one row group for each list of lengths, whose cases are by turns of some subjects."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for group, own in enumerate(lengths):
        places = np.repeat(np.arange(len(own)), own)
        names = np.char.add(f"{group}-", places.astype(str))
        columns = {"case": names, "x": rng.normal(size=sum(own)), "label": places % 2, "subject": places % subjects}
        pq.write_table(pa.table(columns), folder / f"{group}.parquet")
    data = ParquetSet.open(folder)
    return Part.whole(data, statistics_of(data))


@pytest.mark.parametrize(
    "lengths", [[[9, 8, 7]], [[9, 8, 9, 7], [8, 7]], [[8, 9] * 4] * 4 + [[80, 90] * 4] + [[9] * 8] * 3]
)
def test_shares_of_any_number_of_processes_are_the_batches_of_one(lengths, tmp_path, monkeypatch):
    """Few row groups and subjects; and a row group unlike the others, which leaves batches of like lengths."""
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(parts, "WINDOW", 100_000)
    data = streamed(grouped(tmp_path / "set", lengths, 3))
    every = [batch for *batch, _, _ in _Epoch(data, 8, (0, 1), Workers())._batches()]
    assert sum(len(x) for x, *_ in every) == sum(map(len, lengths))
    if len(lengths) == 8:
        assert sum(x.shape[0] * x.shape[1] for x, *_ in every) <= 1.25 * sum(map(sum, lengths))
    for processes in (1, 2, 3, 5, 9):
        shares = [list(_Epoch(data, 8, (0, 1), Workers(rank, processes))._batches()) for rank in range(processes)]
        for batch, *own in zip(every, *shares, strict=True):
            assert {one[4] for one in own} == {len(batch[0])}
            rows_of_all = np.concatenate([one[3] for one in own])
            assert sorted(rows_of_all.tolist()) == list(range(len(batch[0])))
            for place, expected in enumerate(batch):
                np.testing.assert_array_equal(
                    np.concatenate([one[place] for one in own])[np.argsort(rows_of_all)], expected
                )
            if len(lengths) == 8:
                counts = [len(one[3]) for one in own]
                assert max(counts) - min(counts) <= 2
