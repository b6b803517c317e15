"""How the rows are written: a tensor in one line, and the conventions that many frameworks share."""

from __future__ import annotations

from quadgate.cell.parameters import Activations
from quadgate.layouts.layout import ActivationRule, ArrayName, ForgetBias, Part, Tensor


def one(name: str, array: ArrayName, axes: str, gates: str = "", *, reread: bool = False) -> Tensor:
    """A tensor that holds one array, or some of its gates."""
    return Tensor(name, (Part(array, axes, gates, reread),))


def stacked(name: str, arrays: tuple[ArrayName, ...], axes: str, axis: int = 0, gates: str = "") -> Tensor:
    """A tensor that holds several arrays, arranged alike, one after the other."""
    return Tensor(name, tuple(Part(array, axes, gates) for array in arrays), axis)


def each(template: str, array: ArrayName, axes: str, names: dict[str, str]) -> tuple[Tensor, ...]:
    """A tensor for each gate, named by `names` in place of the `*`, in the order of `names`."""
    return tuple(one(template.replace("*", name), array, axes, gate) for gate, name in names.items())


def in_turn(*families: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Gate by gate: the first tensor of each family, then the second of each."""
    return tuple(tensor for tensors in zip(*families, strict=True) for tensor in tensors)


SMOOTH = ("sigmoid", "tanh", "relu", "linear")
OLD_HARD = (*SMOOTH, "hard_sigmoid")
NEW_HARD = (*SMOOTH, "hard_sigmoid_v3")
ALL = (*SMOOTH, "hard_sigmoid", "hard_sigmoid_v3")

FREE_CELL = ActivationRule(cells=ALL)
FREE = ActivationRule(gates=ALL, cells=ALL, tied=False)
HARD = Activations(gate="hard_sigmoid")

AT_RUN_TIME = ForgetBias(run_time=1.0, choices=None)
ALWAYS_ONE = ForgetBias(run_time=1.0, choices=(1.0,))


def stored_one(tensor: str) -> ForgetBias:
    """A new layer has 1 in the forget gate's bias; nothing is added while running."""
    return ForgetBias(stored=1.0, stored_in=tensor)


BIASES: frozenset[ArrayName] = frozenset({"b_x", "b_h"})
PROJECTION: frozenset[ArrayName] = frozenset({"projection"})
PEEPHOLES: frozenset[ArrayName] = frozenset({"peepholes"})
