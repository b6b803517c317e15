"""Missing values: fill them in, and tell the network where they were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError, suggest

MISSING = ("error", "forward", "interpolate")
Array = NDArray[np.float32]


def channel_means(series: Sequence[Array]) -> NDArray[np.float64]:
    """Return the mean `[C]` of what is there in each channel; 0 in a channel where nothing is.

    >>> channel_means([np.array([[1.0, np.nan], [3.0, np.nan]], np.float32)]).tolist()
    [2.0, 0.0]
    """
    steps = np.concatenate([np.asarray(one, np.float64) for one in series])
    there = ~np.isnan(steps)
    sums = np.where(there, steps, 0).sum(axis=0)
    return np.asarray(sums / np.maximum(there.sum(axis=0), 1))


def fill_missing(series: Sequence[Array], how: str, means: NDArray[np.float64]) -> list[Array]:
    """Fill NaN in.

    Args:
        series: N arrays `[T_i, C]`.
        how: `"error"` leaves all as it is. `"forward"` repeats the last value that was there, and adds C channels
            that are 1 where a value was missing. `"interpolate"` draws a straight line between the values on either
            side, and repeats the nearest at the ends.
        means: `[C]`, what stands where a case has no earlier value (or none at all), from `channel_means`
            of the training part.

    Returns:
        N arrays `[T_i, C]`, or `[T_i, 2C]` for `"forward"`.

    Raises:
        InputError: `how` is not known.

    >>> x = np.array([[np.nan], [1.0], [np.nan], [3.0]], np.float32)
    >>> fill_missing([x], "interpolate", np.zeros(1))[0][:, 0].tolist()
    [1.0, 1.0, 2.0, 3.0]
    >>> fill_missing([x], "forward", np.zeros(1))[0].tolist()
    [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [3.0, 0.0]]
    """
    if how not in MISSING:
        raise InputError(f"missing: found {how!r}; {suggest(how, MISSING)}")
    if how == "error":
        return list(series)
    fill = _forward if how == "forward" else _interpolated
    return [fill(one, means) for one in series]


def refuse_foresight(how: str) -> None:
    """Refuse what fills in by later values, for a network that answers at every step of a series that has not ended.

    Raises:
        InputError: `how` is `"interpolate"`.
    """
    if how == "interpolate":
        raise InputError(
            "missing: found 'interpolate' for answers at every step (preset stream), where it would take from values "
            "that come later; expected missing='forward'"
        )


def _forward(one: Array, means: NDArray[np.float64]) -> Array:
    gone = np.isnan(one)
    last = np.maximum.accumulate(np.where(gone, -1, np.arange(len(one))[:, None]), axis=0)
    filled = np.take_along_axis(one, np.maximum(last, 0), axis=0)
    filled = np.where(last < 0, means, filled)
    marked: Array = np.concatenate([filled, gone], axis=1).astype(np.float32)
    return marked


def _interpolated(one: Array, means: NDArray[np.float64]) -> Array:
    filled: Array = one.copy()
    steps = np.arange(len(one))
    for channel, mean in enumerate(means):
        gone = np.isnan(one[:, channel])
        if gone.all():
            filled[:, channel] = mean
        elif gone.any():
            filled[gone, channel] = np.interp(steps[gone], steps[~gone], one[~gone, channel])
    return filled
