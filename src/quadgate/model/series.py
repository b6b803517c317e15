"""Series as a model takes them: checked, padded to `[N, T, C]`, with their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.errors import InputError

Array = NDArray[Any]


def accept(x: Array | Sequence[ArrayLike], lengths: ArrayLike | None, channels: int) -> tuple[Array, Array | None]:
    """Check the series for a model of C channels.

    Args:
        x: `[N, T, C]`; or a list of `[T_i, C]`; for a model of one channel also `[N, T]`, or a list of `[T_i]`.
        lengths: `[N]`, the steps of each case in `x`; None where every step counts.
        channels: C.

    Returns:
        `x [N, T, C]`, in its own float type, zero past each case's end, and `lengths [N]` or None.

    Raises:
        InputError: not numbers, another number of axes or channels, swapped axes, lengths that do not fit, or a number
            within a case that is NaN or infinite; says which case, step and channel.

    >>> x, lengths = accept([np.ones((3, 2)), np.ones((1, 2))], None, channels=2)
    >>> x.shape, lengths.tolist()
    ((2, 3, 2), [3, 1])
    """
    if isinstance(x, (list, tuple)):
        if lengths is not None:
            raise InputError("lengths: given beside a list of series, whose own lengths count; leave it out")
        return _pad([_numbers(one, f"x[{case}]") for case, one in enumerate(x)], channels)
    batch = _numbers(x, "x")
    if batch.ndim == 2 and channels == 1:
        batch = batch[:, :, None]
    _check_axes(batch, channels)
    return _check_lengths(batch, lengths)


def _numbers(x: Any, name: str) -> Array:
    try:
        array = np.asarray(x)
    except ValueError:
        raise InputError(f"{name}: found lists of unequal lengths, expected numbers in an array") from None
    if array.dtype.kind in "biu":
        return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    if array.dtype.kind != "f":
        raise InputError(f"{name}: found dtype {array.dtype}, expected numbers")
    return array


def _check_axes(x: Array, channels: int) -> None:
    expected = f"expected [cases, steps, {channels} channel{'s' if channels > 1 else ''}]"
    if x.ndim == 2:
        hint = ""
        if x.shape[1] == channels:
            hint = "; one series is passed as x[None]"
        elif x.shape[1] % channels == 0:
            hint = f"; flattened steps of {channels} channels are unfolded by x.reshape(len(x), -1, {channels})"
        raise InputError(f"x: found 2 axes {x.shape}, {expected}{hint}")
    if x.ndim != 3:
        raise InputError(f"x: found {x.ndim} axes {x.shape}, {expected}")
    if x.shape[2] == channels:
        return
    if x.shape[1] == channels:
        raise InputError(
            f"x: found {x.shape[2]} channels on the last axis and {channels} on the middle one {x.shape}, {expected}; "
            "the axes look swapped: pass x.transpose(0, 2, 1)"
        )
    if x.shape[0] == channels:
        raise InputError(
            f"x: found {x.shape[2]} channels on the last axis and {channels} on the first one {x.shape}, {expected}; "
            "the axes look swapped: move the first to the end with np.moveaxis(x, 0, -1)"
        )
    raise InputError(f"x: found {x.shape[2]} channels {x.shape}, {expected}")


def _check_lengths(x: Array, lengths: ArrayLike | None) -> tuple[Array, Array | None]:
    if lengths is None:
        _check_finite(x)
        return x, None
    N, T, _ = x.shape
    steps = np.asarray(lengths)
    if steps.shape != (N,) or steps.dtype.kind not in "iu":
        raise InputError(f"lengths: found {steps.dtype} {steps.shape}, expected whole numbers of shape ({N},)")
    wrong = np.flatnonzero((steps < 0) | (steps > T))
    if wrong.size:
        raise InputError(f"lengths: found {steps[wrong[0]]} for case {wrong[0]}, expected 0 to {T} steps")
    valid = np.arange(T) < steps[:, None]
    if not valid.all():
        x = np.where(valid[:, :, None], x, x.dtype.type(0))
    _check_finite(x)
    return x, steps.astype(np.int64)


def _pad(series: list[Array], channels: int) -> tuple[Array, Array]:
    for case, one in enumerate(series):
        if one.ndim == 1 and channels == 1:
            series[case] = one = one[:, None]
        if one.ndim != 2 or one.shape[1] != channels:
            hint = "; the axes look swapped: pass its transpose" if one.ndim == 2 and one.shape[0] == channels else ""
            raise InputError(f"x[{case}]: found shape {one.shape}, expected [steps, {channels} channels]{hint}")
    lengths = np.array([len(one) for one in series], np.int64)
    dtype = np.result_type(np.float32, *{one.dtype for one in series})
    x = np.zeros((len(series), lengths.max(initial=0), channels), dtype)
    for case, one in enumerate(series):
        x[case, : len(one)] = one
    _check_finite(x)
    return x, lengths


def _check_finite(x: Array) -> None:
    bad = ~np.isfinite(x)
    if bad.any():
        case, step, channel = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"x: found {x[case, step, channel]} in case {case}, step {step}, channel {channel} "
            f"({int(bad.sum())} such numbers in all), expected finite numbers; fill or drop them first"
        )
