"""The numbers of one model under the names, and in the shapes, of another's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError
from quadgate.layouts import encode
from quadgate.model import Model
from quadgate.proof.trial import Parameters, sizes

Array = NDArray[Any]


def arranged_like(model: Model, like: Model) -> dict[str, Array]:
    """Return all variables of `like`, those of its layers and head with the numbers of `model`.

    Layers of the same sizes follow each other in the same order.

    Raises:
        InputError: `like` has no layer of the sizes of one of the model's, or no place for something in it.
    """
    tensors = dict(like.variables)
    free = [
        (cell, one)
        for layer, row in zip(like.cells, like.layers, strict=True)
        for cell, one in zip(layer, row, strict=True)
    ]
    for layer, cells in zip(model.layers, model.cells, strict=True):
        for parameters, own in zip(layer, cells, strict=True):
            fitting = (k for k, (_, one) in enumerate(free) if _fits(one, parameters))
            place = next(fitting, None)
            if place is None:
                raise InputError(
                    f"{like.source}: found no free layer with C={parameters.inputs}, H={parameters.units} "
                    f"for {own.name}"
                )
            cell, _ = free.pop(place)
            encoded = encode(parameters, cell.layout).tensors
            names: dict[str, str] = {name: variable for name, variable in cell.tensors}  # noqa: C416
            lacking = [name for name, array in encoded.items() if name not in names and array.any()]
            if lacking:
                raise InputError(f"{like.source}: {cell.name} has no tensor for {lacking[0]} of {own.name}")
            for name, variable in names.items():
                tensors[variable] = encoded[name] if name in encoded else np.zeros_like(tensors[variable])
    if model.head is not None and like.head is not None:
        weights = model.variables[model.head.weights]
        tensors[like.head.weights] = weights.T if model.head.transposed != like.head.transposed else weights
        if tensors[like.head.weights].shape != like.variables[like.head.weights].shape:
            raise InputError(f"{like.source}: {like.head.weights} has another shape than the head of {model.source}")
        if model.head.biases is not None and like.head.biases is not None:
            tensors[like.head.biases] = model.variables[model.head.biases]
    return tensors


def _fits(one: Parameters, other: Parameters) -> bool:
    return sizes(one) == sizes(other) and one.reverse == other.reverse
