"""Numbers whose changes float32 cannot hold: series are kept as float32, and few people give them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

GREATEST = float(np.finfo(np.float32).max)
NOISE = 1e-12  # of a number: what changes by less does not change, but for the rounding of whoever computed it
STEPS = 64  # of float32: rounding to one of so many takes a sixty-fourth of a range at most
TOLD = 0.75  # of the variance: what rounded numbers have to tell of the given ones, by their correlation squared


def coarse_channel(series: Sequence[NDArray[Any]], channels: Sequence[str]) -> str | None:
    """Say which channel loses what it tells when it becomes float32.

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
    for number, channel in enumerate(channels):
        found = lost(np.concatenate([one[:, number] for one in series]))
        if found is not None:
            return f"channel {channel!r}: {found}, or leave it out"
    return None


def lost(values: NDArray[Any]) -> str | None:
    """Say what `values [N]` are where float32 does not tell them apart well enough to learn from; None where it does.

    >>> lost(np.array([1e8, 1e8 + 20, 1e8 + 90])), lost(np.array([1e8, 1e8 + 1]))[:30]
    (None, 'found values from 100000000.0 ')
    """
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    largest = max(-low, high)
    with np.errstate(over="ignore"):  # beyond its range nothing is compared: that is refused with its place
        step = float(np.spacing(np.float32(largest)))
    if not NOISE * largest < high - low < STEPS * step or _told(values, high - low) >= TOLD:
        return None
    return (
        f"found values from {low} to {high}, which float32 (in steps of {step:.2g} there) cannot tell apart, expected "
        "changes that it can hold; subtract an offset first (or change the unit, where numbers are tiny)"
    )


def _told(values: NDArray[Any], spread: float) -> float:
    """Return the square of the correlation between numbers and their float32; 0 where those are all the same."""
    exact = values[values == values].astype(np.float64)
    given, rounded = ((one - one.mean()) / spread for one in (exact, exact.astype(np.float32).astype(np.float64)))
    both = (given @ given) * (rounded @ rounded)
    return float((given @ rounded) ** 2 / both) if both else 0.0
