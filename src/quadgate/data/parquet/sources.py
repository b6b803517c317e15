"""What a set is packed from, a few cases at a time: files of a folder, arrays, row groups, or what memory holds.

Each source gives pieces, and with each the place where the next one begins, so that packing can go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from quadgate.data.arrays import Axes, arrays_of, from_arrays
from quadgate.data.columns import Columns
from quadgate.data.folders import FolderOfFiles, refuse_unlike
from quadgate.data.labels import as_labels, of_cases_or_steps, tidy_labels
from quadgate.data.parquet.opening import RowGroup, cases_alone, hash_of, open_files, table_of
from quadgate.data.parquet.parquet_set import is_parquet_set
from quadgate.data.parquet.place import Place
from quadgate.data.parquet.rows import encoded, to_sequences
from quadgate.data.read import read, refuse_arguments
from quadgate.data.sequences import Dataset, Sequences
from quadgate.errors import InputError

PIECE = 4 * 2**20  # bytes of series that are given together, about
Position = list[int]
Piece = tuple[Sequences, Position]


class Source(Protocol):
    """What gives the cases of a set, a few at a time."""

    @property
    def size(self) -> int:
        """How many units there are; a position begins with the number of those that are done."""

    @property
    def most(self) -> int | None:
        """How many units become one file at most, where reading them takes longer than their bytes tell."""

    @property
    def how(self) -> tuple[str, ...]:
        """Lines that tell how it is read."""

    def pieces(self, position: Position) -> Iterator[Piece]:
        """Give the cases from a position on, `[0]` the beginning, and where the next piece begins."""


@dataclass(frozen=True, eq=False)
class Held:
    """Cases that are in memory, in an order drawn anew."""

    sequences: Sequences
    how: tuple[str, ...] = ()

    most: ClassVar[int | None] = None

    @property
    def size(self) -> int:
        """The number of cases."""
        return len(self.sequences)

    def pieces(self, position: Position) -> Iterator[Piece]:
        """Give cases that fill a piece."""
        order = drawn(self.size)
        each = max(1, PIECE // int(self.sequences.lengths.mean() * len(self.sequences.channels) * 4 + 1))
        for start in range(position[0], self.size, each):
            chosen = order[start : start + each]
            one = self.sequences.take(chosen)
            if one.names is None:  # named by their place, as a reader of the source numbers them
                one = replace(one, names=tuple(str(index) for index in chosen))
            yield one, [start + len(chosen)]


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder with a CSV for each case, of which one is in memory; in an order drawn anew."""

    files: FolderOfFiles

    most: ClassVar[int | None] = 4096  # about half a minute of reading

    @property
    def size(self) -> int:
        """The number of files."""
        return len(self.files.files)

    @property
    def how(self) -> tuple[str, ...]:
        """Lines that tell how it is read."""
        told, *lines = self.files.read(0).how
        first = f"{self.files.files[0].relative_to(self.files.folder).as_posix()}, the first of them"
        return (told, *(line.replace("1 files", first) for line in lines))

    def pieces(self, position: Position) -> Iterator[Piece]:
        """Give the case of each file."""
        order = drawn(self.size)
        channels = self.files.read(0).train.channels
        for place in range(position[0], self.size):
            found = self.files.read(int(order[place])).train
            refuse_unlike(found, channels)
            yield found, [place + 1]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays of which `x` may lie on the disk, a few cases of it in memory; in an order drawn anew."""

    x: NDArray[Any]
    labels: NDArray[Any] | None
    lengths: NDArray[Any] | None
    groups: NDArray[Any] | None
    axes: Axes | None
    channels: int | None
    name: str
    told: tuple[str, ...]

    @classmethod
    def of_npz(cls, path: Path, axes: Axes | None, channels: int | None, group: str | None) -> Arrays:
        """Open an `.npz`; where it is compressed, `X` is read into memory."""
        found, told = arrays_of(path, group, mapped=True)
        N = _cases(found["x"], path.name)
        for name in found.keys() - {"x"}:
            if np.shape(found[name])[:1] != (N,):
                raise InputError(
                    f"{path.name}: found {name} of shape {np.shape(found[name])}, expected one for each of {N:,} cases"
                )
        told_labels, more = ({}, []) if "y" not in found else of_cases_or_steps(as_labels(found["y"]), [], None)
        kept = tidy_labels(told_labels["labels"], path.name) if told_labels else None
        lengths, groups = found.get("lengths"), found.get("groups")
        return cls(found["x"], kept, lengths, groups, axes, channels, path.name, (*more, *told))

    most: ClassVar[int | None] = None

    @property
    def size(self) -> int:
        """The number of cases."""
        return len(self.x)

    @property
    def how(self) -> tuple[str, ...]:
        """Lines that tell how it is read."""
        first = self._take(np.arange(min(1, self.size)))
        shapes = (str(self.x[:1].shape), str(self.x.shape))
        return (*(line.replace(*shapes) for line in first.how), *self.told)

    def pieces(self, position: Position) -> Iterator[Piece]:
        """Give cases that fill a piece."""
        order = drawn(self.size)
        each = max(1, PIECE // max(1, self.x[:1].nbytes))
        for start in range(position[0], self.size, each):
            chosen = order[start : start + each]
            names = tuple(str(index) for index in chosen)
            yield replace(self._take_known(chosen).train, names=names), [start + len(chosen)]

    def _take_known(self, chosen: NDArray[np.int64]) -> Dataset:
        """Take cases; what is wrong with one is told by its place in the file."""
        try:
            return self._take(chosen)
        except InputError:
            for index in chosen.tolist():
                try:
                    self._take(np.array([index]))
                except InputError as error:
                    text = str(error).replace(f"{self.name}, case 0", f"{self.name}, case {index}", 1)
                    raise type(error)(text) from error
            raise

    def _take(self, chosen: NDArray[np.int64]) -> Dataset:
        picked = [None if one is None else one[chosen] for one in (self.labels, self.lengths, self.groups)]
        return from_arrays(
            self.x[chosen],
            picked[0],
            lengths=picked[1],
            groups=picked[2],
            axes=self.axes,
            channels=self.channels,
            source=self.name,
        )


@dataclass(frozen=True, eq=False)
class Tables:
    """Parquet files that hold a long table sorted by case: a case that two row groups share is put together.

    A position is a row group and the first of its rows whose case is not done.
    """

    place: Place
    roles: Columns
    channels: tuple[str, ...]
    groups: tuple[RowGroup, ...]
    how: tuple[str, ...]

    @classmethod
    def open(cls, source: str, columns: Columns) -> Tables:
        """Open the files by their ends.

        Raises:
            InputError: a file is damaged or unlike the others.
        """
        place = Place(source)
        opened = open_files(place, columns)
        if opened.problems:
            first = opened.problems[0]
            raise InputError(f"{first}; move {first.file} away to pack the other files")
        how = (f"{source}: {len(opened.groups):,} row groups, in their order",)
        return cls(place, opened.roles, opened.channels, opened.groups, how)

    most: ClassVar[int | None] = None

    @property
    def size(self) -> int:
        """The number of row groups."""
        return len(self.groups)

    def pieces(self, position: Position) -> Iterator[Piece]:
        """Give the cases that are whole once a row group is read; the last one may go on in the next."""
        import pyarrow as pa

        begin, row = (*position, 0)[:2]
        rest: Any = None  # rows of a case that may go on
        seen = self._before(begin, row)
        for number in range(begin, self.size):
            group = self.groups[number]
            table = table_of(self.place, group, self.roles, self.channels)
            skipped = row if number == begin else 0
            table = table.slice(skipped)
            held = 0 if rest is None else rest.num_rows
            table = table if rest is None else pa.concat_tables([rest, table])
            codes, names = encoded(table, str(self.roles.case), str(group))
            cut = int(np.argmax(codes == codes[-1]))
            if (codes[cut:] != codes[-1]).any():
                raise _apart(group, names[codes[-1]])
            last = number == self.size - 1
            if last or cut:
                done = to_sequences(table if last else table.slice(0, cut), self.roles, self.channels, str(group))
                for name in done.names or ():
                    if hash_of(name) in seen:
                        raise _apart(group, name)
                    seen.add(hash_of(name))
                yield done, [self.size, 0] if last else [number, cut - held + skipped]
            rest = table.slice(cut)

    def _before(self, begin: int, row: int) -> set[int]:
        """Return the hashes of the cases before a position."""
        seen: set[int] = set()
        for number in range(begin + (row > 0)):
            table = cases_alone(self.place, self.groups[number], self.roles.case)
            table = table.slice(0, row) if number == begin else table
            seen.update(map(hash_of, encoded(table, str(self.roles.case), str(self.groups[number]))[1]))
        return seen


def _apart(group: RowGroup, name: str) -> InputError:
    return InputError(
        f"{group}: found the rows of the case {name!r} apart, expected the rows of a case one after another; sort the "
        "table by its cases"
    )


def _cases(x: NDArray[Any], source: str) -> int:
    if x.ndim not in (2, 3):
        raise InputError(f"{source}: found shape {x.shape}, expected [cases, steps, channels] or [cases, steps]")
    return len(x)


def drawn(size: int) -> NDArray[np.int64]:
    """Return the order in which cases are packed: shuffled, so that neighbours in a file are no sorted classes."""
    return np.random.default_rng(0).permutation(size)


def open_source(source: str, given: dict[str, Any]) -> dict[str, Source]:
    """Find out what a source is, and give its parts by name: one called "", or `train` and `test`.

    Args:
        source: a file, a folder, a URL of Parquet files, or the name of a set of the archive.
        given: the arguments of `quadgate.data.read`.

    Raises:
        InputError, FileFormatError: see `quadgate.data.read`.
    """
    path = Path(source)
    columns = Columns(given.get("case"), given.get("time"), given.get("label"), given.get("group"))
    if is_parquet_set(source):
        return {"": Tables.open(source, columns)}
    if path.suffix.lower() == ".npz" and path.is_file():
        refuse_arguments(given, f"{source}, arrays", "axes", "channels", "group")
        return {"": Arrays.of_npz(path, given.get("axes"), given.get("channels"), given.get("group"))}
    if path.is_dir():
        inside = {one.name.lower() for one in path.iterdir()}
        kinds = {Path(name).suffix for name in inside}
        if not inside & {"x.npy", "train", "test"} and ".ts" not in kinds:
            refuse_arguments(given, f"{source}, a folder", "case", "time", "label", "group")
            return {"": Folder(FolderOfFiles.open(path, columns))}
    found = read(source, **given)
    if found.test is None:
        return {"": Held(found.train, found.how)}
    return {"train": Held(found.train, found.how), "test": Held(found.test)}
