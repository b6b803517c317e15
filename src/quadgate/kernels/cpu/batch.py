"""Arguments brought into the form that the kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.cell.batch import checked_array, checked_lengths
from quadgate.errors import InputError

Array = NDArray[Any]


def batch_arrays(
    x: ArrayLike, lengths: ArrayLike | None, channels: int, dtype: np.dtype[Any]
) -> tuple[Array, NDArray[np.int64] | None]:
    """Return `x [N, T, C]`, dense along its channels, and the lengths `[N]`.

    Raises:
        InputError: `x` has another shape, or the lengths do not fit it.
    """
    x = np.asarray(x, dtype)
    if x.ndim != 3 or x.shape[2] != channels:
        raise InputError(f"x: found shape {x.shape}, expected [cases, steps, {channels} channels]")
    if x.strides[2] != x.itemsize or any(stride % x.itemsize for stride in x.strides) or not x.flags.aligned:
        x = np.require(x, None, ["C", "A"])
    return x, None if lengths is None else checked_lengths(lengths, *x.shape[:2])


def dense_array(name: str, array: ArrayLike | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return `array` dense and aligned, and zeros of `shape` where there is none.

    Raises:
        InputError: it has another shape.
    """
    return np.require(checked_array(name, array, shape, dtype), None, ["C", "A"])
