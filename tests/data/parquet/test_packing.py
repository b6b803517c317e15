import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quadgate.data import Sequences, make_sequences, read
from quadgate.data.parquet import ParquetSet, statistics_of
from quadgate.data.parquet import packing as module
from quadgate.data.parquet.packing import identity_of, pack, packed_so_far
from quadgate.data.parquet.sources import Held, open_source
from quadgate.errors import FileFormatError, InputError

SOURCES = ("folder", "labels.csv", "npz", "packed npz", "ts", "table", "parquet", "npy")


def write_source(kind, home, sequences):
    """Write sequences in one of the forms; return what to pack."""
    names = ["no", "yes"]
    if kind in ("folder", "labels.csv"):
        for i, one in enumerate(sequences.series):
            folder = home / "csv" / names[sequences.labels[i]] if kind == "folder" else home / "csv"
            folder.mkdir(parents=True, exist_ok=True)
            rows = "\n".join(",".join(map(repr, map(float, row))) for row in one)
            (folder / f"run{i}.csv").write_text(f"a,b,c\n{rows}\n")
        if kind == "labels.csv":
            lines = "\n".join(f"run{i},{names[k]}" for i, k in enumerate(sequences.labels))
            (home / "csv" / "labels.csv").write_text(f"file,label\n{lines}\n")
        return home / "csv"
    lengths = sequences.lengths
    x = np.zeros((len(sequences), lengths.max(), 3), np.float32)
    for row, one in zip(x, sequences.series, strict=True):
        row[: len(one)] = one
    if kind.endswith("npz"):
        save = np.savez if kind == "npz" else np.savez_compressed
        save(home / "a.npz", X=x.astype(np.float64), y=np.array(names)[sequences.labels], lengths=lengths, other=[1])
        return home / "a.npz"
    if kind == "npy":
        (home / "npy").mkdir()
        np.save(home / "npy" / "X.npy", x[:, :20])
        np.save(home / "npy" / "y.npy", sequences.labels)
        return home / "npy"
    if kind == "ts":
        lines = [
            ":".join(",".join(map(repr, map(float, channel))) for channel in one.T) + f":{names[k]}"
            for one, k in zip(sequences.series, sequences.labels, strict=True)
        ]
        head = "@problemName x\n@timeStamps false\n@univariate false\n@dimension 3\n@equalLength false\n"
        head += "@classLabel true no yes\n@data\n"
        (home / "x.ts").write_text(head + "\n".join(lines) + "\n")
        return home / "x.ts"
    columns = {"case": np.repeat([f"s{i}" for i in range(len(sequences))], lengths)}
    columns |= {name: np.concatenate(sequences.series)[:, c] for c, name in enumerate("abc")}
    columns["label"] = np.repeat(np.array(names)[sequences.labels], lengths)
    table = pa.table(columns)
    if kind == "table":
        pq.write_table(table, home / "long.parquet")
        return home / "long.parquet"
    (home / "tables").mkdir()
    half = len(table) // 2  # a case is cut by two files, and others by row groups
    for file, part in enumerate((table.slice(0, half), table.slice(half))):
        pq.write_table(part, home / "tables" / f"t{file}.parquet", row_group_size=13)
    return home / "tables"


def packed(source, out, **given):
    (part,) = open_source(str(source), given).values()
    return pack(part, out, identity_of(str(source), given))


def contents(folder):
    data = ParquetSet.open(folder)
    found = {}
    for number in range(len(data.groups)):
        one = data.read(number)
        for name, series, label in zip(one.names, one.series, one.labels.tolist(), strict=True):
            assert name not in found
            found[name] = series, label
    return found


@pytest.fixture
def small_groups(monkeypatch):
    """Row groups of a few cases, files of a few row groups, pieces of one or two cases."""
    monkeypatch.setattr(module, "GROUP", 800)
    monkeypatch.setattr(module, "FILE", 2500)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 400)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_case_is_packed_once_and_as_the_reader_reads_it(kind, tmp_path, small_groups):
    sequences = make_sequences(23, time=(20, 30), channels=3, seed=5)
    source = write_source(kind, tmp_path, sequences)
    assert packed(source, tmp_path / "out") == 23
    found = contents(tmp_path / "out")
    if kind == "parquet":
        names, series = [f"s{i}" for i in range(23)], sequences.series
        labels = [("no", "yes")[k] for k in sequences.labels]
    else:
        expected = read(source).train
        names = expected.names or tuple(map(str, range(23)))
        series, labels = expected.series, expected.labels.tolist()
    assert sorted(found) == sorted(names)
    for name, one, label in zip(names, series, labels, strict=True):
        np.testing.assert_array_equal(found[name][0], one)
        assert found[name][1] == label
    assert len(list((tmp_path / "out").glob("*.parquet"))) >= 2


