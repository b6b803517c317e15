"""The log-odds of a class and their slope with respect to the series, in float64 NumPy, of every kind of classifier.

The log-odds are `log(p / (1 - p))`, p the probability of the class; of an ensemble p is the mean of its networks'.
Everything works on series that are scaled already, and not yet cut into patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quadgate.cell import LSTMParameters, gru, gru_backward, lstm, lstm_backward
from quadgate.errors import InputError
from quadgate.model import Convolutions, Ensemble, Model, Patches

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Answer:
    """The logits `[N, K]` of N series, and the way back: from their gradient to that of the series `[N, T, C]`."""

    logits: Array
    back: Callable[[Array], Array]


def log_odds(model: Model | Ensemble, x: NDArray[Any], target: int) -> Array:
    """Return the log-odds `[N]` of class `target` for series `x [N, T, C]`.

    Raises:
        InputError: the model has no classes.
    """
    return _odds([answer.logits for answer in _answers(model, np.asarray(x, np.float64))[0]], target)[0]


def slope(model: Model | Ensemble, x: NDArray[Any], target: int) -> Array:
    """Return the gradient `[N, T, C]` of the log-odds of class `target` with respect to `x [N, T, C]`.

    Raises:
        InputError: the model has no classes.
    """
    x = np.asarray(x, np.float64)
    answers, patches = _answers(model, x)
    down = _odds([answer.logits for answer in answers], target)[1]
    d_read = sum(answer.back(one) for answer, one in zip(answers, down, strict=True))
    return _spread(patches, np.asarray(d_read), x.shape)


def _odds(logits: list[Array], target: int) -> tuple[Array, list[Array]]:
    """Return the log-odds `[N]` of the mean probability, and the gradient with respect to each network's logits.

    In logarithms, so that a probability that rounds to one has its true distance from it.
    """
    logs = np.stack([one - np.logaddexp.reduce(one, axis=1, keepdims=True) for one in logits])  # [M, N, K]
    this, others = logs[:, :, target], np.delete(logs, target, axis=2)
    rest = np.logaddexp.reduce(others, axis=2)
    found = np.logaddexp.reduce(this, axis=0) - np.logaddexp.reduce(rest, axis=0)
    share_this, share_rest = (np.exp(one - np.logaddexp.reduce(one, axis=0)) for one in (this, rest))
    chances = np.exp(logs)
    among = np.insert(np.exp(others - rest[:, :, None]), target, 0.0, axis=2)
    own = np.zeros_like(logs)
    own[:, :, target] = 1
    down = share_this[:, :, None] * (own - chances) - share_rest[:, :, None] * (among - chances)
    return np.asarray(found), list(down)


def _answers(model: Model | Ensemble, x: Array) -> tuple[list[_Answer], Patches]:
    if not model.classes or model.classes < 2:
        raise InputError(f"{model.source or 'model'}: found no classes, expected a classifier")
    if isinstance(model, Model):
        return [_network(model, x)], Patches()
    read = np.stack([model.patches.apply(one) for one in x])
    return [
        _network(one.model, read) if one.convolutions is None else _both(one.model, one.convolutions, read)
        for one in model.members
    ], model.patches


def _spread(patches: Patches, d_read: Array, shape: tuple[int, ...]) -> Array:
    """Bring the gradient of patches `[N, P, length * C]` back to the steps that stand in them."""
    if patches.length == 1:
        return d_read
    N, T, C = shape
    steps = patches.apply(np.arange(1, T + 1)[:, None]) - 1  # [P, length], -1 where a patch is filled up
    parts = d_read.reshape(N, *steps.shape, C)
    found = np.zeros(shape)
    for place in range(patches.length):
        there = steps[:, place] >= 0
        found[:, steps[there, place]] += parts[:, there, place]
    return found


def _both(model: Model, convolutions: Convolutions, x: Array) -> _Answer:
    one, other = _network(model, x), _convolved(convolutions, x)
    return _Answer(one.logits + other.logits, lambda down: one.back(down) + other.back(down))


def _convolved(branch: Convolutions, x: Array) -> _Answer:
    N, T, _ = x.shape
    values, kept = x, []
    for kernel, bias in zip(branch.kernels, branch.biases, strict=True):
        k, C, F = kernel.shape
        padded = np.pad(values, ((0, 0), (k // 2, k // 2), (0, 0)))
        windows = sliding_window_view(padded, k, axis=1).transpose(0, 1, 3, 2).reshape(N, T, k * C)
        values = np.maximum(windows @ kernel.reshape(k * C, F).astype(np.float64) + bias, 0)
        kept.append(values > 0)
    weights = branch.weights.astype(np.float64)

    def back(down: Array) -> Array:
        d_values = np.repeat((down @ weights.T / T)[:, None], T, axis=1)
        for kernel, alive in zip(reversed(branch.kernels), reversed(kept), strict=True):
            k, C, F = kernel.shape
            d_windows = ((d_values * alive) @ kernel.reshape(k * C, F).T.astype(np.float64)).reshape(N, T, k, C)
            d_padded = np.zeros((N, T + k - 1, C))
            for place in range(k):
                d_padded[:, place : place + T] += d_windows[:, :, place]
            d_values = d_padded[:, k // 2 : k // 2 + T]
        return d_values

    return _Answer(values.mean(axis=1) @ weights, back)


def _network(model: Model, x: Array) -> _Answer:
    assert model.head is not None  # noqa: S101
    head, inputs, outputs, ends = model.head, [], x, []
    for layer in model.layers:
        inputs.append(outputs)
        found = [lstm(outputs, p) if isinstance(p, LSTMParameters) else gru(outputs, p) for p in layer]
        outputs = np.concatenate([values for values, _ in found], axis=2)
        ends = [end[1] if isinstance(end, tuple) else end for _, end in found]
    last = np.concatenate(ends, axis=1)
    weights = np.asarray(model.variables[head.weights], np.float64)
    weights = weights.T if head.transposed else weights
    biases = 0.0 if head.biases is None else np.asarray(model.variables[head.biases], np.float64)
    features, pooled_back = _pooled(model, outputs, last)

    def back(down: Array) -> Array:
        d_outputs, d_last = pooled_back(down @ weights.T)
        for layer, read in zip(reversed(model.layers), reversed(inputs), strict=True):
            d_outputs = _layer_back(layer, read, d_outputs, d_last)
            d_last = np.zeros((len(read), d_outputs.shape[2]))
        return d_outputs

    return _Answer(features @ weights + biases, back)


def _layer_back(layer: tuple[Any, ...], read: Array, d_outputs: Array, d_last: Array) -> Array:
    d_read = np.zeros_like(read)
    start = 0
    for p in layer:
        part = slice(start, start + p.state_width)
        start += p.state_width
        d_out, d_h = np.ascontiguousarray(d_outputs[:, :, part]), np.ascontiguousarray(d_last[:, part])
        if isinstance(p, LSTMParameters):
            d_read += lstm_backward(read, p, d_out, (np.zeros((len(read), p.units)), d_h))[0]
        else:
            d_read += gru_backward(read, p, d_out, d_h)[0]
    return d_read


def _pooled(model: Model, outputs: Array, last: Array) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
    """Return the features `[N, F]`, and the way back from their gradient to that of the outputs and the final h."""
    assert model.head is not None  # noqa: S101
    T = outputs.shape[1]
    match model.head.pool:
        case "last":
            return last, lambda down: (np.zeros_like(outputs), down)
        case "mean":
            return outputs.mean(axis=1), lambda down: (
                np.repeat(down[:, None] / T, T, axis=1),
                np.zeros_like(last),
            )
        case "max":
            places = outputs.argmax(axis=1)[:, None]

            def to_largest(down: Array) -> tuple[Array, Array]:
                d_outputs = np.zeros_like(outputs)
                np.put_along_axis(d_outputs, places, down[:, None], axis=1)
                return d_outputs, np.zeros_like(last)

            return outputs.max(axis=1), to_largest
    query = np.asarray(model.variables[str(model.head.query)], np.float64)
    scores = outputs @ query
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)

    def attended(down: Array) -> tuple[Array, Array]:
        along = np.einsum("ntf,nf->nt", outputs, down)
        d_scores = shares * (along - (shares * along).sum(axis=1, keepdims=True))
        return shares[:, :, None] * down[:, None] + d_scores[:, :, None] * query, np.zeros_like(last)

    return np.einsum("nt,ntf->nf", shares, outputs), attended
