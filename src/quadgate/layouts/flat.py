"""Vectors that hold several layers: all weights of all layers first, then all biases, as cuDNN keeps them.

One layer in one direction is a row like any other (`tf1.CudnnLSTM`, `torch7.cudnn.LSTM`, `mxnet2.gluon.LSTM`); of
several, the weights and the biases of a layer stand far apart, so that they are first cut into vectors of one layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError

Array = NDArray[Any]


def cut_flat(
    vector: Array, inputs: int, units: int, layers: int = 1, directions: int = 1, gates: int = 4
) -> tuple[Array, ...]:
    """Cut a vector of several layers into one vector for each layer and direction, layers outermost.

    Args:
        vector: all weights, then all biases.
        inputs: C of the first layer; the others read `directions * units`.
        units: H of every layer.
        layers: L.
        directions: D, 1 or 2.
        gates: 4 for an LSTM, 3 for a GRU.

    Raises:
        InputError: the vector is not as long as these sizes ask for.

    >>> [len(layer) for layer in cut_flat(np.zeros(768), inputs=2, units=4, layers=4, directions=1)]
    Traceback (most recent call last):
    ...
    quadgate.errors.InputError: flat vector: found 768 numbers, expected 608 for C=2, H=4, L=4, D=1
    >>> [len(layer) for layer in cut_flat(np.zeros(288), inputs=2, units=4, layers=2, directions=1)]
    [128, 160]
    """
    weights = [gates * units * (width + units) for width in _widths(inputs, units, layers, directions)]
    biases = [2 * gates * units] * len(weights)
    total = sum(weights) + sum(biases)
    if vector.shape != (total,):
        raise InputError(
            f"flat vector: found {vector.size} numbers, expected {total} for C={inputs}, H={units}, L={layers}, "
            f"D={directions}"
        )
    pieces = [vector[start:end] for start, end in pairwise(accumulate([0, *weights, *biases]))]
    return tuple(np.concatenate(both) for both in zip(pieces[: len(weights)], pieces[len(weights) :], strict=True))


def join_flat(vectors: Sequence[Array], gates_and_units: int) -> Array:
    """Undo `cut_flat`.

    Args:
        vectors: one for each layer and direction, as `cut_flat` returns them.
        gates_and_units: the gates times H: half the length of a layer's biases.

    >>> vector = np.arange(288.0)
    >>> bool((join_flat(cut_flat(vector, inputs=2, units=4, layers=2), 16) == vector).all())
    True
    """
    biases = 2 * gates_and_units
    return np.concatenate([v[:-biases] for v in vectors] + [v[-biases:] for v in vectors])


def _widths(inputs: int, units: int, layers: int, directions: int) -> list[int]:
    """Return the number of inputs of each layer and direction."""
    return [inputs if layer == 0 else directions * units for layer in range(layers) for _ in range(directions)]
