"""What several processes tell each other, in processes of this one's own."""

import multiprocessing
import time
from datetime import timedelta

import pytest
from torch import distributed

from quadgate.data import make_sequences
from quadgate.data.parquet import pack, packing, parquet_set, statistics
from quadgate.data.parquet.sources import Held
from quadgate.errors import InputError
from quadgate.training import Settings, Workers, parts_on_disk

WAIT = 2.0  # seconds that the process group waits


def measure(rank, folders, home, ends):
    distributed.init_process_group(
        "gloo", init_method=f"file://{home}/store", rank=rank, world_size=2, timeout=timedelta(seconds=WAIT)
    )
    looks, measured = [], statistics._measure
    searched, search = [], parquet_set.spanning_cases

    def searching(*given):
        searched.append(rank)
        return search(*given)

    parquet_set.spanning_cases = searching

    def slowly(data, number):
        time.sleep(0.5 if rank == 0 else 0)
        looks.append(number)
        return measured(data, number)

    statistics._measure = slowly
    said = []
    try:
        found = parts_on_disk(
            folders[rank], Settings(), tell=lambda *how: said.append(how), skip_damaged=len(set(folders)) == 1
        )
        ends.put(
            (rank, looks, said, found.learn.fingerprint(), found.learn.statistics.as_text(found.learn.data), searched)
        )
    except InputError as error:
        ends.put((rank, str(error)))
    Workers.here().gathered(0.0)
    distributed.destroy_process_group()


def together(folders, home, target=measure):
    """Fork two processes, which have torch already."""
    context = multiprocessing.get_context("fork")
    ends = context.Queue()
    both = [context.Process(target=target, args=(rank, folders, home, ends)) for rank in (0, 1)]
    for one in both:
        one.start()
    found = sorted(ends.get(timeout=60) for _ in both)
    for one in both:
        one.join(20)
        assert one.exitcode == 0
    return found


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_first_measures_a_set_and_the_others_wait_longer_than_their_group_does(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "GROUP", 1200)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 300)
    pack(Held(make_sequences(60, time=(20, 30), channels=3, seed=2)), tmp_path / "set", "x")
    first, other = together([str(tmp_path / "set")] * 2, tmp_path)
    assert sorted(first[1]) == list(range(len(first[1])))
    assert len(first[1]) / 2 * 0.5 > WAIT  # two threads measure
    assert first[2][-1] == (len(first[1]), len(first[1]))
    assert other[1:3] == ([], [])
    assert first[3:5] == other[3:5]
    assert (first[5], other[5]) == ([0], [])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_the_first_refuses_all_refuse(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.parquet").write_bytes(b"PAR1")
    told = [one[1] for one in together([str(tmp_path / "set")] * 2, tmp_path)]
    assert told[0] == told[1]
    assert "found no file that is whole; a.parquet: damaged" in told[0]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("other", ["nothing", "others"])
def test_where_one_finds_other_files_all_refuse(tmp_path, other):
    pack(Held(make_sequences(20, time=20, channels=3, seed=2)), tmp_path / "set", "x")
    if other == "others":
        pack(Held(make_sequences(20, time=20, channels=3, seed=3)), tmp_path / "others", "x")
    told = [one[1] for one in together([str(tmp_path / "set"), str(tmp_path / other)], tmp_path)]
    assert told == [
        f"{tmp_path / one}: process 1 has others than the first; give all processes the same command and files"
        for one in ("set", other)
    ]


def fail(rank, _, home, ends):
    distributed.init_process_group(
        "gloo", init_method=f"file://{home}/store", rank=rank, world_size=2, timeout=timedelta(seconds=30)
    )

    def broken():
        raise RuntimeError("no such\nthing")

    try:
        Workers.here().told(broken)
    except (RuntimeError, InputError) as error:
        ends.put((rank, type(error).__name__, str(error)))
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_whatever_ends_the_first_the_others_are_told(tmp_path):
    begin = time.monotonic()
    assert together(None, tmp_path, fail) == [
        (0, "RuntimeError", "no such\nthing"),
        (1, "InputError", "the first process was ended by RuntimeError no such thing"),
    ]
    assert time.monotonic() - begin < 25
