"""Long tables of pandas or polars as X: a row for each step, columns for the case, the time and each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data.columns import Columns
from quadgate.data.table import from_long, refuse_rounded
from quadgate.dependencies import require
from quadgate.errors import InputError, suggest

NO_CHANNEL = ("label", "group")


@dataclass(frozen=True, eq=False)
class Cases:
    """N series `[T_i, C]`, and where they came from a long table the id of each, and the names of the channels."""

    series: list[NDArray[np.float32]]
    ids: tuple[Any, ...] | None = None
    channels: tuple[str, ...] = ()


def is_long(X: Any, case: str | None) -> bool:
    """Tell whether X is a long table: a frame with the column `case`, or one of a name that says as much."""
    if not hasattr(X, "columns"):
        return False
    return case is not None or Columns().find(names_of(X), "X").case is not None


def read_frame(
    X: Any, case: str | None, time: str | None, channels: tuple[str, ...] | None, missing: bool = False
) -> Cases:
    """Gather the rows of a long table into cases, in the order in which their ids first appear.

    Args:
        X: a DataFrame of pandas or polars.
        case: the column of the ids; None for one of the names `case`, `case_id`, `series_id`.
        time: the column of the time, which rises within each case; None for one whose name says so, if there is one,
            `"none"` for none.
        channels: those of `fit`, whatever their order in X; None in `fit`.
        missing: whether NaN is let through.

    Raises:
        InputError: a column is not there or is none of the channels, times are out of order or double, or a value is
            no number.
    """
    pandas = require("pandas", "X (a table) cannot be read")
    names = names_of(X)
    roles = Columns(case=case, time=time).find(names, "X")
    if roles.case is None:
        raise InputError(f"X: found no column of the case among {', '.join(names)}; name it with case=")
    if not len(X):
        raise InputError("X: found a table without rows, expected at least one case")
    # A column at a time, so that polars needs no pyarrow.
    frame = pandas.DataFrame({name: np.asarray(X[column]) for name, column in zip(names, X.columns, strict=True)})
    for role in NO_CHANNEL:
        name = getattr(roles, role)
        if name is not None and (channels is None or name not in channels):
            given = "y" if role == "label" else "groups="
            raise InputError(f"X: found the column {name!r} among the channels, expected it as {given}; leave it out")
    roles = Columns(case=roles.case, time=roles.time or "none")
    refuse_rounded(frame[roles.case].to_numpy(), "X")
    _refuse_disorder(frame, roles)
    if channels is not None:
        frame = frame[[name for name in (roles.case, roles.time) if name in frame.columns]].join(
            frame[_matched(frame, roles, channels)]
        )
    cases = frame[roles.case].to_numpy()
    there = frame.columns.difference([name for name in (roles.case, roles.time) if name is not None], sort=False)
    gone = frame[there].isna()
    # NaN is no error where it is let through: the rest is checked with 0 in its place, and NaN is put back.
    shown = frame.assign(**frame[there].mask(gone, 0)) if missing and gone.any(axis=None) else frame
    found = from_long(shown, roles, cases, "X").train
    if channels is None:
        found.check_resolution()
    series = list(found.series)
    if shown is not frame:
        holes = from_long(frame.assign(**gone.astype(float)), roles, cases, "X").train.series
        series = [np.where(hole > 0, np.float32(np.nan), one) for one, hole in zip(series, holes, strict=True)]
    return Cases(series, tuple(dict.fromkeys(frame[roles.case].tolist())), found.channels)


def in_order_of(ids: tuple[Any, ...] | None, values: Any, name: str) -> Any:
    """Put a pandas Series whose index has the ids of the cases in their order; leave any other values as they are.

    Args:
        ids: of the cases, in the order in which they are learned; None where X is no long table.
        values: one for each case, such as y.
        name: of the argument, for messages.

    Raises:
        InputError: the index has some of the ids.
    """
    if ids is None or not hasattr(values, "index") or not hasattr(values, "loc"):
        return values
    if values.index.is_unique and set(values.index) == set(ids):
        return values.loc[list(ids)]
    told = set(map(str, values.index))
    lacking = [one for one in ids if str(one) not in told]
    if len(lacking) < len(ids) and type(values.index).__name__ != "RangeIndex":  # that one counts and names nothing
        found = f"none of case {lacking[0]!r}" if lacking else "values by ids that are not those of the cases"
        raise InputError(
            f"{name}: found {found}; index it by the ids of the cases, each once, or give {name}.to_numpy()"
        )
    return values


def names_of(X: Any) -> list[str]:
    """Return the names of the columns of a table."""
    return [str(name) for name in X.columns]


def _matched(frame: Any, roles: Columns, channels: tuple[str, ...]) -> list[str]:
    """Return the channels of `fit`, which have to be those of the table."""
    there = [name for name in frame.columns if name and name not in (roles.case, roles.time)]  # "": row numbers
    lacking = [name for name in channels if name not in there]
    surplus = [name for name in there if name not in channels]
    if lacking:
        raise InputError(f"X: found no column of the channel {lacking[0]!r} of fit; {suggest(lacking[0], there)}")
    if surplus:
        raise InputError(f"X: found the column {surplus[0]!r}, which is no channel of fit ({', '.join(channels)})")
    return list(channels)


def _refuse_disorder(frame: Any, roles: Columns) -> None:
    """Refuse times that do not rise within a case: whoever gives a table to a program has lost its order."""
    if roles.time in (None, "none"):
        return
    for case, times in frame.groupby(roles.case, sort=False)[roles.time]:
        values = times.to_numpy()
        falls = np.flatnonzero(values[1:] <= values[:-1])
        if len(falls):
            place = int(falls[0])
            what = "twice" if values[place + 1] == values[place] else f"after {values[place]}"
            raise InputError(
                f"X, case {case}: found the time {values[place + 1]} {what}, expected times that rise; sort the rows "
                f"by {roles.case!r} and {roles.time!r}, or give time='none' to keep their order"
            )
