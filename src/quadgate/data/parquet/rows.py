"""From the rows of a long table, as pyarrow holds them, to series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data.columns import Columns
from quadgate.data.labels import tidy_labels
from quadgate.data.sequences import Sequences
from quadgate.data.table import refuse_rounded
from quadgate.errors import InputError

Array = NDArray[Any]
ROWS = 4096  # of all channels that are put beside each other at a time, while they are near


def to_sequences(
    table: Any,
    roles: Columns,
    channels: tuple[str, ...],
    source: str,
    every_step: bool | None = None,
    excluded: frozenset[str] = frozenset(),
) -> Sequences:
    """Gather the rows of each case, in order of time where there is a column of it.

    Args:
        table: a `pyarrow.Table` with a row for each step.
        roles: the columns that are no channels.
        channels: those that are.
        source: the name of the table in messages.
        every_step: whether there is a class at every step; None: where it changes within a case.
        excluded: cases to leave out.

    Raises:
        InputError: a case or label is missing, a case has one time twice or two groups, or `Sequences` refuses it.
    """
    if excluded:
        codes, names = encoded(table, str(roles.case), source)
        kept = np.array([name not in excluded for name in names])
        table = table.filter(kept[codes])
        if not table.num_rows:
            raise InputError(f"{source}: found no case that is not left out, expected at least one")
    codes, names = encoded(table, str(roles.case), source)
    times = None if roles.time in (None, "none") else table[roles.time].to_numpy()
    order, bounds = _order(codes, times, names, source)
    values: NDArray[np.float32] = np.empty((table.num_rows, len(channels)), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # refused by name, with case and step
        found = [table[name].to_numpy() for name in channels]
        for start in range(0, len(values), ROWS):
            for place, column in enumerate(found):
                chosen = slice(start, start + ROWS)
                values[chosen, place] = column[chosen if order is None else order[chosen]]
    series = tuple(np.split(values, bounds))
    labels, step_labels = None, None
    if roles.label is not None:
        _refuse_fractions(table[roles.label], source)
        label_codes, label_names = encoded(table, roles.label, source)
        label_codes = label_codes if order is None else label_codes[order]
        labelled = np.split(label_codes, bounds)
        if every_step is None:
            every_step = any((one != one[0]).any() for one in labelled)
        spelled = np.array(label_names)
        if every_step:
            step_labels = tuple(spelled[one] for one in labelled)
        else:
            labels = spelled[_one_each(labelled, names, label_names, "labels", source)]
    groups = None
    if roles.group is not None:
        group_codes, group_names = encoded(table, roles.group, source)
        grouped = np.split(group_codes if order is None else group_codes[order], bounds)
        groups = np.array(group_names)[_one_each(grouped, names, group_names, "groups", source)]
    return Sequences(
        series=series,
        labels=labels,
        step_labels=step_labels,
        channels=channels,
        groups=groups,
        names=tuple(names),
        source=source,
    )


def encoded(table: Any, column: str, source: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return the number of each row's value `[rows]`, and the different values.

    Raises:
        InputError: a value is missing, or a number that a float cannot tell from the next, or the column holds lists.
    """
    import pyarrow as pa

    found = table[column].combine_chunks()
    if found.null_count:
        row = int(np.argmax(found.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(f"{source}, row {row + 1}: found nothing in the column {column!r}, expected a value")
    if not hasattr(found, "dictionary"):
        try:
            found = found.dictionary_encode()
        except pa.ArrowNotImplementedError as error:
            raise InputError(
                f"{source}: found the column {column!r} of type {found.type}, expected texts or numbers"
            ) from error
    values = found.dictionary
    codes = found.indices.to_numpy().astype(np.int64)
    if str(values.type) in ("double", "float", "halffloat"):
        numbers = values.to_numpy()
        refuse_rounded(numbers, source)
        missing = ~np.isfinite(numbers)[codes]
        if missing.any():
            row = int(np.argmax(missing))
            raise InputError(
                f"{source}, row {row + 1}: found {numbers[codes[row]]} in the column {column!r}, expected a value"
            )
    names = [_spelled(one) for one in values.to_pylist()]
    used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    if len(used) < len(names):  # a dictionary of the file, not of these rows
        codes = np.searchsorted(used, codes)
        names = [names[code] for code in used]
    return codes, names


def _spelled(value: Any) -> str:
    """Return a value as text: a whole number without a point, a truth as 0 or 1, bytes as what they spell."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return (
        str(int(value)) if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()) else str(value)
    )


def _refuse_fractions(labels: Any, source: str) -> None:
    """Refuse labels that are a quantity, as those of a single file are."""
    if str(labels.type) in ("double", "float", "halffloat"):
        numbers = labels.drop_null().to_numpy()
        tidy_labels(numbers[np.isfinite(numbers)], source)


def _order(
    codes: NDArray[np.int64], times: Array | None, names: list[str], source: str
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the order of rows by case and time, None where it is the one they have, and where each case begins."""
    order = None
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
    bounds = np.flatnonzero(np.diff(codes)) + 1
    if times is None:
        return order, bounds
    if times.dtype.kind not in "iufMm":
        raise InputError(f"{source}: found text in the column of times, expected numbers or dates; --time none")
    if (np.isnat(times) if times.dtype.kind in "Mm" else np.isnan(times)).any():
        raise InputError(f"{source}: found a row without a time, expected one for each; --time none keeps the order")
    times = times if order is None else times[order]
    rises = np.delete(times[1:] > times[:-1], bounds - 1)  # compared: a difference of unsigned times wraps around
    if not rises.all():
        by_time = np.lexsort((times, codes))
        order = by_time if order is None else order[by_time]
        same = (times[by_time][1:] == times[by_time][:-1]) & (np.diff(codes) == 0)
        if same.any():
            place = int(np.argmax(same))
            raise InputError(
                f"{source}, case {names[codes[place]]!r}: found the time {times[by_time][place]} twice, expected one "
                "row for each step; --time none keeps the rows in their order"
            )
    return order, bounds


def _one_each(
    found: list[NDArray[np.int64]], cases: list[str], names: list[str], what: str, source: str
) -> NDArray[np.int64]:
    """Return the one value that all rows of each case share."""
    for case, one in enumerate(found):
        if (one != one[0]).any():
            other = names[one[np.argmax(one != one[0])]]
            raise InputError(
                f"{source}, case {cases[case]!r}: found the {what} {names[one[0]]!r} and {other!r}, expected one"
            )
    return np.array([one[0] for one in found])
