"""Where a framework keeps the numbers of a layer, for the operators: found through the rows of `quadgate.layouts`.

An operator takes the caller's own tensors under one set of names, whatever the framework calls them: `kernel` holds the
weights of the input (and those of the state where the framework joins the two), `recurrent_kernel` those of the state,
`bias` and `recurrent_bias` the one or two biases, `peepholes` and `projection` the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quadgate.errors import InputError
from quadgate.layouts import Layout, strides
from quadgate.layouts import layout as rows
from quadgate.layouts.rows import usable
from quadgate.layouts.sizes import solve

# The arrays of the normal form in the order in which the kernels take their places.
ARRAYS: tuple[rows.ArrayName, ...] = ("w_x", "w_h", "b_x", "b_h", "peepholes", "projection")


class Weights(NamedTuple):
    """The tensors of a layer as a framework keeps them; None where there is none."""

    kernel: Tensor
    recurrent_kernel: Tensor | None = None
    bias: Tensor | None = None
    recurrent_bias: Tensor | None = None
    peepholes: Tensor | None = None
    projection: Tensor | None = None


Shape = tuple[int, ...]
Place = tuple[int, Shape, int, int]


@dataclass(frozen=True)
class Placement:
    """The sizes of a layer, and for each array of the normal form, in the order of `ARRAYS`, its place.

    Attributes:
        inputs: C.
        units: H.
        width: P, that of the outputs and of h.
        places: None where there is no such array, else the number of its tensor among those that are there, the
            offsets of its gates and the strides of its rows and units, as `quadgate.layouts.strides` tells them.
    """

    inputs: int
    units: int
    width: int
    places: tuple[Place | None, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """C, H and P."""
        return self.inputs, self.units, self.width


class Normal(NamedTuple):
    """The arrays of a layer as matrices in the order of the equations: what every layout comes to."""

    w_x: Tensor  # [C, 4H], columns i, j, f, o
    w_h: Tensor  # [P, 4H]
    b_x: Tensor | None  # [4H]
    b_h: Tensor | None  # [4H]
    peepholes: Tensor | None  # [3H], i, f, o
    projection: Tensor | None  # [H, P]


def normal(layout: str, weights: Weights) -> Normal:
    """Gather the arrays with operations that can be differentiated and transformed.

    >>> weights = Weights(torch.arange(8.0)[:, None], torch.zeros(8, 2))  # C is 1, H is 2; gates i, f, j, o
    >>> normal("torch.nn.LSTM", weights).w_x
    tensor([[0., 1., 4., 5., 2., 3., 6., 7.]])
    """
    tensors = [one.reshape(-1) for one in weights if one is not None]

    def gathered(place: Place, rows: int, units: int) -> Tensor:
        source = tensors[place[0]]
        return source[_index(place, rows, units, source.device)].view((rows, -1) if place[2] else (-1,))

    arrays: list[Any] = [place and gathered(place, *size) for place, *size in _sized(layout, weights)]
    return Normal(*arrays)


def arranged(layout: str, arrays: Normal, like: Weights) -> Weights:
    """Arrange the arrays as a layout has them: the inverse of `normal`, differentiable too.

    Args:
        layout: the name of a row of `quadgate.layouts`.
        arrays: those of the layer, or their gradients.
        like: tensors of the shapes that are wanted, in the type and at the place of the arrays.

    >>> weights = Weights(torch.arange(8.0)[:, None], torch.zeros(8, 2))
    >>> torch.equal(arranged("torch.nn.LSTM", normal("torch.nn.LSTM", weights), weights).kernel, weights.kernel)
    True
    """
    found = [one.new_zeros(one.numel()) for one in like if one is not None]
    for (place, down, across), array in zip(_sized(layout, like), arrays, strict=True):
        if place is not None and array is not None:
            index = _index(place, down, across, array.device)
            found[place[0]] = found[place[0]].index_copy(0, index, array.reshape(-1))
    tensors = iter(found)
    return Weights._make(None if one is None else next(tensors).view(one.shape) for one in like)


def _sized(layout: str, weights: Weights) -> list[tuple[Place | None, int, int]]:
    """Return the place of each array, its rows and its units."""
    found = placed(layout, weights, dense=True)
    rows_of = (found.inputs, found.width, 1, 1, 1, found.units)
    columns = (found.units,) * 5 + (found.width,)
    return list(zip(found.places, rows_of, columns, strict=True))


def _index(place: Place, rows: int, units: int, device: torch.device) -> Tensor:
    """Return where the numbers of an array stand in the flat tensor, row by row and gate by gate."""
    if device.type == "cpu" or torch.compiler.is_compiling():
        return _made_index(place, rows, units, device)
    return _remembered_index(place, rows, units, device)


def _made_index(place: Place, rows: int, units: int, device: torch.device) -> Tensor:
    _, offsets, row_stride, unit_stride = place
    down, across = (torch.arange(size, device=device) for size in (rows, units))
    starts = torch.tensor(offsets, device=device)
    return (starts[:, None] + across * unit_stride + (down * row_stride)[:, None, None]).flatten()


@lru_cache(maxsize=256)
def _remembered_index(place: Place, rows: int, units: int, device: torch.device) -> Tensor:
    # On a GPU each of these operations costs as much as several steps of a layer. Made in main memory and copied, so
    # that it is there for every stream, and outside inference mode, whose tensors no gradient may meet.
    with torch.inference_mode(False):
        return _made_index(place, rows, units, torch.device("cpu")).to(device)


def placed(layout: str, weights: Weights, dense: bool = False) -> Placement:
    """Find every number of the weights; the answer is remembered by shapes and strides.

    Args:
        layout: the name of a row of `quadgate.layouts`.
        weights: the tensors.
        dense: for tensors of these shapes without gaps, in place of the strides that they have.

    Raises:
        InputError: a layout that is not known or keeps each gate in a tensor of its own, or shapes that do not fit.

    >>> found = placed("torch.nn.LSTM", Weights(torch.zeros(8, 3), torch.zeros(8, 2)))
    >>> found.inputs, found.units, found.places[1]  # w_h: gates at i, j, f, o
    (3, 2, (1, (0, 8, 4, 12), 1, 2))
    """
    known = tuple(
        None if one is None else (tuple(map(int, one.shape)), None if dense else tuple(map(int, one.stride())))
        for one in weights
    )
    found: Placement = _constant_placement(layout, known)
    return found


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _constant_placement(layout: str, known: tuple[tuple[Shape, Shape | None] | None, ...]) -> Placement:
    # A function of its own: of one that is cached, the compiler would trace what is below the cache.
    return _placement(layout, known)


@cache
def _placement(layout: str, known: tuple[tuple[Shape, Shape | None] | None, ...]) -> Placement:
    row = usable(layout)
    there = {name: one for name, one in zip(Weights._fields, known, strict=True) if one}
    tensors = _tensors(row, list(there))
    named = replace(row, tensors=tuple(tensors.values()), optional=frozenset(ARRAYS))
    stand_ins = {name: _stand_in(*there[name]) for name in tensors}
    sizes = solve(named, {tensors[name]: array.shape for name, array in stand_ins.items()})
    found = strides(stand_ins, named)
    numbers = {id(array): k for k, array in enumerate(stand_ins.values())}
    places = tuple(
        (numbers[id(one.data)], one.offsets, one.row_stride, one.unit_stride) if one else None
        for one in map(found.get, ARRAYS)
    )
    return Placement(sizes.C, sizes.H, sizes.P, places)


def _tensors(row: Layout, given: list[str]) -> dict[str, rows.Tensor]:
    """Name the row's tensors as the operators do; peepholes and a projection that it has no place for are normal."""
    found: dict[str, rows.Tensor] = {}
    roles: tuple[tuple[tuple[str, ...], tuple[rows.ArrayName, ...]], ...] = (
        (("kernel", "recurrent_kernel"), ("w_x", "w_h")),
        (("bias", "recurrent_bias"), ("b_x", "b_h")),
        (("peepholes",), ("peepholes",)),
        (("projection",), ("projection",)),
    )
    for names, arrays in roles:
        held = [tensor for tensor in row.tensors if tensor.arrays & set(arrays)]
        if len(names) == 1 and len(held) != 1:
            gates = rows.PEEPHOLE_GATES if names[0] == "peepholes" else ""
            held = [rows.Tensor(array, (rows.Part(array, rows.NORMAL_AXES[array], gates),)) for array in arrays]
        if row.flat or len(held) > len(names):
            raise InputError(
                f"{row.name}: keeps {' and '.join(arrays)} in {len(held)} tensors, which no kernel reads; bring the "
                "layer to another layout with quadgate.layouts"
            )
        found |= dict(zip(names, held, strict=False))
    for name in ("kernel", "recurrent_kernel"):
        if name in found and name not in given:
            raise InputError(f"{name}: found none, expected the tensor that {row.name} calls {found[name].name}")
    for name in given:
        if name not in found:
            raise InputError(f"{name}: found one, but {row.name} has no tensor of its own for it")
    return {name: replace(found[name], name=name) for name in found if name in given}


def _stand_in(shape: Shape, steps: Shape | None) -> NDArray[np.int8]:
    """Make an array of a tensor's shape and strides, whose bytes nobody reads."""
    if steps is None:
        return np.empty(shape, np.int8)
    memory = np.empty(1 + sum(step * (size - 1) for size, step in zip(shape, steps, strict=True) if size), np.int8)
    return np.lib.stride_tricks.as_strided(memory, shape, steps)
