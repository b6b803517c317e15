"""What each channel and step contributed to an answer: integrated gradients and occlusion, in NumPy.

The answer is the log-odds of a class, `log(p / (1 - p))`; both methods compare a series with its baseline, the mean of
each channel in training (zero where the model has no scaling).

Sources: Sundararajan, Taly and Yan (2017) for integrated gradients; Zeiler and Fergus (2014) for occlusion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.explain.gradients import log_odds as log_odds_of
from quadgate.explain.gradients import slope
from quadgate.model import Ensemble, Model

Array = NDArray[np.float64]

_TOGETHER = 16  # points of the path that run together


@dataclass(frozen=True, eq=False)
class Contribution:
    """How an answer came about.

    Attributes:
        target: the class's place in the model's classes.
        log_odds: of the series.
        baseline: of the baseline.
        gradients: `[T, C]`, integrated gradients; their sum is `log_odds - baseline`, but for `missing`.
        missing: what the sum lacks, since the path is taken in finitely many points.
        occlusion: `[T, C]`, how much lower the log-odds are where a stretch of a channel is replaced by its baseline.
    """

    target: int
    log_odds: float
    baseline: float
    gradients: Array
    missing: float
    occlusion: Array

    @property
    def channels(self) -> Array:
        """`[C]`, the sum of the integrated gradients over the steps."""
        return np.asarray(self.gradients.sum(axis=0))

    @property
    def steps(self) -> Array:
        """`[T]`, their sum over the channels."""
        return np.asarray(self.gradients.sum(axis=1))


def contribution(
    model: Model | Ensemble, series: NDArray[Any], target: int, points: int = 32, windows: int = 24
) -> Contribution:
    """Attribute the log-odds of class `target` to the channels and steps of one series `[T, C]`.

    Args:
        model: a classifier of one chain, or an ensemble, whose mean probabilities are attributed.
        series: not yet scaled.
        target: the class's place.
        points: of the path from the baseline to the series, by Gauss and Legendre.
        windows: into how many stretches the steps are cut for occlusion, at most.

    Raises:
        InputError: the model has no classes.

    >>> from quadgate.model import Network
    >>> network = Network(inputs=1, units=2, classes=2, pool="mean")
    >>> rng = np.random.default_rng(0)
    >>> variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    >>> found = contribution(Model(network, variables), rng.normal(size=(6, 1)), target=1)
    >>> bool(abs(found.gradients.sum() - (found.log_odds - found.baseline)) < 1e-6)
    True
    """
    x = np.asarray(series, np.float64)
    if model.scaling is not None:
        x = (x - model.scaling.mean) / model.scaling.scale
    nodes, weights = np.polynomial.legendre.leggauss(points)
    places, weights = (nodes + 1) / 2, weights / 2
    total = np.zeros_like(x)
    for start in range(0, points, _TOGETHER):
        part = slice(start, start + _TOGETHER)
        slopes = slope(model, places[part, None, None] * x, target)
        total += (weights[part, None, None] * slopes).sum(axis=0)
    gradients = x * total
    ends = log_odds_of(model, np.stack([x, np.zeros_like(x)]), target)
    log_odds, baseline = (float(end) for end in ends)
    return Contribution(
        target,
        log_odds,
        baseline,
        gradients,
        log_odds - baseline - float(gradients.sum()),
        _occlusion(model, x, target, log_odds, windows),
    )


def _occlusion(model: Model | Ensemble, x: Array, target: int, log_odds: float, windows: int) -> Array:
    T, C = x.shape
    pieces = np.array_split(np.arange(T), min(windows, T))
    found = np.zeros_like(x)
    for channel in range(C):
        hidden = np.repeat(x[None], len(pieces), axis=0)
        for one, steps in zip(hidden, pieces, strict=True):
            one[steps, channel] = 0
        drops = log_odds - log_odds_of(model, hidden, target)
        for steps, drop in zip(pieces, drops, strict=True):
            found[steps, channel] = drop
    return found
