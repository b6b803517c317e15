"""Folders with a CSV for each case: a folder for each class, or one folder with a `labels.csv`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from quadgate.data.columns import KNOWN_NAMES, Columns
from quadgate.data.delimited import Delimited, read_delimited
from quadgate.data.sequences import Dataset, Sequences
from quadgate.data.table import from_long
from quadgate.dependencies import require
from quadgate.errors import FileFormatError, InputError, suggest

_SUFFIXES = (".csv", ".tsv")
_FILE_NAMES = ("file", "filename", "file_name", "name", "path", "case", "文件")


def read_folder(folder: Path, columns: Columns | None = None) -> Dataset:
    """Read a folder of delimited files, one for each case.

    The class is the name of the file's folder, or stands in `labels.csv` (columns `file` and `label`, and a group if
    known), or in a column of the files; else there are no labels. Files need not be written alike: each may have
    its own comments, delimiter and encoding, with or without a header; their columns have to be the same.

    Raises:
        MissingDependencyError: pandas is not installed.
        FileFormatError: a file is damaged or has other columns than the first.
        InputError: no file, files both in the folder and in folders of it, or a file without a label.
    """
    return FolderOfFiles.open(folder, columns).read_all()


@dataclass(frozen=True, eq=False)
class FolderOfFiles:
    """What is known of a folder before its files are read: `labels` and `groups` of each where they stand outside."""

    folder: Path
    files: list[Path]
    given: Columns
    labels: list[str] | None
    groups: list[str] | None
    told: str

    @classmethod
    def open(cls, folder: Path, columns: Columns | None = None) -> FolderOfFiles:
        """Find the files and their labels; see `read_folder`."""
        return cls(folder, *_survey(folder, columns or Columns()))

    def read_all(self) -> Dataset:
        """Read every file."""
        return self._gather([read_delimited(file, KNOWN_NAMES) for file in self.files], None)

    def read(self, index: int) -> Dataset:
        """Read one file, under the names that the files have."""
        return self._gather([read_delimited(self.files[index], KNOWN_NAMES)], index)

    @cached_property
    def _named(self) -> Delimited:
        """The first file that names its columns; the first file where none does."""
        forms = (read_delimited(file, KNOWN_NAMES) for file in self.files)
        return next((form for form in forms if form.names is not None), read_delimited(self.files[0], KNOWN_NAMES))

    def _gather(self, forms: list[Delimited], index: int | None) -> Dataset:
        """Read all files, or the one at `index`, from their text."""
        chosen = slice(None) if index is None else slice(index, index + 1)
        named = next((form for form in forms if form.names is not None), forms[0]) if index is None else self._named
        labels = None if self.labels is None else self.labels[chosen]
        groups = None if self.groups is None else self.groups[chosen]
        return _gather(self.folder, forms, named, self.given, labels, groups, self.told)


def refuse_unlike(found: Sequences, channels: tuple[str, ...]) -> None:
    """Refuse a case whose file has other channels than the first one read, since each file is read for itself."""
    if found.channels != channels:
        raise InputError(
            f"{found.name(0)}: found the channels {', '.join(found.channels)}, expected {', '.join(channels)} "
            "as in the first file; --time NAME or --time none settles what is no channel"
        )


def _survey(folder: Path, given: Columns) -> tuple[list[Path], Columns, list[str] | None, list[str] | None, str]:
    """Return the files of a folder, the columns to look for in them, their labels and groups, and a line."""
    inside = _files_of(folder)
    table = next((file for file in inside if file.stem.lower() == "labels"), None)
    inside = [file for file in inside if file != table]
    below = {path: _files_of(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    deeper = [file for files in below.values() for file in files]
    if inside and deeper:
        raise InputError(
            f"{folder}: found {len(inside)} CSV files and folders with others ({deeper[0].parent.name}), "
            "expected a folder for each class, or all files in one folder"
        )
    files = inside or deeper
    if not files:
        raise InputError(f"{folder}: found no CSV file, expected a folder for each class with a CSV for each case")
    if table is not None:
        labels, groups = _labels_of(table, files, given, folder)
        told = f"{folder.name}: {len(files)} files, labels from {table.name}"
        given = Columns(time=given.time)
    elif deeper:
        labels, groups = [file.parent.name for file in files], None
        counts = Counter(labels)
        told = f"{folder.name}: a folder for each class: " + ", ".join(f"{name} {n}" for name, n in counts.items())
    else:
        labels, groups = None, None
        told = f"{folder.name}: {len(files)} files in one folder"
    return files, given, labels, groups, told


def natural(path: Path) -> list[tuple[int, str]]:
    """Return the key that puts `run2.csv` before `run10.csv`."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _files_of(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    return sorted(found, key=natural)


