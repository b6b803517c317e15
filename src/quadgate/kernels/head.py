"""What follows the recurrent layers: pooling, the dense layer and the probabilities, compiled where that was built.

A case has the same bits in any batch and however its steps come, since all is gathered step by step in one order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.kernels.choice import explain_choice
from quadgate.kernels.pooling import dense, pool, softmax

Array = NDArray[Any]


class Head:
    """A head whose numbers are packed for the kernels.

    Args:
        kind: `last`, `mean`, `max` or `attention`.
        query: `[F]`, of attention; else None.
        weights: `[F, K]`.
        biases: `[K]`, or None for zeros.

    >>> head = Head("mean", None, np.eye(2), None)
    >>> head.run(np.array([[[1.0, 2.0], [3.0, 6.0]]], np.float32), None, np.zeros((1, 2), np.float32), False).tolist()
    [[2.0, 4.0]]
    """

    def __init__(self, kind: str, query: ArrayLike | None, weights: ArrayLike, biases: ArrayLike | None) -> None:
        self._kind = kind
        self._weights = np.require(weights, np.float32, ["C", "A"])
        F, K = self._weights.shape
        self._biases = np.require(np.zeros(K) if biases is None else biases, np.float32, ["C", "A"])
        self._query = None if query is None else np.require(query, np.float32, ["C", "A"])
        self.carried_size = 0 if kind == "last" else 2 + F
        """How many numbers a case carries from step to step, all zero before the first: see `step`."""
        self.classes = K
        self.native: Any = None
        if explain_choice().implementation == "compiled":
            from quadgate.kernels.cpu import _native

            self.native = _native.Head(kind, self._query, self._weights, self._biases)

    def run(self, outputs: Array, lengths: Array | None, last: Array, probabilities: bool) -> Array:
        """Return the logits `[N, K]` of whole cases, or their probabilities.

        Args:
            outputs: `[N, T, F]`, the top layer's.
            lengths: `[N]`, or None where every step counts.
            last: `[N, F]`, the final h, or the starting one of a case without steps.
            probabilities: whether the softmax is wanted.
        """
        if self.native is None:
            features = pool(outputs, last.astype(np.float32), lengths, self._kind, self._query)
            logits = dense(features, self._weights, self._biases)
            return softmax(logits) if probabilities else logits
        answers = np.empty((len(last), self.classes), np.float32)
        if lengths is not None:
            lengths = np.require(lengths, np.int64, ["C", "A"])
        last = np.require(last, np.float32, ["C", "A"])
        self.native.forward(np.require(outputs, np.float32, ["C", "A"]), lengths, last, probabilities, answers)
        return answers

    def step(self, outputs: Array, carried: Array, probabilities: bool) -> Array:
        """Gather one more step `[N, F]` and return the answers `[N, K]` to all steps so far, in NumPy.

        Args:
            outputs: the top layer's at this step.
            carried: `[N, carried_size]` float64, written: the number of steps or the sum of the weights, the
                highest score, and F sums or maxima.
            probabilities: whether the softmax is wanted.
        """
        features = outputs
        if self._kind != "last":
            self._gather(outputs, carried)
            total = carried[:, :1]
            features = (carried[:, 2:] if self._kind == "max" else carried[:, 2:] / total).astype(np.float32)
        logits = dense(features, self._weights, self._biases)
        return softmax(logits) if probabilities else logits

    def _gather(self, outputs: Array, carried: Array) -> None:
        count, sums = carried[:, :1], carried[:, 2:]
        if self._kind == "max":
            sums[:] = np.where((count > 0) & (sums >= outputs), sums, outputs)
        elif self._query is None:
            sums += outputs
        else:
            # A step with the highest score so far brings the sums to its scale (Milakov and Gimelshein, 2018).
            score = dense(outputs, self._query[:, None]).astype(np.float64)
            before = np.where(count > 0, carried[:, 1:2], -np.inf)
            highest = np.maximum(before, score)
            scale, weight = np.exp(before - highest), np.exp(score - highest)
            sums[:] = sums * scale + weight * outputs
            carried[:, 1:2] = highest
            count[:] = count * scale + weight
            return
        count += 1
