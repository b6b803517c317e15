"""What the ends of a set's files say, and what is wrong with them: a line each, which names file and row group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quadgate.data.columns import Columns
from quadgate.data.parquet.place import Place
from quadgate.errors import FileFormatError, InputError

_INDEX = "__index_level_"  # pandas' row numbers
Kinds = dict[str, str]


@dataclass(frozen=True)
class RowGroup:
    """One row group: its file, its number in it, and its rows; `low` and `high` bound its cases where that is known."""

    file: str
    number: int
    rows: int
    low: Any = None
    high: Any = None

    def __str__(self) -> str:
        return f"{self.file}, row group {self.number}"


@dataclass(frozen=True)
class Opened:
    """What the ends of the files say.

    Attributes:
        groups: the row groups that are whole, in the order of the files.
        roles: which column is what.
        channels: the columns that are channels.
        fingerprint: a hash of the names, sizes and ends of the files.
        problems: a line for each that was found.
    """

    groups: tuple[RowGroup, ...]
    roles: Columns
    channels: tuple[str, ...]
    fingerprint: str
    problems: tuple[str, ...]


def open_files(place: Place, columns: Columns) -> Opened:
    """Read the end of every file, and hold them against each other.

    Raises:
        InputError: no file is whole, or their columns are not those of a long table.
    """
    names = place.names()
    problems: list[str] = []
    whole: dict[str, Any] = {}
    digest = hashlib.sha256()
    for name, end in zip(names, place.ends(names), strict=True):
        if isinstance(end, FileFormatError):
            problems.append(str(end))
        else:
            whole[name] = end[0]
            digest.update(end[1].encode())
    if not whole:
        raise FileFormatError(f"{place.url}: found no file that is whole; {problems[0]}")
    kinds = {name: _kinds(metadata) for name, metadata in whole.items()}
    expected = _commonest(list(kinds.values()))
    roles = columns.find(list(expected), place.url)
    channels = _channels(expected, roles, place.url)
    groups: list[RowGroup] = []
    for name, metadata in whole.items():
        wrong = _difference(kinds[name], expected, len(whole))
        if wrong is not None:
            problems.append(f"{name}: {wrong}")
            continue
        if not metadata.num_row_groups:
            problems.append(f"{name}: found no row group, expected at least one")
        stored = [metadata.schema.column(place).path for place in range(metadata.num_columns)]
        place_of_case = stored.index(str(roles.case)) if roles.case in stored else None
        for number in range(metadata.num_row_groups):
            found = metadata.row_group(number)
            group = RowGroup(name, number, found.num_rows, *_bounds(found, place_of_case))
            if group.rows:
                groups.append(group)
            else:
                problems.append(f"{group}: found no row, expected at least one")
    if not groups:
        raise FileFormatError(f"{place.url}: found no row; {problems[0]}")
    digest.update(repr((roles, channels)).encode())
    return Opened(tuple(groups), roles, channels, digest.hexdigest(), tuple(problems))


def table_of(place: Place, group: RowGroup, roles: Columns, channels: Sequence[str]) -> Any:
    """Return the columns of a row group as pyarrow reads them."""
    wanted = [name for name in (roles.case, roles.time, roles.label, roles.group) if name not in (None, "none")]
    with place.opened(group.file, str(group)) as file:
        return file.read_row_group(group.number, [*wanted, *channels], use_threads=False)


def cases_alone(place: Place, group: RowGroup, *columns: str | None) -> Any:
    """Return the column of cases of a row group as pyarrow reads it, or some that are as small."""
    with place.opened(group.file, str(group)) as file:
        return file.read_row_group(group.number, [name for name in columns if name is not None], use_threads=False)


def spanning_cases(
    groups: Sequence[RowGroup],
    cases_of: Callable[[RowGroup], list[str]],
    tell: Callable[[int, int], None] = lambda _, __: None,
) -> dict[str, tuple[RowGroup, RowGroup]]:
    """Return the cases that are in more than one row group, with two of these.

    Row groups whose bounds do not touch cannot share a case. Only the cases of the others are read, and eight bytes
    kept of each.
    """
    doubtful = _touching(groups)
    hashes = []
    for done, index in enumerate(doubtful):
        hashes.append(np.array([hash_of(name) for name in cases_of(groups[index])], np.uint64))
        tell(done + 1, len(doubtful))
    if not hashes:
        return {}
    owners = np.repeat(doubtful, [len(one) for one in hashes])
    together = np.concatenate(hashes)
    hashed, counts = np.unique(together, return_counts=True)
    repeated = hashed[counts > 1]
    first: dict[str, RowGroup] = {}
    found: dict[str, tuple[RowGroup, RowGroup]] = {}
    for index in np.unique(owners[np.isin(together, repeated)]).tolist():  # once more, for the names of those alone
        names = cases_of(groups[index])
        again = np.isin(np.array([hash_of(name) for name in names], np.uint64), repeated)
        for name in (names[place] for place in np.flatnonzero(again)):
            if first.setdefault(name, groups[index]) is not groups[index]:
                found.setdefault(name, (first[name], groups[index]))
    return found


def hash_of(name: str) -> int:
    """Return 64 bits that are the same for a name on every machine."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _touching(groups: Sequence[RowGroup]) -> list[int]:
    """Return the row groups whose bounds meet those of another, or are not known."""
    if any(group.low is None or group.high is None for group in groups):
        return list(range(len(groups)))
    order = sorted(range(len(groups)), key=lambda index: groups[index].low)
    doubtful = set()
    widest = order[0]
    for index in order[1:]:
        if groups[index].low <= groups[widest].high:
            doubtful |= {index, widest}
        if groups[index].high > groups[widest].high:
            widest = index
    return sorted(doubtful)