def _gather(
    folder: Path,
    forms: list[Delimited],
    named: Delimited,
    given: Columns,
    labels: list[str] | None,
    groups: list[str] | None,
    told: str,
) -> Dataset:
    pandas = require("pandas", f"{folder} (a folder of tables) cannot be read")
    roles = given.find(named.column_names, str(named.path.relative_to(folder)))
    text = {name for name in (roles.label, roles.group) if name is not None}
    frames = [_like(form, named, folder).frame(text)[list(named.column_names)] for form in forms]
    frame = pandas.concat(frames, ignore_index=True)
    rows = [len(one) for one in frames]
    how = [told, *(f"{n} files: {form}" for form, n in Counter(form.how for form in forms).items())]
    if roles.label is not None and labels is not None:
        if given.label is not None:
            labels = None
        else:
            frame = frame.drop(columns=roles.label)
            how.append(f"the column {roles.label!r} of the files is left out: the class is known from outside them")
            roles = Columns(time=roles.time, group=roles.group)
    if groups is not None:
        frame = frame.assign(group=np.repeat(groups, rows))
        roles = Columns(time=roles.time, label=roles.label, group="group")
    cases = np.repeat([form.path.relative_to(folder).as_posix() for form in forms], rows)
    roles = Columns(time=roles.time, label=roles.label, group=roles.group)
    data = from_long(frame, roles, cases, folder.name, None if labels is None else np.repeat(labels, rows))
    return Dataset(data.train, how=(*how, *data.how))


def _like(form: Delimited, named: Delimited, folder: Path) -> Delimited:
    """Return `form` under the names of `named`, or refuse it."""
    if form.names is None and form.width == named.width:
        return form.renamed(named.column_names)
    if sorted(form.column_names) == sorted(named.column_names):
        return form
    raise FileFormatError(
        f"{form.path}: found the columns {', '.join(form.column_names)}, expected {', '.join(named.column_names)} "
        f"as in {named.path.relative_to(folder)}"
    )


def _labels_of(table: Path, files: list[Path], given: Columns, folder: Path) -> tuple[list[str], list[str] | None]:
    """Return the label of each file, and its group where the table has one."""
    form = read_delimited(table, (*KNOWN_NAMES, *_FILE_NAMES))
    names = form.column_names
    roles = Columns(case=given.case, label=given.label, group=given.group).find(names, table.name)
    file_column = given.case or next((name for name in names if name.lower() in _FILE_NAMES), names[0])
    label_column = roles.label or next((name for name in names if name not in (file_column, roles.group)), None)
    if label_column is None:
        raise FileFormatError(f"{table}: found the columns {', '.join(names)}, expected a file and its label")
    rows = form.frame(names)
    known: dict[str, int] = {}
    for row, name in enumerate(rows[file_column]):
        first = known.setdefault(name.removesuffix(".csv").removesuffix(".tsv"), row)
        for what, column in (("labels", label_column), ("groups", roles.group)):
            if column is not None and (found := rows[column].iloc[[first, row]].tolist())[0] != found[1]:
                raise InputError(f"{table}: found the {what} {found[0]!r} and {found[1]!r} for {name!r}, expected one")
    lacking = [file.name for file in files if file.stem not in known]
    surplus = sorted(set(known) - {file.stem for file in files})
    if lacking:
        raise InputError(f"{table}: found no label for {len(lacking)} of {len(files)} files, such as {lacking[0]}")
    if surplus:
        hint = suggest(surplus[0], [file.stem for file in files][:20])
        raise InputError(f"{table}: found a label for {surplus[0]!r}, expected such a file in {folder}; {hint}")
    chosen = rows.iloc[[known[file.stem] for file in files]]
    groups: list[str] | None = None if roles.group is None else chosen[roles.group].tolist()
    return chosen[label_column].tolist(), groups
