"""A batch of sequences of unequal length: checks of its arrays, and the order in which a layer reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from quadgate.errors import InputError

Array = NDArray[Any]


def checked_batch(
    x: ArrayLike, lengths: ArrayLike | None, channels: int, reverse: bool, dtype: DTypeLike
) -> tuple[Array, NDArray[np.int64]]:
    """Return `x [N, T, C]` in the order in which a layer reads it, zero in the padding, and the lengths `[N]`.

    Raises:
        InputError: `x` has another shape, or the lengths do not fit it.

    >>> checked_batch(np.zeros((4, 820)), None, 12, False, np.float32)
    Traceback (most recent call last):
    ...
    quadgate.errors.InputError: x: found shape (4, 820), expected [cases, steps, 12 channels]
    """
    x = np.asarray(x, dtype)
    if x.ndim != 3 or x.shape[2] != channels:
        raise InputError(f"x: found shape {x.shape}, expected [cases, steps, {channels} channels]")
    N, T, _ = x.shape
    lengths = checked_lengths(lengths, N, T)
    x = np.where(valid_steps(lengths, T)[:, :, None], x, np.zeros((), dtype))
    return (take_steps(x, reversed_steps(lengths, T)) if reverse else x), lengths


def checked_lengths(lengths: ArrayLike | None, cases: int, steps: int) -> NDArray[np.int64]:
    """Return `lengths` as `[N]` integers; without lengths every case has all its steps.

    Raises:
        InputError: not one whole number per case, or one below 0 or above `steps`.

    >>> checked_lengths([3, 9], 2, 7)
    Traceback (most recent call last):
    ...
    quadgate.errors.InputError: lengths: found 9 at case 1, expected 0 to 7, the steps of the batch
    """
    if lengths is None:
        return np.full(cases, steps, np.int64)
    found = np.asarray(lengths)
    if found.shape != (cases,) or (found.size and found.dtype.kind not in "iu"):
        raise InputError(
            f"lengths: found {found.dtype} of shape {found.shape}, expected whole numbers of shape ({cases},)"
        )
    for case in np.flatnonzero((found < 0) | (found > steps)):
        raise InputError(f"lengths: found {found[case]} at case {case}, expected 0 to {steps}, the steps of the batch")
    return found.astype(np.int64)


def checked_array(name: str, array: ArrayLike | None, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return `array` as `dtype`, and zeros of `shape` where there is none.

    Raises:
        InputError: it has another shape.
    """
    if array is None:
        return np.zeros(shape, dtype)
    array = np.asarray(array, dtype)
    if array.shape != shape:
        raise InputError(f"{name}: found shape {array.shape}, expected {shape}")
    return array


def valid_steps(lengths: NDArray[np.int64], steps: int) -> NDArray[np.bool_]:
    """Tell `[N, T]` which steps lie within each case.

    >>> valid_steps(np.array([3, 1]), 4).astype(int)
    array([[1, 1, 1, 0],
           [1, 0, 0, 0]])
    """
    return np.arange(steps) < lengths[:, None]


def reversed_steps(lengths: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
    """The order `[N, T]` that reads each case from its own last step to its first and leaves the padding in place.

    It is its own inverse: taken twice it gives back the steps as they were.

    >>> reversed_steps(np.array([3, 1]), 4)
    array([[2, 1, 0, 3],
           [0, 1, 2, 3]])
    """
    forward = np.arange(steps)
    return np.where(valid_steps(lengths, steps), lengths[:, None] - 1 - forward, forward)


def take_steps(array: Array, order: NDArray[np.int64]) -> Array:
    """Take the steps of `array [N, T, W]` in `order [N, T]`."""
    return np.take_along_axis(array, order[:, :, None], axis=1)
