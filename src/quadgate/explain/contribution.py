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

from quadgate.cell import LSTMParameters, gru, gru_backward, lstm, lstm_backward
from quadgate.errors import InputError
from quadgate.model import Model

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


def contribution(model: Model, series: NDArray[Any], target: int, points: int = 32, windows: int = 24) -> Contribution:
    """Attribute the log-odds of class `target` to the channels and steps of one series `[T, C]`.

    Args:
        model: a classifier of one chain.
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
    if model.head is None or not model.classes or model.classes < 2:
        raise InputError(f"{model.source or 'model'}: found no classes, expected a classifier")
    x = np.asarray(series, np.float64)
    if model.scaling is not None:
        x = (x - model.scaling.mean) / model.scaling.scale
    nodes, weights = np.polynomial.legendre.leggauss(points)
    places, weights = (nodes + 1) / 2, weights / 2
    total = np.zeros_like(x)
    for start in range(0, points, _TOGETHER):
        part = slice(start, start + _TOGETHER)
        slopes = _slope(model, places[part, None, None] * x, target)
        total += (weights[part, None, None] * slopes).sum(axis=0)
    gradients = x * total
    ends = _log_odds(_logits(model, np.stack([x, np.zeros_like(x)])), target)
    log_odds, baseline = (float(end) for end in ends)
    return Contribution(
        target,
        log_odds,
        baseline,
        gradients,
        log_odds - baseline - float(gradients.sum()),
        _occlusion(model, x, target, log_odds, windows),
    )


def _occlusion(model: Model, x: Array, target: int, log_odds: float, windows: int) -> Array:
    T, C = x.shape
    pieces = np.array_split(np.arange(T), min(windows, T))
    found = np.zeros_like(x)
    for channel in range(C):
        hidden = np.repeat(x[None], len(pieces), axis=0)
        for one, steps in zip(hidden, pieces, strict=True):
            one[steps, channel] = 0
        drops = log_odds - _log_odds(_logits(model, hidden), target)
        for steps, drop in zip(pieces, drops, strict=True):
            found[steps, channel] = drop
    return found


def _forward(model: Model, x: Array) -> tuple[list[Array], Array, Array]:
    """Return what each layer reads, the top layer's outputs `[N, T, F]`, and its final h `[N, F]`."""
    inputs, ends = [], []
    for layer in model.layers:
        inputs.append(x)
        found = [lstm(x, p) if isinstance(p, LSTMParameters) else gru(x, p) for p in layer]
        x = np.concatenate([outputs for outputs, _ in found], axis=2)
        ends = [end[1] if isinstance(end, tuple) else end for _, end in found]
    return inputs, x, np.concatenate(ends, axis=1)


def _weights(model: Model) -> tuple[Array, Array | None]:
    assert model.head is not None  # noqa: S101
    weights = np.asarray(model.variables[model.head.weights], np.float64)
    biases = None if model.head.biases is None else np.asarray(model.variables[model.head.biases], np.float64)
    return (weights.T if model.head.transposed else weights), biases


def _pooled(model: Model, outputs: Array, last: Array) -> tuple[Array, Array | None]:
    """Return the features `[N, F]` and, of attention, the share `[N, T]` of each step."""
    assert model.head is not None  # noqa: S101
    match model.head.pool:
        case "last":
            return last, None
        case "mean":
            return outputs.mean(axis=1), None
        case "max":
            return outputs.max(axis=1), None
    scores = outputs @ np.asarray(model.variables[str(model.head.query)], np.float64)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.einsum("nt,ntf->nf", shares, outputs), shares


def _logits(model: Model, x: Array) -> Array:
    _, outputs, last = _forward(model, x)
    weights, biases = _weights(model)
    logits = _pooled(model, outputs, last)[0] @ weights
    return logits if biases is None else logits + biases


def _log_odds(logits: Array, target: int) -> Array:
    others = np.delete(logits, target, axis=1)
    return np.asarray(logits[:, target] - np.logaddexp.reduce(others, axis=1))


def _slope(model: Model, x: Array, target: int) -> Array:
    """Return the gradient `[N, T, C]` of the log-odds with respect to x."""
    inputs, outputs, last = _forward(model, x)
    weights, biases = _weights(model)
    features, shares = _pooled(model, outputs, last)
    logits = features @ weights + (0 if biases is None else biases)
    others = np.delete(logits, target, axis=1)
    down = -np.exp(others - np.logaddexp.reduce(others, axis=1, keepdims=True))
    d_features = np.insert(down, target, 1.0, axis=1) @ weights.T
    d_outputs, d_last = np.zeros_like(outputs), np.zeros_like(last)
    assert model.head is not None  # noqa: S101
    match model.head.pool:
        case "last":
            d_last = d_features
        case "mean":
            d_outputs += d_features[:, None] / outputs.shape[1]
        case "max":
            np.put_along_axis(d_outputs, outputs.argmax(axis=1)[:, None], d_features[:, None], axis=1)
        case _:
            assert shares is not None  # noqa: S101
            query = np.asarray(model.variables[str(model.head.query)], np.float64)
            along = np.einsum("ntf,nf->nt", outputs, d_features)
            d_scores = shares * (along - (shares * along).sum(axis=1, keepdims=True))
            d_outputs = shares[:, :, None] * d_features[:, None] + d_scores[:, :, None] * query
    for k, (layer, read) in reversed(list(enumerate(zip(model.layers, inputs, strict=True)))):
        d_read = np.zeros_like(read)
        start = 0
        for p in layer:
            part = slice(start, start + p.state_width)
            start += p.state_width
            d_out, d_h = np.ascontiguousarray(d_outputs[:, :, part]), np.ascontiguousarray(d_last[:, part])
            if isinstance(p, LSTMParameters):
                d_c = np.zeros((len(read), p.units))
                d_read += lstm_backward(read, p, d_out, (d_c, d_h))[0]
            else:
                d_read += gru_backward(read, p, d_out, d_h)[0]
        d_outputs = d_read
        if k:
            d_last = np.zeros((len(read), d_read.shape[2]))
    return d_outputs
