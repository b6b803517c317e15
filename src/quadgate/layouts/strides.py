"""Where the numbers of a layer stand in the caller's own tensors, so that a kernel packs them without a copy between.

Of every array that one tensor holds whole, in whatever order:

    value(gate, row, unit) = data[offsets[gate] + row * row_stride + unit * unit_stride]

counted in elements from the first one of `data`; gates in normal order, i, j, f, o or z, r, n; of peepholes i, f, o. A
bias and peepholes have no rows; a projection `[H, P]` has no gates: its rows are the units, its units the P outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError
from quadgate.layouts.blocks import cut
from quadgate.layouts.coding import gather
from quadgate.layouts.layout import ArrayName, Layout, Part
from quadgate.layouts.rows import usable
from quadgate.layouts.sizes import solve

Array = NDArray[Any]


@dataclass(frozen=True)
class Strided:
    """An array of the normal form inside a tensor.

    Attributes:
        data: the tensor, as the caller keeps it.
        offsets: the element at which each gate starts.
        row_stride: elements from one row to the next; 0 where there are no rows.
        unit_stride: elements from one unit to the next.
    """

    data: Array
    offsets: tuple[int, ...]
    row_stride: int
    unit_stride: int


def strides(
    tensors: Mapping[str, Array],
    layout: Layout | str,
    *,
    layer: int = 0,
    inputs: int | None = None,
    units: int | None = None,
    reverse: bool = False,
) -> dict[ArrayName, Strided]:
    """Find `w_x`, `w_h` and those of the biases, the peepholes and the projection that are there.

    Args:
        tensors: the layer's tensors by their names; views with strides of their own are read as they are.
        layout: the row, or its name.
        layer: the number that stands in the names of frameworks that number their layers.
        inputs: C, where the shapes do not tell it.
        units: H, likewise.
        reverse: whether the names are those of the backward layer.

    Raises:
        InputError: as `decode`; or a class that keeps no tensor with every gate, or memory that no strides describe.

    >>> kernel = np.arange(32.0).reshape(4, 8)
    >>> found = strides({"kernel": kernel, "bias": np.zeros(8)}, "tf1.BasicLSTMCell")
    >>> w_h = found["w_h"]
    >>> w_h.offsets, w_h.row_stride, w_h.unit_stride
    ((16, 18, 20, 22), 8, 1)
    >>> float(kernel.flat[w_h.offsets[2] + 1 * w_h.row_stride + 1 * w_h.unit_stride])  # f, second row, second unit
    29.0
    """
    row = usable(layout)
    found = gather(row, tensors, layer, reverse)
    sizes = solve(row, {tensor: data.shape for tensor, data in found.items()}, inputs, units)
    placed: dict[ArrayName, Strided] = {}
    for tensor, data in found.items():
        for part, view in cut(row, tensor, data, sizes):
            placed[part.array] = _strided(row, part, data, view)
    return placed


def _strided(row: Layout, part: Part, data: Array, view: Array) -> Strided:
    gates, order = row.gates_of(part), row.normal_order(part.array)
    if sorted(gates) != sorted(order):
        raise InputError(f"{row.name}: has no tensor with {part.array} of every gate; decode it instead")
    if part.reread or not np.shares_memory(view, data):
        raise InputError(f"{row.name}: no strides describe the memory of {part.array}; decode it instead")
    steps = [stride // data.itemsize for stride in view.strides]
    start = (view.ctypes.data - data.ctypes.data) // data.itemsize
    offsets = tuple(start + gates.index(gate) * steps[0] for gate in order) or (start,)
    return Strided(data, offsets, steps[-2] if "r" in part.letters or not order else 0, steps[-1])
