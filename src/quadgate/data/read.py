"""One door for every form of data: decide what a source is, read it, and tell how it was read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quadgate.data.archive import read_archive
from quadgate.data.arrays import read_npy, read_npz
from quadgate.data.columns import Columns
from quadgate.data.folders import read_folder
from quadgate.data.sequences import Dataset, Sequences
from quadgate.data.table import PARQUET, read_table
from quadgate.data.ts import find_test_part, read_ts
from quadgate.errors import InputError

SAMPLE = 10_000  # cases of a set of Parquet files that are read into memory, at most
TEXT = (".csv", ".tsv", ".txt")


def read(
    source: str | Path | None = None,
    *,
    x: str | Path | None = None,
    y: str | Path | None = None,
    test: str | Path | None = None,
    axes: str | None = None,
    channels: int | None = None,
    inputs: int | None = None,
    case: str | None = None,
    time: str | None = None,
    label: str | None = None,
    group: str | None = None,
    skip_damaged: bool = False,
) -> Dataset:
    """Read series and their labels from a file, a folder, or an archive by name.

    ======================================  =============================================================
    source                                  what is read
    ======================================  =============================================================
    `JapaneseVowels`                        a data set of the UEA/UCR archive, in its own two parts
    `x="X.npy", y="y.npy"`                  arrays; a folder with these two files is the same
    `set.npz`                               `X`, `y`, and `lengths` and `groups` where there are
    `NAME_TRAIN.ts`                         with `NAME_TEST.ts` beside it as the test part, where it exists
    `runs.csv`, `.tsv`, `.txt`, `.parquet`  a long table, or with `channels` a wide one
    a folder of `.parquet` files, or a URL  a set that may be larger than memory: a sample of at most 10 000 cases
    a folder                                a folder for each class with a CSV for each case; CSVs with `labels.csv`;
                                            a pair of `.ts` files; or `train` and `test` folders of any of these
    ======================================  =============================================================

    Args:
        source: see the table.
        x: an `.npy` file with the series, in place of `source`.
        y: an `.npy` file with their labels.
        test: the source of a test part, read in the same way.
        axes: the order of an array's axes, `"NTC"` or `"NCT"`, or of the values in a row of a wide table.
        channels: how many channels there are.
        inputs: how many the model reads that the series are for, where there is one: an array with so many on its last
            axis does not look swapped.
        case: the column of a long table that names the case of a row.
        time: its column of times; `"none"` says that no column is one.
        label: the column of the label.
        group: the column of the subject or machine, or an array's name in an `.npz`.
        skip_damaged: whether what is damaged of a set of Parquet files is left out.

    Returns:
        The cases, the test part if the source has one, and `how`: lines that tell the sizes and how it was read.

    Raises:
        InputError: the source is not there, is not what is needed, or an argument means nothing for it.
        FileFormatError: a file is damaged.
        MissingDependencyError: a package that this form needs is not installed.
    """
    given: dict[str, Any] = {
        "axes": axes, "channels": channels, "case": case, "time": time, "label": label, "group": group, "inputs": inputs
    }  # fmt: skip
    if (source is None) == (x is None):
        found = "neither a source nor x" if x is None else f"both a source ({source}) and x ({x})"
        raise InputError(
            f"data: found {found}, expected one: a file, folder or archive name, or x (--x X.npy --y y.npy)"
        )
    if y is not None and x is None:
        raise InputError("data: found y without x, expected both (--x X.npy --y y.npy)")
    if x is not None:
        data = _read_arrays(Path(x), None if y is None else Path(y), given)
    else:
        data = _read_source(str(source), given, skip_damaged)
    if test is not None:
        if data.test is not None:
            raise InputError(f"{source}: found a test part of its own, expected none where test is given")
        beside = _read_source(str(test), given, skip_damaged)
        data = _with_test(data, beside.train, beside.how)
    if data.test is None:
        sizes: tuple[str, ...] = (data.train.describe(),)
    else:
        train, judged = _alike(data.train, data.test)
        data = Dataset(train, judged, data.how)
        sizes = (f"training part: {train.describe()}", f"test part: {judged.describe()}")
    return Dataset(data.train, data.test, (*sizes, *data.how))


def _read_source(source: str, given: dict[str, Any], skip_damaged: bool = False) -> Dataset:
    from quadgate.data.parquet import is_parquet_set  # whose packing reads through this door, too

    if is_parquet_set(source):
        refuse_arguments(given, f"{source}, a set of Parquet files", "case", "time", "label", "group")
        columns = Columns(given["case"], given["time"], given["label"], given["group"])
        return _read_set(source, columns, skip_damaged)
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_directory(path, given)
    if not path.exists():
        if suffix or len(path.parts) > 1:
            raise InputError(f"{path}: found no such file or folder")
        refuse_arguments(given, f"{source}, a data set of the archive")
        return read_archive(source)
    if suffix == ".npy":
        return _read_arrays(path, None, given)
    if suffix == ".npz":
        refuse_arguments(given, f"{source}, arrays", "axes", "channels", "group")
        return read_npz(path, given["axes"], given["channels"], given["group"], given["inputs"])
    if suffix == ".ts":
        refuse_arguments(given, f"{source}, a .ts file")
        return _read_ts_pair(path)
    if suffix in TEXT or suffix in PARQUET:
        columns = Columns(given["case"], given["time"], given["label"], given["group"])
        return read_table(path, columns, given["channels"], given["axes"])
    known = ", ".join((".npy", ".npz", ".ts", *TEXT, *PARQUET))
    raise InputError(f"{path}: found the ending {suffix!r}, expected one of {known}, or a folder")


def _read_set(source: str, columns: Columns, skip_damaged: bool) -> Dataset:
    """Read a set that may be larger than memory: all of it, or a sample of what there is."""
    from quadgate.data.parquet import ParquetSet, Part, statistics_of

    data = ParquetSet.open(source, columns, skip_damaged)
    found, told = Part.whole(data, statistics_of(data)).sample(SAMPLE)
    return Dataset(found, how=data.how if told is None else (*data.how, told))


def _read_directory(folder: Path, given: dict[str, Any]) -> Dataset:
    entries = {path.name.lower(): path for path in folder.iterdir()}
    if "x.npy" in entries:
        return _read_arrays(entries["x.npy"], entries.get("y.npy"), given)
    pairs = [path for name, path in sorted(entries.items()) if name.endswith("_train.ts")]
    if len(pairs) == 1:
        refuse_arguments(given, f"{pairs[0]}, a .ts file")
        return _read_ts_pair(pairs[0])
    if len(pairs) > 1:
        raise InputError(
            f"{folder}: found {len(pairs)} training parts ({pairs[0].name}, ...), expected one; name the file"
        )
    if {"train", "test"} <= entries.keys() and entries["train"].is_dir() and entries["test"].is_dir():
        train, test = (_read_source(str(entries[part]), given) for part in ("train", "test"))
        return _with_test(train, test.train, test.how)
    refuse_arguments(given, f"{folder}, a folder", "case", "time", "label", "group")
    return read_folder(folder, Columns(given["case"], given["time"], given["label"], given["group"]))


def _read_arrays(x: Path, y: Path | None, given: dict[str, Any]) -> Dataset:
    refuse_arguments(given, f"{x}, an array", "axes", "channels")
    return read_npy(x, y, given["axes"], given["channels"], given["inputs"])


def _read_ts_pair(path: Path) -> Dataset:
    beside = find_test_part(path)
    train = read_ts(path)
    if beside is None:
        return Dataset(train, how=(f"{path.name}: a .ts file, through aeon",))
    return Dataset(train, read_ts(beside), (f"{path.name} and {beside.name}: a pair of .ts files, through aeon",))


def _with_test(train: Dataset, test: Sequences, how: tuple[str, ...] = ()) -> Dataset:
    told = (line for line in how if line not in train.how)
    return Dataset(train.train, test, (*train.how, f"test part from {test.source}", *told))


def _alike(train: Sequences, test: Sequences) -> tuple[Sequences, Sequences]:
    """Check that both parts have as many channels; where one has a class at each step, so has the other."""
    if len(train.channels) != len(test.channels):
        raise InputError(
            f"{test.source}: found {len(test.channels)} channels in the test part, "
            f"expected {len(train.channels)} as in the training part"
        )
    test = test.with_channels(train.channels)
    if (train.step_labels is None) == (test.step_labels is None):
        return train, test
    return train.at_steps(), test.at_steps()


def refuse_arguments(given: dict[str, Any], form: str, *accepted: str) -> None:
    """Refuse arguments that mean nothing for this form, rather than leave them unused; `inputs` only settles doubts."""
    for name, value in given.items():
        if value is not None and name not in (*accepted, "inputs"):
            expected = f"only {', '.join(accepted)}" if accepted else "no argument"
            raise InputError(f"{form}: found {name}={value!r}, which means nothing here; expected {expected}")
