"""Tables in CSV and Parquet: long, with a row for each step, and wide, with a row for each case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data.arrays import Axes, unfold
from quadgate.data.columns import KNOWN_NAMES, Columns
from quadgate.data.delimited import read_delimited
from quadgate.data.sequences import Dataset, Sequences
from quadgate.dependencies import require
from quadgate.errors import FileFormatError, InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
PARQUET = (".parquet", ".pq")


def read_table(
    path: Path, columns: Columns | None = None, channels: int | None = None, axes: Axes | None = None
) -> Dataset:
    """Read a long table (it has a column of cases) or a wide one (`channels` says how a row is cut).

    A long table has a row for each step: case, time, the channels, label, group. The rows of a case need not stand
    together; they are put in order of time. Where no column is named as the time, a first column that
    rises at every step of every case is taken for it, and is no channel. A wide table has a row for each case: its
    values, and a label and a group if known; see `unfold` for their order, which names such as `x_0, x_1, y_0, y_1`
    settle.

    Args:
        path: a `.parquet` file, or delimited text.
        columns: the columns that are no channels, where they are not recognised by their names.
        channels: C; needed for a wide table, checked for a long one.
        axes: the order of values in a row of a wide table.

    Raises:
        MissingDependencyError: pandas (for Parquet also pyarrow) is not installed.
        FileFormatError: the file is damaged.
        InputError: the columns are not what is needed, or `Sequences` refuses the content.
    """
    given = columns or Columns()
    frame, roles, told = _load(path, given)
    source = path.name
    if roles.case is not None:
        if axes is not None:
            raise InputError(f"{source}: found axes {axes!r} for a long table, which has one row for each step")
        data = from_long(frame, roles, frame[roles.case].to_numpy(), source)
    elif channels is not None:
        data = _from_wide(frame, roles, channels, axes, source)
    else:
        raise InputError(
            f"{source}: found no column of cases among {', '.join(map(str, frame.columns[:6]))}..., expected one "
            "(--case NAME) in a long table, or --channels C for a wide one with a row for each case"
        )
    if channels is not None and len(data.train.channels) != channels:
        found = ", ".join(data.train.channels)
        raise InputError(f"{source}: found {len(data.train.channels)} channels ({found}), expected {channels}")
    return Dataset(data.train, how=(told, *data.how))


def from_long(frame: pd.DataFrame, roles: Columns, cases: Array, source: str, labels: Array | None = None) -> Dataset:
    """Gather the rows of a long table into series.

    Args:
        frame: a row for each step.
        roles: the columns of `frame` that are no channels.
        cases: `[rows]`, the case of each row.
        source: the name of the table in messages.
        labels: `[rows]`, in place of a column of labels.

    Raises:
        InputError: a column holds text, a case has the same time twice, or `Sequences` refuses it.
    """
    pandas = require("pandas", f"{source} (a table) cannot be read")
    refuse_rounded(cases, source)
    codes, names = pandas.factorize(cases)
    if (codes < 0).any():
        raise InputError(f"{source}, row {int(np.argmax(codes < 0)) + 1}: found no case, expected its name or number")
    how = [f"cases: {'column ' + repr(roles.case) if roles.case is not None else 'one for each file'}"]
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    columns = [name for name in frame.columns if name not in (roles.case, roles.time, roles.label, roles.group)]
    if "" in columns:
        columns.remove("")
        how.append("the column without a name is taken for row numbers and left out")
    if roles.time is not None and roles.time != "none":
        order, told = _in_time(frame[roles.time], codes, order, names, roles.time, source)
        how.append(told)
    elif roles.time is None and len(columns) > 1 and _rises(frame[columns[0]].to_numpy()[order], bounds):
        how.append(f"time: column {columns[0]!r}, which comes first and rises at every step, and is no channel")
        columns = columns[1:]
    if not columns:
        raise InputError(f"{source}: found no column of a channel, expected at least one")
    how.append(f"channels: {', '.join(map(str, columns))}")
    values = _numbers(frame, columns, source)[order]
    if labels is None and roles.label is not None:
        labels = frame[roles.label].to_numpy()
        how.append(f"labels: column {roles.label!r}")
    steps = _of_steps(labels, order, bounds)
    if steps is not None:
        labels = None
        how.append("labels change within a case: a class at each step")
    groups = None if roles.group is None else frame[roles.group].to_numpy()
    if groups is not None:
        how.append(f"groups: column {roles.group!r}")
    sequences = Sequences(
        series=tuple(np.split(values, bounds)),
        labels=_one_each(labels, order, bounds, names, "labels", source),
        step_labels=steps,
        channels=tuple(map(str, columns)),
        groups=_one_each(groups, order, bounds, names, "groups", source),
        names=tuple(map(str, names)),
        source=source,
    )
    return Dataset(sequences, how=tuple(how))


def refuse_rounded(cases: Array, source: str) -> None:
    """Refuse ids that a float cannot tell apart: beyond 2**53 two of them become one, and two cases would be mixed."""
    if cases.dtype.kind != "f":
        return
    large = np.abs(cases) >= 2.0**53
    if large.any():
        found = cases[int(np.argmax(large))]
        raise InputError(
            f"{source}, row {int(np.argmax(large)) + 1}: found the case {found:.0f} as {cases.dtype}, which cannot "
            "tell it from the next number; expected whole numbers or text"
        )


def _load(path: Path, given: Columns) -> tuple[pd.DataFrame, Columns, str]:
    if path.suffix.lower() not in PARQUET:
        form = read_delimited(path, KNOWN_NAMES)
        roles = given.find(form.column_names, path.name)
        text = {name for name in (roles.case, roles.label, roles.group) if name is not None}
        return form.frame(text), roles, f"{path.name}: {form.how}"
    pandas = require("pandas", f"{path} (Parquet) cannot be read")
    arrow = require("pyarrow", f"{path} (Parquet) cannot be read", extra="train,parquet")
    try:
        frame = pandas.read_parquet(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    except arrow.ArrowException as error:
        raise FileFormatError(f"{path}: damaged, or no Parquet: {' '.join(str(error).split())}") from error
    frame.columns = [str(name) for name in frame.columns]
    return frame, given.find(list(frame.columns), path.name), f"{path.name}: Parquet"


def _from_wide(frame: pd.DataFrame, roles: Columns, channels: int, axes: Axes | None, source: str) -> Dataset:
    if roles.label is None:  # a file without a header: text at either end of a row is its label
        ends = [name for name in (frame.columns[0], frame.columns[-1]) if frame[name].dtype.kind not in "biuf"]
        roles = Columns(label=ends[0] if ends else None, group=roles.group)
    columns = [name for name in frame.columns if name not in (roles.label, roles.group, "")]
    if len(columns) % channels == 1 and roles.label is None:
        raise InputError(
            f"{source}: found {len(columns)} values in a row, one more than {channels} channels divide; if one "
            f"is the label, name it: --label '{columns[0]}' or --label '{columns[-1]}'"
        )
    values = _numbers(frame, columns, source)
    named_axes, channel_names = _layout_of_names(columns, channels)
    cut, told = unfold(values, channels, axes or named_axes, source)
    how = [told + (", as the names of the columns say" if named_axes and not axes else "")]
    if roles.label is not None:
        how.append(f"labels: column {roles.label!r}")
    if roles.group is not None:
        how.append(f"groups: column {roles.group!r}")
    sequences = Sequences(
        series=tuple(cut),
        labels=None if roles.label is None else frame[roles.label].to_numpy(),
        channels=channel_names,
        groups=None if roles.group is None else frame[roles.group].to_numpy(),
        source=source,
    )
    return Dataset(sequences, how=tuple(how))


def _layout_of_names(columns: Sequence[str], channels: int) -> tuple[Axes | None, tuple[str, ...]]:
    """Read the order of a row from names such as `x_0, x_1, ..., y_0` (NCT) or `x_0, y_0, ..., x_1` (NTC).

    Returns:
        The order and the names of the channels, or None and nothing where the names do not tell.
    """
    parts = [re.fullmatch(r"(.*\D)(\d+)", str(name)) for name in columns]
    stems = [part[1] for part in parts if part]
    names = list(dict.fromkeys(stems))
    if len(stems) != len(columns) or len(names) != channels or channels == 1:
        return None, ()
    plain = tuple(name.rstrip("_-. [(") for name in names)
    steps = len(columns) // channels
    if stems == names * steps:
        return "NTC", plain
    if stems == [name for name in names for _ in range(steps)]:
        return "NCT", plain
    return None, ()


def _in_time(
    column: pd.Series[Any], codes: Array, order: Array, names: Array, time: str, source: str
) -> tuple[Array, str]:
    """Return the order of rows by case and then by time, and a line that tells it."""
    pandas = require("pandas", f"{source} (a table) cannot be read")
    try:
        times = column if column.dtype.kind in "iufm" else _as_dates(pandas, column)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{source}: found {str(column.iloc[0])!r} in the column {time!r}, "
            "expected numbers, durations or dates such as 2024-01-31"
        ) from error
    if times.isna().any():
        raise InputError(f"{source}, row {int(np.argmax(times.isna())) + 1}: found no time in the column {time!r}")
    when = times.to_numpy()
    sorted_order = np.lexsort((when, codes))
    same = (np.diff(codes[sorted_order]) == 0) & (np.diff(when[sorted_order]) == np.zeros((), np.diff(when).dtype))
    if same.any():
        row = sorted_order[int(np.argmax(same))]
        raise InputError(
            f"{source}, case {names[codes[row]]}: found the time {when[row]} twice, expected one row for each step; "
            f"--time none keeps the rows in their order"
        )
    moved = "" if np.array_equal(sorted_order, order) else ", by which the rows were put in order"
    return sorted_order, f"time: column {time!r}, no channel{moved}"


def _as_dates(pandas: Any, column: pd.Series[Any]) -> pd.Series[Any]:
    dates: pd.Series[Any] = pandas.to_datetime(column, format="ISO8601", utc=True).dt.tz_localize(None)
    return dates


def _rises(values: Array, bounds: Array) -> bool:
    """Tell whether values rise strictly within every case, with three steps or more in one of them."""
    if values.dtype.kind not in "iuf" or len(values) < 3:
        return False
    rise = np.diff(values) > 0
    rise[bounds - 1] = True
    return bool(rise.all()) and int(np.diff(np.concatenate([[0], bounds, [len(values)]])).max()) >= 3


def _numbers(frame: pd.DataFrame, columns: list[str], source: str) -> NDArray[np.float64]:
    """Return `[rows, columns]`; a missing value is NaN, and refused later by its case and step."""
    pandas = require("pandas", f"{source} (a table) cannot be read")
    chosen = frame[columns]
    for name in [name for name, dtype in chosen.dtypes.items() if dtype.kind not in "biuf"]:
        if chosen[name].dtype.kind in "mM":
            kind = "dates" if chosen[name].dtype.kind == "M" else "durations"
            raise InputError(
                f"{source}: found {kind} in the column {name!r}, expected numbers in a channel; leave the column out, "
                f"make numbers of it, or name it as the time (--time {name}, in Python time={str(name)!r})"
            )
        numeric = pandas.to_numeric(chosen[name], errors="coerce")
        wrong = (numeric.isna() & chosen[name].notna()).to_numpy()
        if wrong.any():
            place = int(np.argmax(wrong))
            found = str(chosen[name].iloc[place])
            cure = "name the column with --case, --time, --label or --group if it is no channel"
            if re.fullmatch(r"\s*[-+]?\d+,\d+\s*", found):
                cure = "write decimal points in every column, or in none, with semicolons or tabs between the values"
            raise InputError(f"{source}, row {place + 1}, column {name!r}: found {found!r}, expected a number; {cure}")
        chosen = chosen.assign(**{str(name): numeric})
    return chosen.to_numpy(dtype=np.float64, na_value=np.nan)


def _of_steps(labels: Array | None, order: Array, bounds: Array) -> tuple[Array, ...] | None:
    """Return the labels of each case's rows where they change within a case, or None."""
    if labels is None:
        return None
    spelled = np.array([str(label) for label in labels[order]], dtype=object)
    if all((found == found[0]).all() for found in np.split(spelled, bounds)):
        return None
    return tuple(np.split(labels[order], bounds))


def _one_each(values: Array | None, order: Array, bounds: Array, names: Array, what: str, source: str) -> Array | None:
    """Return the one value that all rows of a case share."""
    if values is None:
        return None
    text = np.array([str(value) for value in values[order]], dtype=object)
    for case, found in enumerate(np.split(text, bounds)):
        if (found != found[0]).any():
            other = found[np.argmax(found != found[0])]
            raise InputError(f"{source}, case {names[case]}: found the {what} {found[0]!r} and {other!r}, expected one")
    starts = np.concatenate([[0], bounds]).astype(np.int64)
    return np.asarray(values[order][starts])
