"""What the ends of a set's files say, and what is wrong with them: a line each, which names file and row group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from quadgate.data.columns import Columns
from quadgate.data.parquet.place import Place
from quadgate.errors import FileFormatError, InputError

_INDEX = "__index_level_"  # pandas' row numbers
EMPTY = "null"  # the type of a column without a value
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
class Problem:
    """What is wrong with a file or a row group, in one line, and the row groups that are lost; None: nothing tells."""

    file: str
    text: str
    groups: tuple[RowGroup, ...] | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Opened:
    """What the ends of the files say.

    Attributes:
        groups: the row groups that are whole, in the order of the files.
        roles: which column is what.
        channels: the columns that are channels.
        fingerprint: a hash of the names, sizes and ends of the files, and of what is left out for its labels.
        problems: those that were found.
    """

    groups: tuple[RowGroup, ...]
    roles: Columns
    channels: tuple[str, ...]
    fingerprint: str
    problems: tuple[Problem, ...]


def open_files(place: Place, columns: Columns, labelled: bool = True) -> Opened:
    """Read the end of every file, and hold them against each other.

    Where only some row groups have labels the others are a problem; where none has, there is no column of labels.

    Args:
        place: of the files.
        columns: those that are no channels, where they are not recognised by their names.
        labelled: whether labels are asked for; what is wrong with their column is no problem without.

    Raises:
        InputError: no file is whole, or their columns are not those of a long table.
    """
    names = place.names()
    problems: list[Problem] = []
    whole: dict[str, Any] = {}
    digest = hashlib.sha256()
    for name, end in zip(names, place.ends(names), strict=True):
        if isinstance(end, FileFormatError):
            problems.append(Problem(name, str(end)))
        else:
            whole[name] = end[0]
            digest.update(end[1].encode())
    if not whole:
        raise FileFormatError(f"{place.url}: found no file that is whole; {problems[0]}")
    kinds = {name: _kinds(metadata) for name, metadata in whole.items()}
    roles = columns.find(list(_commonest(list(kinds.values()))), place.url)
    expected = _commonest(_without_empty(roles.label, list(kinds.values())))
    channels = _channels(expected, roles, place.url)
    groups: list[RowGroup] = []
    unlabelled: list[RowGroup] = []
    for_label: list[tuple[str, int]] = []  # row groups that are left out, but would not be without labels
    for name, metadata in whole.items():
        own = _row_groups(name, metadata, roles.case)
        wrong = _difference(kinds[name], expected, len(whole), roles.label, labelled)
        if wrong is not None:
            countable = kinds[name].get(str(roles.case)) == expected[str(roles.case)]
            problems.append(Problem(name, f"{name}: {wrong}", own if countable else None))
            if labelled and _difference(kinds[name], expected, len(whole), roles.label, labelled=False) is None:
                for_label.extend((name, group.number) for group in own)
            continue
        if not own:
            problems.append(Problem(name, f"{name}: found no row group, expected at least one", own))
        for group in own:
            if not group.rows:
                problems.append(Problem(name, f"{group}: found no row, expected at least one", ()))
            elif labelled and _has_nothing(metadata, group.number, roles.label):
                unlabelled.append(group)
            else:
                groups.append(group)
    digest.update(repr((roles, channels, *unlabelled, *for_label)).encode())
    if not labelled or not groups:
        roles, groups, unlabelled = replace(roles, label=None), groups or unlabelled, unlabelled if groups else []
    problems.extend(_without_labels(unlabelled, whole, roles.label))
    if not groups:
        raise FileFormatError(f"{place.url}: found no row; {problems[0]}")
    return Opened(tuple(groups), roles, channels, digest.hexdigest(), tuple(problems))


def _row_groups(file: str, metadata: Any, case: str | None) -> tuple[RowGroup, ...]:
    column = _stored(metadata, case)
    found = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return tuple(RowGroup(file, number, one.num_rows, *_bounds(one, column)) for number, one in enumerate(found))


def _without_labels(groups: Sequence[RowGroup], whole: dict[str, Any], label: str | None) -> list[Problem]:
    """Say which files, or which row groups of a file, have no label at all."""
    found = []
    for file in dict.fromkeys(group.file for group in groups):
        own = tuple(group for group in groups if group.file == file)
        told = f"found nothing in the column {label!r}, expected a label for each case"
        if len(own) == whole[file].num_row_groups:
            found.append(Problem(file, f"{file}: {told}", own))
        else:
            found.extend(Problem(file, f"{group}: {told}", (group,)) for group in own)
    return found


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


def _without_empty(label: str | None, kinds: list[Kinds]) -> list[Kinds]:
    """Give a column of labels that has no type, since it has no value, the type that most others have."""
    known = Counter(one[label] for one in kinds if label is not None and one.get(label, EMPTY) != EMPTY)
    if label is None or not known:
        return kinds
    kind = known.most_common(1)[0][0]
    return [one | {label: kind} if one.get(label) == EMPTY else one for one in kinds]


def _has_nothing(metadata: Any, number: int, column: str | None) -> bool:
    """Tell whether a row group has no value in a column, where its end says so."""
    place = _stored(metadata, column)
    if place is None:
        return False
    found = metadata.row_group(number).column(place)
    if found.statistics is not None and found.statistics.has_null_count:
        return bool(found.statistics.null_count == metadata.row_group(number).num_rows)
    return bool(_kinds(metadata)[str(column)] == EMPTY)


def _stored(metadata: Any, column: str | None) -> int | None:
    """Return the place of a column in a file, or None where it has none of this name."""
    stored = [metadata.schema.column(place).path for place in range(metadata.num_columns)]
    return stored.index(column) if column in stored else None


def _difference(found: Kinds, expected: Kinds, files: int, label: str | None, labelled: bool) -> str | None:
    like = f"as in the other files ({files - 1:,})"
    if label is not None and (not labelled or found.get(label) == EMPTY):
        expected = {name: kind for name, kind in expected.items() if name != label}
        found = {name: kind for name, kind in found.items() if name != label}
    for name, kind in expected.items():
        if name not in found:
            return f"found no column {name!r}, expected it {like}"
        if found[name] != kind:
            return f"found the column {name!r} of type {found[name]}, expected {kind} {like}"
    surplus = [name for name in found if name not in expected]
    return f"found the column {surplus[0]!r}, expected only {', '.join(expected)} {like}" if surplus else None
