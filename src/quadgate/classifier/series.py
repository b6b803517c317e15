"""What people call X: arrays of two or three dimensions, lists of series of unequal length, and long tables."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from quadgate.classifier.frames import Cases, is_long, names_of, read_frame
from quadgate.data import from_arrays
from quadgate.data.columns import order_of_channels, refuse_twice
from quadgate.data.labels import is_absent
from quadgate.data.resolution import coarse_channel
from quadgate.errors import InputError

Array = NDArray[np.float32]
LEAST_CASES = 2  # one to learn from, one to stop by


def cases_of(estimator: Any, X: Any, reset: bool) -> Cases:
    """Return X as N arrays `[T_i, C]`, still with NaN where a value is missing and `estimator.missing` allows it.

    Args:
        estimator: learns `n_features_in_` from a two-dimensional X when `reset`, or `channel_names_in_` from tables,
            and is held to it later.
        X: `[N, T, C]` (`[N, C, T]` with `axes="NCT"`), N arrays or tables `[T_i, C]`, `[N, T]` or N arrays `[T_i]`,
            which are one channel, or a long table (see `quadgate.classifier.frames`).
        reset: whether this is `fit`.

    Raises:
        InputError: a shape that is none of these, axes that look swapped, a number that is missing or not finite (in
            which case, step and channel), or another number of channels than in `fit`.
        ValueError: scikit-learn's own refusals of a two-dimensional X.
    """
    names = None if reset else getattr(estimator, "channel_names_in_", None)
    X = as_list(X)
    rows = False
    if is_long(X, estimator.case) or (names is not None and hasattr(X, "columns")):
        found = read_frame(X, estimator.case, estimator.time, names, estimator.missing != "error")
    elif _is_list_of_series(X):
        found = _read_list(X, estimator, names, reset)
    elif _dimensions(X) == 3:
        found = Cases(_checked(_as_numbers(X, estimator, "X"), estimator, reset))
    else:
        rows = True
        finite: Any = True if estimator.missing == "error" else "allow-nan"
        least = LEAST_CASES if reset else 1
        flat = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite=finite,
            ensure_min_samples=least,
        )
        one_channel = [row[:, None] for row in flat]
        if reset:
            _refuse_coarse(one_channel)
        with np.errstate(over="ignore"):  # what leaves the range becomes infinite, and is refused by name
            found = Cases([row.astype(np.float32) for row in one_channel])
    if reset:
        for name in ("channel_names_in_", *(() if rows else ("n_features_in_", "feature_names_in_"))):
            vars(estimator).pop(name, None)
        if found.channels:
            estimator.channel_names_in_ = found.channels
    else:
        _refuse_other_channels(found.series[0].shape[1:], estimator.n_channels_in_)
    return found


def _refuse_other_channels(shape: tuple[int, ...], expected: int) -> None:
    if shape and expected not in shape:
        raise InputError(f"X: found {shape[-1]} channels, expected {expected} as in fit")


def as_list(X: Any) -> Any:
    """Return an object array (or pandas Series) of arrays as their list, and anything else as it is."""
    of_objects = getattr(getattr(X, "dtype", None), "kind", "") == "O" and getattr(X, "ndim", 0) == 1
    return [*X] if of_objects and len(X) and np.ndim(next(iter(X))) > 0 else X


def _is_list_of_series(X: Any) -> bool:
    """Tell N series `[T_i, C]`, or `[T_i]` of unequal length; rows of equal length are `[N, T]`."""
    if not isinstance(X, list | tuple) or not len(X):
        return False
    return np.ndim(X[0]) == 2 or (all(np.ndim(one) == 1 for one in X) and len(set(map(len, X))) > 1)


def _dimensions(X: Any) -> int:
    """Count the dimensions of an array, a frame or whatever turns into an array; a list of lists has two."""
    if isinstance(X, list | tuple):
        return 2
    return int(X.ndim) if hasattr(X, "ndim") else np.asarray(X).ndim


def _read_list(X: Any, estimator: Any, names: tuple[str, ...] | None, reset: bool) -> Cases:
    """Read series one by one; the channels of tables are matched by name, with those of `fit` or of the first table."""
    arrays = [_as_numbers(one, estimator, f"X, case {case}") for case, one in enumerate(X)]
    channels: tuple[str, ...] = ()
    if all(one.ndim == 1 for one in arrays):
        arrays = [one[None] if estimator.axes == "NCT" else one[:, None] for one in arrays]
    elif estimator.axes != "NCT":  # there the columns of a table are its steps
        for case, one in enumerate(X):
            if hasattr(one, "columns"):
                own = names_of(one)
                refuse_twice(own, f"X, case {case}")
                channels = names = names or tuple(own)
                order: list[int] | None = [own.index(name) for name in names] if {*own} == {*names} else None
                if order is None:
                    order = order_of_channels(own, names, f"X, case {case}")
                arrays[case] = arrays[case] if order is None else arrays[case][:, order]
    return Cases(_checked(arrays, estimator, reset), channels=channels)


def _as_numbers(one: Any, estimator: Any, where: str) -> NDArray[Any]:
    """Return an array; where values may be missing, one of objects as float64 with NaN for None and NA."""
    found = np.asarray(one)
    if found.dtype != object or estimator.missing == "error":
        return found
    numbers = np.empty(found.shape)
    for place, value in np.ndenumerate(found):
        if not isinstance(value, Number) and not is_absent(value):  # text neither, also where it spells a number
            raise InputError(f"{where}: found {value!r} at {list(place)}, expected a number, None or NaN")
        numbers[place] = np.nan if is_absent(value) else value
    return numbers


def _refuse_coarse(series: Sequence[NDArray[Any]]) -> None:
    """Refuse to learn from a channel that changes by less than float32 can hold, as they were given; NaN is no matter.

    Raises:
        InputError: the text names the channel, and says what to do.
    """
    coarse = coarse_channel(series, [str(number) for number in range(series[0].shape[-1])])
    if coarse is not None:
        raise InputError(f"X, {coarse}")


def _checked(X: Any, estimator: Any, reset: bool) -> list[Array]:
    """Check shapes, axes and numbers as every other door to the data does; after `fit` the channels are known."""
    checked = _float32(X, estimator, reset)
    if reset:
        _refuse_coarse([one.T for one in X] if estimator.axes == "NCT" else list(X))
    return checked


def _float32(X: Any, estimator: Any, reset: bool) -> list[Array]:
    channels = None if reset else estimator.n_channels_in_
    if channels is not None and len(X):
        _refuse_other_channels(np.shape(X[0]), channels)
    if estimator.missing == "error":
        return list(from_arrays(X, axes=estimator.axes, channels=channels).train.series)
    # NaN is no error here: the rest is checked with 0 in its place, and NaN is put back.
    gone = [np.isnan(one) if one.dtype.kind == "f" else np.zeros(one.shape, bool) for one in X]
    shown = [np.where(hole, 0, one) if hole.any() else one for one, hole in zip(X, gone, strict=True)]
    told = from_arrays(shown if isinstance(X, list) else np.stack(shown), axes=estimator.axes, channels=channels)
    holes = [hole.T if estimator.axes == "NCT" else hole for hole in gone]
    return [np.where(hole, np.float32(np.nan), one) for one, hole in zip(told.train.series, holes, strict=True)]
