"""Between a tensor of a framework and the arrays of the normal form: cut, turn round, and put together again.

The two directions read the same row. Nothing here computes: every number keeps its bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.layouts.layout import NORMAL_AXES, ArrayName, Layout, Part, Tensor
from quadgate.layouts.sizes import Sizes

Array = NDArray[Any]


def cut(row: Layout, tensor: Tensor, data: Array, sizes: Sizes) -> Iterator[tuple[Part, Array]]:
    """Yield each part of a tensor with its axes in normal order, the gates still in the part's own.

    The arrays are views of `data` where its strides allow it, except those of a part that is to be reread.
    """
    start = 0
    for part in tensor.parts:
        lengths = sizes.lengths(row, part)
        extent = prod(lengths[letter] for letter in part.groups[tensor.axis])
        block = data[(slice(None),) * tensor.axis + (slice(start, start + extent),)]
        start += extent
        letters = part.letters
        turned = block.reshape([lengths[letter] for letter in letters]).transpose(
            [letters.index(letter) for letter in NORMAL_AXES[part.array] if letter in letters]
        )
        if turned.ndim < len(NORMAL_AXES[part.array]):
            turned = turned[np.newaxis]
        yield part, _reread(turned) if part.reread else turned


def join(row: Layout, tensor: Tensor, arrays: Mapping[ArrayName, Array], sizes: Sizes) -> Array:
    """Build a tensor from arrays of the normal form."""
    blocks = []
    for part in tensor.parts:
        order = row.normal_order(part.array)
        array = arrays[part.array]
        if order:
            array = array[[order.index(gate) for gate in row.gates_of(part)]]
        if part.reread:
            array = _rewrite(array)
        letters, axes = part.letters, NORMAL_AXES[part.array]
        if len(letters) < len(axes):
            array, axes = array[0], axes.replace("g", "")
        lengths = sizes.lengths(row, part)
        shape = [prod(lengths[letter] for letter in group) for group in part.groups]
        blocks.append(array.transpose([axes.index(letter) for letter in letters]).reshape(shape))
    return np.ascontiguousarray(np.concatenate(blocks, axis=tensor.axis))


def _reread(blocks: Array) -> Array:
    """Read the memory of each gate's `[rows, units]` block as the `[units, rows]` matrix that cuDNN keeps there."""
    gates, rows, units = blocks.shape
    return blocks.reshape(gates, units, rows).swapaxes(1, 2)


def _rewrite(blocks: Array) -> Array:
    """Undo `_reread`."""
    gates, rows, units = blocks.shape
    return blocks.swapaxes(1, 2).reshape(gates, rows, units)
