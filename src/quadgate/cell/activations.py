"""The functions that a cell applies to each element, with their slopes, by the names used in `Activations`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError, suggest

Array = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """A function of one element, `y = function(z)`, and its slope `dy/dz` written in terms of `y`.

    The slope needs only `y`, so that a backward pass keeps one array per gate. At a corner it is that of the flat side.
    """

    function: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """`1 / (1 + exp(-z))`, without overflow, and exact to the last digits at either end.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(z))
    large: Array = 1 / (1 + small)
    return np.where(z < 0, small * large, large)


def hard_sigmoid(z: Array) -> Array:
    """`clip(z / 5 + 1/2, 0, 1)`: Keras up to version 2, and ONNX's default."""
    return np.clip(0.2 * z + 0.5, 0, 1)


def hard_sigmoid_v3(z: Array) -> Array:
    """`clip(z / 6 + 1/2, 0, 1)`: Keras 3 and PyTorch."""
    return np.clip(z + 3, 0, 6) / 6


ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, lambda y: y * (1 - y)),
    "tanh": Activation(np.tanh, lambda y: 1 - y * y),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda y: np.where(y > 0, 1, 0).astype(y.dtype)),
    "linear": Activation(lambda z: z, np.ones_like),
    "hard_sigmoid": Activation(hard_sigmoid, lambda y: np.where((y > 0) & (y < 1), 0.2, 0).astype(y.dtype)),
    "hard_sigmoid_v3": Activation(hard_sigmoid_v3, lambda y: np.where((y > 0) & (y < 1), 1 / 6, 0).astype(y.dtype)),
}


def activation(name: str) -> Activation:
    """Look up an activation.

    Raises:
        InputError: there is none of that name.

    >>> float(activation("relu").function(np.array(-2.0)))
    0.0
    """
    if name not in ACTIVATIONS:
        raise InputError(f"activation: found {name!r}, which is not known; {suggest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]