@pytest.mark.parametrize("kind", ["folder", "npz", "parquet"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_packing_goes_on_to_the_same_files(kind, stop, tmp_path, small_groups, monkeypatch):
    source = write_source(kind, tmp_path, make_sequences(23, time=(20, 30), channels=3, seed=5))
    packed(source, tmp_path / "whole")
    write_group, seen = module._write_group, []

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) == 2 * stop + 1:
            raise KeyboardInterrupt
        return write_group(*arguments)

    monkeypatch.setattr(module, "_write_group", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packed(source, tmp_path / "cut")
    assert not list((tmp_path / "cut").glob(".*"))
    assert packed(source, tmp_path / "cut") == 23
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "cut").iterdir())
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_a_file_has_not_too_many_files_of_a_folder_so_that_little_is_lost(tmp_path, monkeypatch):
    source = write_source("folder", tmp_path, make_sequences(23, time=(20, 30), channels=3, seed=5))
    (part,) = open_source(str(source), {}).values()
    assert part.how[:2] == (
        "csv: a folder for each class: no 12, yes 11",
        "no/run0.csv, the first of them: comma-delimited, utf-8, a header",
    )
    monkeypatch.setattr(type(part), "most", 10)

    def stop(position, _):
        if position == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(part, tmp_path / "out", "x", stop)
    assert packed_so_far(tmp_path / "out") == 10
    assert pack(part, tmp_path / "out", "x") == packed_so_far(tmp_path / "out") == 23
    assert [pq.read_metadata(file).num_row_groups for file in sorted((tmp_path / "out").glob("*.parquet"))] == [1] * 3


def test_other_readers_read_the_folder_of_a_set(tmp_path):
    pack(Held(make_sequences(9, time=20, channels=3)), tmp_path / "set", "x")
    statistics_of(ParquetSet.open(tmp_path / "set"))
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "_packing.json", "_statistics.json", "part-00000.parquet"
    ]  # fmt: skip
    assert pq.read_table(tmp_path / "set").num_rows == 9 * 20


KILLED = """
import sys, time
from quadgate.data.parquet import packing
from quadgate.data.parquet.packing import identity_of, pack
from quadgate.data.parquet.sources import open_source
packing.GROUP, packing.FILE = 800, 2500
(source,) = open_source(sys.argv[1], {}).values()
print("begun", flush=True)
pack(source, __import__("pathlib").Path(sys.argv[2]), identity_of(sys.argv[1], {}), lambda *_: time.sleep(0.02))
"""


@pytest.mark.slow
def test_a_killed_packing_goes_on(tmp_path, small_groups):
    source = write_source("folder", tmp_path, make_sequences(60, time=(20, 30), channels=3, seed=5))
    packed(source, tmp_path / "whole")
    for wait in (0.05, 0.3, 0.4):
        command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "cut")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(wait)
            os.kill(process.pid, signal.SIGKILL)
    assert packed(source, tmp_path / "cut") == 60
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()
    assert len(list((tmp_path / "cut").iterdir())) == len(list((tmp_path / "whole").iterdir()))


