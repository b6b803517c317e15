"""What a classifier does with the outputs of its top layer: one vector for each case, then one dense layer.

Sums run in a fixed order that does not depend on the batch, so that a case gets the same bits in any batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def pool(outputs: Array, final: Array, lengths: Array | None, kind: str, query: Array | None = None) -> Array:
    """Gather a case's steps into its features `[N, F]`.

    Args:
        outputs: `[N, T, F]`, zero past each case's end.
        final: `[N, F]`, the final h, directions side by side.
        lengths: `[N]`, or None where every step counts.
        kind: `last` takes `final`; `mean` and `max` go over a case's steps; `attention` weights them by
            `softmax(outputs @ query)`. A case without steps has zeros, and with `last` its starting state.
        query: `[F]`, for attention.
    """
    if kind == "last":
        return final
    N, T, _ = outputs.shape
    steps = np.full(N, T) if lengths is None else lengths
    valid = np.arange(T) < steps[:, None]
    if kind == "max":
        largest = np.max(outputs, axis=1, initial=-np.inf, where=valid[:, :, None])
        return np.where(steps[:, None] > 0, largest, np.float32(0))
    if query is None:
        mean: Array = _sum_steps(outputs) / np.maximum(steps, 1).astype(outputs.dtype)[:, None]
        return mean
    scores = np.where(valid, dense(outputs, query[:, None])[:, :, 0], -np.inf)
    highest = np.max(scores, axis=1, initial=np.finfo(np.float32).min)
    weights = np.exp(scores - highest[:, None])
    total = np.maximum(_sum_steps(weights[:, :, None]), np.finfo(np.float32).tiny)
    features: Array = _sum_steps(weights[:, :, None] * outputs) / total
    return features


def dense(features: Array, weights: Array, biases: Array | None = None) -> Array:
    """Return `features [..., F] @ weights [F, K] + biases [K]`, summed over F in rising order."""
    total: Array = np.zeros((*features.shape[:-1], weights.shape[1]), np.float32)
    for f, row in enumerate(weights):
        total += features[..., f, None] * row
    if biases is not None:
        total += biases
    return total


def softmax(logits: Array) -> Array:
    """Return the probabilities `[N, K]` of logits `[N, K]`."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = weights / _sum_steps(weights[:, :, None])
    return probabilities


def _sum_steps(values: Array) -> Array:
    """Sum `[N, T, F]` over T in rising order."""
    total = np.zeros((values.shape[0], values.shape[2]), values.dtype)
    for t in range(values.shape[1]):
        total += values[:, t]
    return total
