"""Series with a known answer: what tells the classes apart, and where in the series it is, is chosen."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quadgate.data.sequences import Sequences
from quadgate.errors import InputError, suggest

PERIOD = 20  # steps of one turn
SHARPNESS = 8.0  # of an event: about five steps wide
AMPLITUDE = 0.75  # of the pattern in a range of -1 to 1; the rest is room for noise

Kind = Literal["phase", "order"]
Place = Literal["all", "early", "middle", "late"]
_WINDOWS = {"all": (0.0, 1.0), "early": (0.0, 0.2), "middle": (0.4, 0.6), "late": (0.8, 1.0)}
_KINDS = ("phase", "order")


def make_sequences(
    cases: int,
    steps: int | tuple[int, int] = 820,
    channels: int = 12,
    *,
    classes: int = 2,
    kind: Kind = "phase",
    place: Place = "all",
    value_range: tuple[float, float] = (-1.0, 1.0),
    noise: float = 0.1,
    seed: int = 0,
) -> Sequences:
    """Make series whose class lies in the relation of two channels over time, and in nothing simpler.

    Channels are taken in pairs (0, 1), (2, 3), ...; inside the window of `place` both of a pair repeat one pattern
    every 20 steps, the second ahead of the first by the class's part of a turn,

        a[t] = f(2 pi t / 20 + u),   b[t] = f(2 pi t / 20 + u + 2 pi (k + 1/2) / K)   for class k of K,

    with u drawn evenly over the turn for each case. With two classes b is a quarter of a turn ahead
    or behind. `kind` gives the pattern f: `"phase"` a sine, `"order"` one event per turn, a bump about five steps wide,
    so that with two classes b comes five steps before a, or five after. Outside the window, and in the last channel
    of an odd number, there is nothing but noise. At every step each channel has the same distribution in every
    class, because u is even: no mean, deviation or histogram of a channel tells the classes apart, over the case or at
    any step. With two classes and `"phase"` even the joint distribution of all channels at one step is the same:
    only the direction of time tells.

    Args:
        cases: N, in equal shares of the classes (as equal as N allows) and random order.
        steps: T of all cases, or the least and the greatest T, drawn evenly for each case.
        channels: C, at least 2.
        classes: K.
        kind: `"phase"` or `"order"`.
        place: the window of each case: `"all"` steps, so that the evidence recurs to the end; or a fifth of them:
            `"early"` the first, `"middle"` the third, `"late"` the last.
        value_range: the least and greatest value; the pattern takes three quarters of it, noise is cut at its ends.
        noise: standard deviation of the normal noise, in halves of the range.
        seed: the same seed gives the same series.

    Returns:
        `Sequences` with labels 0 to K-1.

    Raises:
        InputError: fewer cases than classes, fewer than 2 channels or classes, a window shorter than one turn, or an
            argument out of its range.

    >>> make_sequences(400)
    <Sequences: 400 cases x 820 steps x 12 channels, 2 classes>
    >>> make_sequences(30, steps=(40, 42), channels=2, kind="order", classes=3)
    <Sequences: 30 cases x 40 to 42 steps x 2 channels, 3 classes>
    """
    least, greatest = (steps, steps) if isinstance(steps, int) else steps
    low, high = value_range
    _check(cases, least, greatest, channels, classes, kind, place, low, high, noise)
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(cases) % classes)
    lengths = rng.integers(least, greatest, size=cases, endpoint=True)
    series = []
    for label, T in zip(labels, lengths, strict=True):
        clean = np.zeros((T, channels))
        begin, end = (round(part * T) for part in _WINDOWS[place])
        turn = 2 * np.pi * (np.arange(begin, end)[:, None] / PERIOD + rng.random())
        clean[begin:end, 0 : 2 * (channels // 2) : 2] = _pattern(kind, turn)
        clean[begin:end, 1::2] = _pattern(kind, turn + 2 * np.pi * (label + 0.5) / classes)
        unit = np.clip(AMPLITUDE * clean + noise * rng.standard_normal(clean.shape), -1, 1)
        series.append((low + (high - low) * (unit + 1) / 2).astype(np.float32))
    return Sequences(tuple(series), labels=labels, source=f"make_sequences({kind}, {place})")


def _pattern(kind: Kind, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return f of an angle in radians, between -1 and 1."""
    return np.sin(turn) if kind == "phase" else np.exp(SHARPNESS * (np.cos(turn) - 1))


def _check(
    cases: int,
    least: int,
    greatest: int,
    channels: int,
    classes: int,
    kind: str,
    place: str,
    low: float,
    high: float,
    noise: float,
) -> None:
    if kind not in _KINDS:
        raise InputError(f"kind: found {kind!r}; {suggest(kind, _KINDS)}")
    if place not in _WINDOWS:
        raise InputError(f"place: found {place!r}; {suggest(place, _WINDOWS)}")
    if classes < 2 or cases < classes:
        raise InputError(f"cases, classes: found {cases} cases of {classes} classes, expected two classes or more")
    if channels < 2:
        raise InputError(f"channels: found {channels}, expected at least 2: the class lies between two channels")
    begin, end = _WINDOWS[place]
    if round(end * least) - round(begin * least) < PERIOD or least > greatest:
        raise InputError(
            f"steps: found {least} to {greatest}, expected a window ({place}) of at least {PERIOD} steps in every case"
        )
    if not low < high or noise < 0:
        raise InputError(
            f"value_range, noise: found {low} to {high} and {noise}, expected a rising range and no noise < 0"
        )