def test_a_set_that_is_packed_is_left_alone(tmp_path, small_groups):
    source = write_source("npz", tmp_path, make_sequences(9, time=20, channels=3))
    packed(source, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert packed(source, tmp_path / "out") == 9
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_another_source_or_a_folder_in_use_is_refused(tmp_path, small_groups):
    source = write_source("npz", tmp_path, make_sequences(9, time=20, channels=3))
    packed(source, tmp_path / "out")
    with pytest.raises(InputError, match="found a set packed from another source"):
        packed(source, tmp_path / "out", channels=3)
    with pytest.raises(InputError, match="exists already and is no set that was being packed"):
        packed(source, tmp_path)


def test_both_parts_of_a_source_are_given(tmp_path):
    for part in ("TRAIN", "TEST"):
        home = tmp_path / part
        home.mkdir()
        write_source("ts", home, make_sequences(6, time=20, channels=3)).rename(tmp_path / f"Set_{part}.ts")
    assert list(open_source(str(tmp_path / "Set_TRAIN.ts"), {})) == ["train", "test"]


def test_classes_at_every_step_are_kept(tmp_path):
    from quadgate.data.parquet.sources import Held

    sequences = Sequences([np.ones((3, 1)), np.zeros((2, 1))], step_labels=[[0, 1, 1], [1, 1]], names=["a", "b"])
    pack(Held(sequences), tmp_path / "out", "x")
    found = ParquetSet.open(tmp_path / "out").read(0)
    assert {n: one.tolist() for n, one in zip(found.names, found.step_labels, strict=True)} == {
        "a": [0, 1, 1],
        "b": [1, 1],
    }


def test_channels_with_names_of_other_columns_stay_channels(tmp_path):
    from quadgate.data.parquet.sources import Held

    sequences = Sequences([np.ones((3, 2)), np.zeros((2, 2))], labels=[0, 1], channels=("t", "Label"))
    pack(Held(sequences), tmp_path / "out", "x")
    assert ParquetSet.open(tmp_path / "out").channels == ("channel t", "channel Label")


def test_rows_of_a_case_that_stand_apart_are_refused(tmp_path):
    (tmp_path / "tables").mkdir()
    table = pa.table({"case": ["a", "b", "a"], "x": [1.0, 2, 3]})
    pq.write_table(table, tmp_path / "tables" / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, row group 0: found the rows of the case 'a' apart"):
        packed(tmp_path / "tables", tmp_path / "out")


def test_a_damaged_archive_is_refused(tmp_path):
    source = write_source("npz", tmp_path, make_sequences(9, time=20, channels=3))
    raw = source.read_bytes()
    for cut in (10, len(raw) // 2, len(raw) - 5):
        source.write_bytes(raw[:cut])
        with pytest.raises(FileFormatError):
            packed(source, tmp_path / "out")
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("X.npy", raw[:40])
    with pytest.raises(FileFormatError):
        packed(source, tmp_path / "out")


def test_the_set_may_lie_in_the_folder_of_its_source(tmp_path, small_groups):
    source = write_source("folder", tmp_path, make_sequences(9, time=20, channels=3))
    out = source / "packed"
    before = identity_of(str(source), {}, out)
    (part,) = open_source(str(source), {}).values()
    assert pack(part, out, before) == 9
    assert identity_of(str(source), {}, out) == before


def test_a_case_that_returns_in_another_row_group_is_refused(tmp_path, small_groups):
    (tmp_path / "set").mkdir()
    table = pa.table({"case": list("aabbccaadd"), "x": np.arange(10.0)})
    pq.write_table(table, tmp_path / "set" / "a.parquet", row_group_size=2)
    with pytest.raises(InputError, match="found the rows of the case 'a' apart, expected the rows of a case one after"):
        packed(tmp_path / "set", tmp_path / "out")
    (source,) = open_source(str(tmp_path / "set"), {}).values()
    with pytest.raises(InputError, match="the case 'a' apart"):
        list(source.pieces([2, 0]))


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"X": np.float64(3)}, r"a.npz: found shape \(\), expected \[cases, steps, channels\]"),
        ({"X": np.ones((6, 9, 2)), "y": [0, 1]}, r"found y of shape \(2,\), expected one for each of 6 cases"),
        ({"X": np.ones((6, 9, 2)), "groups": [0, 1]}, r"found groups of shape \(2,\), expected one for each of 6"),
        ({"X": np.ones((6, 9, 2)), "lengths": 9}, r"found lengths of shape \(\), expected one for each of 6 cases"),
        ({"X": np.where(np.arange(6)[:, None, None] == 4, np.nan, np.ones((6, 9, 2)))}, "a.npz, case 4, step 0, "),
    ],
)
def test_arrays_are_checked_as_where_they_are_read(tmp_path, arrays, told):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=told):
        packed(tmp_path / "a.npz", tmp_path / "out")


def test_an_argument_that_means_nothing_for_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((6, 9, 2)))
    with pytest.raises(InputError, match="found label='kind', which means nothing here"):
        packed(tmp_path / "a.npz", tmp_path / "out", label="kind")


def test_a_packed_file_that_is_gone_is_noticed(tmp_path, small_groups):
    source = write_source("npz", tmp_path, make_sequences(9, time=20, channels=3))
    packed(source, tmp_path / "out")
    (tmp_path / "out" / "part-00000.parquet").unlink()
    with pytest.raises(InputError, match=r"found no part-00000\.parquet, which was packed before"):
        packed(source, tmp_path / "out")


def test_a_source_is_the_same_however_its_path_is_spelled(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", X=np.ones((6, 9, 2)))
    monkeypatch.chdir(tmp_path)
    assert identity_of("a.npz", {}) == identity_of(str(tmp_path / "a.npz"), {})
    (tmp_path / "out").mkdir()
    before = identity_of(str(tmp_path), {}, tmp_path / "out")
    (tmp_path / "out" / "part").write_text("x")
    assert identity_of(".", {}, Path("out")) == before


def test_a_folder_begun_by_an_earlier_version_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "packing.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"found a set that an earlier version of quadgate began to pack.*give another"
    ):
        pack(Held(make_sequences(8, time=20, channels=2)), tmp_path, "x")
