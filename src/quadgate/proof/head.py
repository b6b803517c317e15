"""The dense head and its pooling, run in float64 on outputs of a top layer that were drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.kernels.pooling import pool
from quadgate.model import Head, Model
from quadgate.proof.trial import LENGTHS, STEPS, Difference

Array = NDArray[Any]


def compare_heads(a: Model, b: Model) -> Difference | None:
    """Run the heads of two models on the same outputs of cases of unequal lengths; None where not both have one.

    A pooling that one file does not say is taken to be the other's: it is named among the assumptions.

    Returns:
        The largest difference of the logits; of infinite size where the heads have other sizes.
    """
    if a.head is None or b.head is None:
        return None
    if (a.head.features, a.head.classes) != (b.head.features, b.head.classes):
        return Difference(np.inf, 0.0)
    pools = [model.head.pool for model in (a, b) if model.head is not None and not _assumed(model)]
    outputs, last, lengths = drawn(a.head.features)
    one, other = (
        run_head(model, outputs, last, lengths, pools[0] if pools and _assumed(model) else None) for model in (a, b)
    )
    with np.errstate(invalid="ignore"):
        return Difference(float(np.abs(one - other).max()), 0.0, float(np.abs(one).max()))


def drawn(features: int) -> tuple[Array, Array, Array]:
    """Draw the outputs of a top layer `[N, T, F]`, zero past each case's end, its final h `[N, F]`, and the lengths."""
    rng = np.random.default_rng(2)
    outputs = rng.uniform(-1, 1, (len(LENGTHS), STEPS, features))
    lengths = np.array(LENGTHS)
    outputs[np.arange(STEPS) >= lengths[:, None]] = 0
    return outputs, rng.uniform(-1, 1, (len(LENGTHS), features)), lengths


def run_head(model: Model, outputs: Array, last: Array, lengths: Array | None, pooling: str | None = None) -> Array:
    """Return the logits `[N, K]` of a model that has a head, in float64.

    Args:
        model: the model.
        outputs: `[N, T, F]`, the top layer's.
        last: `[N, F]`, its final h.
        lengths: `[N]`, or None where every step counts.
        pooling: another than the head's own.
    """
    head = model.head
    assert head is not None  # noqa: S101
    kind = head.pool if pooling is None or "attention" in (pooling, head.pool) else pooling
    query = None if head.query is None else np.asarray(model.variables[head.query], np.float64)
    weights, biases = head_numbers(model, head)
    logits: Array = pool(outputs, last, lengths, kind, query) @ weights + biases
    return logits


def head_numbers(model: Model, head: Head) -> tuple[Array, Array]:
    """Return the weights `[F, K]` and the biases `[K]` of a head, in float64."""
    weights = np.asarray(model.variables[head.weights], np.float64)
    biases = np.zeros(head.classes) if head.biases is None else np.asarray(model.variables[head.biases], np.float64)
    return weights.T if head.transposed else weights, biases


def _assumed(model: Model) -> bool:
    return any(one.setting == "pool" for one in model.assumptions)
