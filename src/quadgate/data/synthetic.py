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
Evidence = Literal["all", "early", "middle", "late"]
_WINDOWS = {"all": (0.0, 1.0), "early": (0.0, 0.2), "middle": (0.4, 0.6), "late": (0.8, 1.0)}
_KINDS = ("phase", "order")


def make_sequences(
    n: int,
    time: int | tuple[int, int] = 820,
    channels: int = 12,
    classes: int = 2,
    *,
    low: float = -1.0,
    high: float = 1.0,
    evidence: Evidence = "all",
    kind: Kind = "phase",
    difficulty: float = 0.1,
    seed: int = 0,
) -> Sequences:
    """Make series whose class lies in the relation of two channels over time, and in nothing simpler.

    Channels are taken in pairs (0, 1), (2, 3), ...; inside the window of `evidence` both of a pair repeat one pattern
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
        n: N cases, in equal shares of the classes (as equal as N allows) and random order.
        time: T of all cases, or the least and the greatest T, drawn evenly for each case.
        channels: C, at least 2.
        classes: K.
        low: the least value.
        high: the greatest; the pattern takes three quarters of the range, and noise is cut at its ends.
        evidence: the window of each case: `"all"` steps, so that the evidence recurs to the end; or a fifth of them:
            `"early"` the first, `"middle"` the third, `"late"` the last.
        kind: `"phase"` or `"order"`.
        difficulty: standard deviation of the normal noise, in halves of the range: 0 for none; at 0.1 a look tells the
            classes apart, at 1 the noise is as large as the pattern.
        seed: the same seed gives the same series.

    Returns:
        `Sequences` with labels 0 to K-1.

    Raises:
        InputError: fewer cases than classes, fewer than 2 channels or classes, a window shorter than one turn, or an
            argument out of its range.

    >>> make_sequences(400)
    <Sequences: 400 cases x 820 steps x 12 channels, 2 classes>
    >>> make_sequences(30, (40, 42), 2, 3, kind="order", low=200, high=1000)
    <Sequences: 30 cases x 40 to 42 steps x 2 channels, 3 classes>
    """
    least, greatest = (time, time) if isinstance(time, int | np.integer) else time
    _check(n, least, greatest, channels, classes, kind, evidence, low, high, difficulty)
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    lengths = rng.integers(least, greatest, size=n, endpoint=True)
    series = []
    for label, T in zip(labels, lengths, strict=True):
        clean = np.zeros((T, channels))
        begin, end = (round(part * T) for part in _WINDOWS[evidence])
        turn = 2 * np.pi * (np.arange(begin, end)[:, None] / PERIOD + rng.random())
        clean[begin:end, 0 : 2 * (channels // 2) : 2] = _pattern(kind, turn)
        clean[begin:end, 1::2] = _pattern(kind, turn + 2 * np.pi * (label + 0.5) / classes)
        unit = np.clip(AMPLITUDE * clean + difficulty * rng.standard_normal(clean.shape), -1, 1)
        series.append((low + (high - low) * (unit + 1) / 2).astype(np.float32))
    return Sequences(tuple(series), labels=labels, source=f"make_sequences({kind}, {evidence})")


def _pattern(kind: Kind, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return f of an angle in radians, between -1 and 1."""
    return np.sin(turn) if kind == "phase" else np.exp(SHARPNESS * (np.cos(turn) - 1))


def _check(
    n: int,
    least: int,
    greatest: int,
    channels: int,
    classes: int,
    kind: str,
    evidence: str,
    low: float,
    high: float,
    difficulty: float,
) -> None:
    if kind not in _KINDS:
        raise InputError(f"kind: found {kind!r}; {suggest(kind, _KINDS)}")
    if evidence not in _WINDOWS:
        raise InputError(f"evidence: found {evidence!r}; {suggest(evidence, _WINDOWS)}")
    if classes < 2 or n < classes:
        raise InputError(f"n, classes: found {n} cases of {classes} classes, expected two classes or more")
    if channels < 2:
        raise InputError(f"channels: found {channels}, expected at least 2: the class lies between two channels")
    begin, end = _WINDOWS[evidence]
    if round(end * least) - round(begin * least) < PERIOD or least > greatest:
        raise InputError(
            f"time: found {least} to {greatest}, expected a window ({evidence}) of at least {PERIOD} steps in each case"
        )
    if not low < high or not difficulty >= 0:
        raise InputError(
            f"low, high, difficulty: found {low} to {high} and {difficulty}, expected a rising range and no noise < 0"
        )
