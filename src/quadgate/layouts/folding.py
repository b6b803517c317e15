"""Make the arrays of a layer fit the places that a class has for them, without changing the layer's function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell.parameters import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts.layout import PEEPHOLE_GATES, ArrayName, Layout
from quadgate.layouts.settings import forget_bias_held

Array = NDArray[Any]


def fold(
    parameters: LSTMParameters | GRUParameters, row: Layout, layer: int = 0
) -> tuple[dict[ArrayName, Array], tuple[str, ...]]:
    """Return the arrays for which the class has a place, and a sentence for each thing that was folded.

    Raises:
        InputError: the class has no place for something that the layer needs.
    """
    arrays: dict[ArrayName, Array] = {"w_x": parameters.w_x, "w_h": parameters.w_h}
    biases, folded = _move_homeless(parameters, row, layer)
    if isinstance(parameters, LSTMParameters):
        folded += _fold_forget_bias(parameters, row, biases, layer)
        arrays |= _peepholes(parameters, row)
        if parameters.projection is not None:
            if not row.holding("projection"):
                raise InputError(
                    f"{row.name}: cannot hold a projection to {parameters.state_width}: the class has none"
                )
            arrays["projection"] = parameters.projection
    for side in row.biases:
        if side not in biases and (biases or side not in row.optional):
            biases[side] = _no_bias(parameters)
    return arrays | biases, tuple(folded)


def _move_homeless(
    parameters: LSTMParameters | GRUParameters, row: Layout, layer: int
) -> tuple[dict[ArrayName, Array], list[str]]:
    """Keep each bias on its side where the class has a place for it there; add it to the other side where not."""
    given: dict[ArrayName, Array | None] = {"b_x": parameters.b_x, "b_h": parameters.b_h}
    biases: dict[ArrayName, Array] = {}
    moved: dict[ArrayName, Array] = {}
    for side, bias in given.items():
        if bias is None:
            continue
        held = np.array([[gate in row.gates_held(side)] for gate in row.normal_gates])
        moved[side] = np.where(held, np.zeros_like(bias), bias)
        if held.any():
            biases[side] = np.where(held, bias, np.zeros_like(bias))
    folded = []
    for side, homeless in moved.items():
        if not homeless.any():
            continue
        other: ArrayName = "b_h" if side == "b_x" else "b_x"
        _check_movable(parameters, row, side, other, homeless)
        biases[other] = _sum(biases.get(other), homeless)
        if given[other] is not None:
            folded.append(f"{side} added to {other} in {_name(row, other, layer)}")
    return biases, folded


def _check_movable(
    parameters: LSTMParameters | GRUParameters, row: Layout, side: ArrayName, other: ArrayName, homeless: Array
) -> None:
    for gate, bias in zip(row.normal_gates, homeless, strict=True):
        if bias.any() and gate not in row.gates_held(other):
            raise InputError(f"{row.name}: cannot hold a bias of gate {gate}: the class has none")
        if bias.any() and gate == "n" and isinstance(parameters, GRUParameters) and parameters.reset_after:
            raise InputError(
                f"{row.name}: cannot hold the candidate's {side}: the reset acts on one of the two biases, "
                f"and the class has {other} alone"
            )


def _fold_forget_bias(p: LSTMParameters, row: Layout, biases: dict[ArrayName, Array], layer: int) -> list[str]:
    """Add to a stored bias what the class does not add while running."""
    held = forget_bias_held(row, p.forget_bias)
    rest = p.forget_bias - held
    if not rest:
        return []
    side = next((side for side in row.biases if "f" in row.gates_held(side)), None)
    if side is None:
        raise InputError(f"{row.name}: cannot hold a forget bias of {p.forget_bias:g}: the class has no bias")
    bias = biases[side].copy() if side in biases else _no_bias(p)
    bias[row.normal_gates.index("f")] += bias.dtype.type(rest)
    biases[side] = bias
    name = _name(row, side, layer)
    if held:
        return [f"{rest:+g} into the forget gate's {name}: the class always adds {held:g}, the layer {p.forget_bias:g}"]
    return [f"forget bias of {rest:g}, added while running, into {name}"]


def _peepholes(p: LSTMParameters, row: Layout) -> dict[ArrayName, Array]:
    if row.holding("peepholes"):
        if p.peepholes is not None:
            return {"peepholes": p.peepholes}
        if "peepholes" not in row.optional:
            return {"peepholes": np.zeros((len(PEEPHOLE_GATES), p.units), p.w_x.dtype)}
    elif p.peepholes is not None and p.peepholes.any():
        raise InputError(f"{row.name}: cannot hold peepholes: the class has none")
    return {}


def _sum(bias: Array | None, moved: Array) -> Array:
    """Add what was moved; where that is zero the bits stay, those of a negative zero too."""
    return moved if bias is None else np.where(moved != 0, bias + moved, bias)


def _no_bias(parameters: LSTMParameters | GRUParameters) -> Array:
    return np.zeros((len(parameters.w_x), parameters.units), parameters.w_x.dtype)


def _name(row: Layout, array: ArrayName, layer: int) -> str:
    """Return the first tensor that holds a bias; for the forget gate's, the one that holds that gate."""
    tensors = row.holding(array)
    of_forget = [t for t in tensors if any("f" in row.gates_of(part) for part in t.parts)]
    return row.name_of((of_forget or tensors)[0], layer)
