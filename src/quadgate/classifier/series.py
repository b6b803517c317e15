"""What people call X: arrays of two or three dimensions, lists of series of unequal length, and long tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from quadgate.classifier.frames import Cases, is_long, read_frame
from quadgate.data import from_arrays
from quadgate.errors import InputError

Array = NDArray[np.float32]
LEAST_CASES = 2  # one to learn from, one to stop by


def cases_of(estimator: Any, X: Any, reset: bool) -> Cases:
    """Return X as N arrays `[T_i, C]`, still with NaN where a value is missing and `estimator.missing` allows it.

    Args:
        estimator: learns `n_features_in_` from a two-dimensional X when `reset`, or `channel_names_in_` from a long
            table, and is held to it later.
        X: `[N, T, C]` (`[N, C, T]` with `axes="NCT"`), N arrays `[T_i, C]`, `[N, T]`, which is one channel, or a long
            table (see `quadgate.classifier.frames`).
        reset: whether this is `fit`.

    Raises:
        InputError: a shape that is none of these, axes that look swapped, a number that is missing or not finite (in
            which case, step and channel), or another number of channels than in `fit`.
        ValueError: scikit-learn's own refusals of a two-dimensional X.
    """
    names = None if reset else getattr(estimator, "channel_names_in_", None)
    if is_long(X, estimator.case) or (names is not None and hasattr(X, "columns")):
        found = read_frame(X, estimator.case, estimator.time, names, estimator.missing != "error")
    elif _is_list_of_series(X):
        found = Cases(_checked([np.asarray(one) for one in X], estimator))
    elif _dimensions(X) == 3:
        found = Cases(_checked(np.asarray(X), estimator))
    else:
        finite: Any = True if estimator.missing == "error" else "allow-nan"
        least = LEAST_CASES if reset else 1
        rows = validate_data(
            estimator, X, reset=reset, dtype=np.float32, ensure_all_finite=finite, ensure_min_samples=least
        )
        found = Cases([row[:, None] for row in rows])
    if reset:
        vars(estimator).pop("channel_names_in_", None)
        if found.channels:
            estimator.channel_names_in_ = found.channels
        return found
    channels = found.series[0].shape[1]
    if channels != estimator.n_channels_in_:
        raise InputError(f"X: found {channels} channels, expected {estimator.n_channels_in_} as in fit")
    return found


def _is_list_of_series(X: Any) -> bool:
    return isinstance(X, list | tuple) and len(X) > 0 and np.ndim(X[0]) == 2


def _dimensions(X: Any) -> int:
    """Count the dimensions of an array, a frame or whatever turns into an array; a list of lists has two."""
    if isinstance(X, list | tuple):
        return 2
    return int(X.ndim) if hasattr(X, "ndim") else np.asarray(X).ndim


def _checked(X: Any, estimator: Any) -> list[Array]:
    """Check shapes, axes and numbers as every other door to the data does."""
    if estimator.missing == "error":
        return list(from_arrays(X, axes=estimator.axes).train.series)
    # NaN is no error here: the rest is checked with 0 in its place, and NaN is put back.
    gone = [np.isnan(one) for one in X]
    shown = [np.where(hole, 0, one) for one, hole in zip(X, gone, strict=True)]
    checked = from_arrays(shown if isinstance(X, list) else np.stack(shown), axes=estimator.axes).train.series
    holes = [hole.T if estimator.axes == "NCT" else hole for hole in gone]
    return [np.where(hole, np.float32(np.nan), one) for one, hole in zip(checked, holes, strict=True)]