def _bounds(group: Any, column: int | None) -> tuple[Any, Any]:
    statistics = None if column is None else group.column(column).statistics
    if statistics is None or not statistics.has_min_max:
        return None, None
    low, high = statistics.min, statistics.max
    plain = isinstance(low, int | str) and type(low) is type(high)
    return (low, high) if plain else (None, None)


def _kinds(metadata: Any) -> Kinds:
    """Return the type of each column; texts are one type, however they are stored."""
    schema = metadata.schema.to_arrow_schema()
    return {field.name: _kind(field.type) for field in schema if not field.name.startswith(_INDEX)}


def _kind(found: Any) -> str:
    from pyarrow import types

    if types.is_dictionary(found):
        return _kind(found.value_type)
    return "text" if types.is_string(found) or types.is_large_string(found) else str(found)


def _commonest(kinds: list[Kinds]) -> Kinds:
    counts = Counter(tuple(sorted(one.items())) for one in kinds)
    commonest = counts.most_common(1)[0][0]
    return next(one for one in kinds if tuple(sorted(one.items())) == commonest)


def _channels(kinds: Kinds, roles: Columns, source: str) -> tuple[str, ...]:
    if roles.case is None:
        raise InputError(
            f"{source}: found no column of cases among {', '.join(list(kinds)[:6])}, expected one (--case NAME)"
        )
    others = (roles.case, roles.time, roles.label, roles.group, "")
    channels = tuple(name for name in kinds if name not in others)
    if not channels:
        raise InputError(f"{source}: found no column of a channel, expected at least one")
    for name in channels:
        if not kinds[name].startswith(("float", "double", "halffloat", "int", "uint", "bool")):
            raise InputError(
                f"{source}: found the column {name!r} of type {kinds[name]}, expected numbers; "
                "name the column with --case, --time, --label or --group if it is no channel"
            )
    return channels


def _difference(found: Kinds, expected: Kinds, files: int) -> str | None:
    like = f"as in the other files ({files - 1:,})"
    for name, kind in expected.items():
        if name not in found:
            return f"found no column {name!r}, expected it {like}"
        if found[name] != kind:
            return f"found the column {name!r} of type {found[name]}, expected {kind} {like}"
    surplus = [name for name in found if name not in expected]
    return f"found the column {surplus[0]!r}, expected only {', '.join(expected)} {like}" if surplus else None
