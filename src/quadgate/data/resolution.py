"""Numbers whose changes float32 cannot hold: series are kept as float32, and few people give them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE = 1e-12  # of a number: what changes by less does not change, but for the rounding of whoever computed it


def coarse_channel(series: Sequence[NDArray[Any]], channels: Sequence[str]) -> str | None:
    """Say which channel changes by less than two neighbouring float32 numbers are apart at its offset.

    Args:
        series: N arrays `[T_i, C]`, T_i of 1 or more, of the type they were given in; NaN is passed over.
        channels: C names.

    Returns:
        A line without its source on the first such channel; None where there is none, as among float32.

    >>> coarse_channel([np.array([[1e8], [1e8 + 1]])], ["x"])[:80]
    "channel 'x': found values from 100000000.0 to 100000001.0, which float32 (in ste"
    """
    exact = {np.dtype(kind) for kind in ("f2", "f4", "i1", "u1", "i2", "u2")}
    if all(one.dtype in exact or one.dtype.kind not in "iuf" for one in series):
        return None
    low = np.fmin.reduce([np.fmin.reduce(one, axis=0) for one in series]).astype(np.float64)
    high = np.fmax.reduce([np.fmax.reduce(one, axis=0) for one in series]).astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    apart = np.spacing(largest.astype(np.float32))
    coarse = (high - low > NOISE * largest) & (high - low < apart)
    if not coarse.any():
        return None
    place = int(np.argmax(coarse))
    return (
        f"channel {channels[place]!r}: found values from {low[place]} to {high[place]}, which float32 (in steps of "
        f"{apart[place]:.2g} there) cannot tell apart, expected a change that it can hold; subtract an offset first "
        "(or change the unit, where numbers are tiny), or leave the channel out"
    )
