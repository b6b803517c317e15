"""From a framework's tensors to the normal form and back. Both directions read the row of the framework's class.

Encoding what was decoded gives the same tensors bit for bit. Between two classes, whatever the second has no place for
is folded into what it has, and recorded, where that keeps the layer's function; otherwise it is refused by name:

    forget bias at run time     added to the stored bias of the forget gate, where the class has no such setting
    two biases into one         added
    one bias into two           kept, the other is zero
    bias of a gate that the class keeps none for on the side of h: added to that of x
    peepholes, projection, clips, activations, the place of a GRU's reset: refused
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from quadgate.cell.parameters import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts.blocks import cut, join
from quadgate.layouts.folding import fold
from quadgate.layouts.layout import ArrayName, Layout, Tensor
from quadgate.layouts.rows import usable
from quadgate.layouts.settings import Settings, required, settled
from quadgate.layouts.sizes import Sizes, solve

Array = NDArray[Any]


@dataclass(frozen=True)
class Encoding:
    """A layer as a framework keeps it.

    Attributes:
        tensors: by their names, in the framework's order.
        settings: what the framework must be told beside them; `decode` takes them as they are.
        folded: what was folded into what, one sentence each; empty where everything had its place.
    """

    tensors: dict[str, Array]
    settings: Settings
    folded: tuple[str, ...] = ()


def decode(
    tensors: Mapping[str, Array],
    layout: Layout | str,
    *,
    layer: int = 0,
    inputs: int | None = None,
    units: int | None = None,
    **settings: Unpack[Settings],
) -> LSTMParameters | GRUParameters:
    """Read one layer, in one direction, from a framework's tensors.

    Args:
        tensors: the layer's tensors by their names, and no others.
        layout: the row, or its name.
        layer: the number that stands in the names of frameworks that number their layers.
        inputs: C, where the shapes do not tell it.
        units: H, likewise: one flat vector needs it.
        **settings: what the tensors do not say; without them, the framework's own defaults.

    Raises:
        InputError: an unknown layout, one that the normal form cannot hold; tensors that are missing, unknown or of
            wrong shape, or a setting that the class does not have.

    >>> tensors = {"kernel": np.arange(32.0).reshape(4, 8), "bias": np.arange(8.0)}
    >>> layer = decode(tensors, "tf1.BasicLSTMCell")
    >>> layer.inputs, layer.units, layer.forget_bias
    (2, 2, 1.0)
    >>> layer.b_x  # i, j, f, o
    array([[0., 1.],
           [2., 3.],
           [4., 5.],
           [6., 7.]])
    >>> encoded = encode(layer, "torch.nn.LSTM")
    >>> encoded.tensors["bias_ih_l0"]  # i, f, j, o; the forget bias that PyTorch does not add is in it
    array([0., 1., 5., 6., 2., 3., 6., 7.])
    >>> encoded.folded
    ('forget bias of 1, added while running, into bias_ih_l0',)
    """
    row = usable(layout)
    fields = settled(row, settings)
    found = gather(row, tensors, layer, fields["reverse"])
    sizes = solve(row, {tensor: data.shape for tensor, data in found.items()}, inputs, units)
    arrays = _normal_arrays(row, found, sizes)
    if row.cell == "gru":
        return GRUParameters(**arrays, **fields)
    return LSTMParameters(**arrays, **fields)


def encode(
    parameters: LSTMParameters | GRUParameters,
    layout: Layout | str,
    *,
    layer: int = 0,
    shards: Mapping[str, int] | None = None,
) -> Encoding:
    """Write one layer, in one direction, as a framework keeps it.

    Args:
        parameters: the layer.
        layout: the row, or its name.
        layer: the number that stands in the names of frameworks that number their layers.
        shards: how many pieces to cut a sharded tensor into, by its name in the row; one where nothing is said.

    Raises:
        InputError: an unknown layout, one of the other kind of cell, or a class that cannot hold the layer.
    """
    row = usable(layout)
    if (row.cell == "gru") != isinstance(parameters, GRUParameters):
        kind = "a GRU" if isinstance(parameters, GRUParameters) else "an LSTM"
        raise InputError(f"{row.name}: cannot hold {kind}")
    settings = required(row, parameters)
    arrays, folded = fold(parameters, row, layer)
    H = parameters.units
    sizes = Sizes(parameters.inputs, H, parameters.w_h.shape[1])
    tensors = {}
    for tensor in row.tensors:
        if tensor.arrays <= arrays.keys():
            pieces = _shards(join(row, tensor, arrays, sizes), tensor, (shards or {}).get(tensor.name, 1))
            for shard, piece in enumerate(pieces):
                tensors[row.name_of(tensor, layer, parameters.reverse, shard)] = piece
    return Encoding(tensors, settings, folded)


def gather(row: Layout, tensors: Mapping[str, Array], layer: int, reverse: bool) -> dict[Tensor, Array]:
    """Find the tensors of a layer by name, the shards put together; each `Tensor` has its name in the layer.

    Raises:
        InputError: one is missing that the class always has, or one is there that it does not know.
    """
    found: dict[Tensor, Array] = {}
    missing: list[Tensor] = []
    used: set[str] = set()
    for tensor in row.tensors:
        named = replace(tensor, name=row.name_of(tensor, layer, reverse))
        names = row.present(tensor, tensors, layer, reverse)
        used.update(names)
        if names:
            pieces = [np.asarray(tensors[name]) for name in names]
            found[named] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=tensor.shard_axis or 0)
        else:
            missing.append(named)
    there: set[ArrayName] = set().union(*(tensor.arrays for tensor in found))
    if there & set(row.biases):
        there.update(row.biases)
    for tensor in missing:
        if tensor.arrays & there or not tensor.arrays <= row.optional:
            raise InputError(f"{row.name}: no tensor {tensor.name}; found {', '.join(tensors) or 'none'}")
    unknown = [name for name in tensors if name not in used]
    if unknown:
        raise InputError(
            f"{row.name}: has no place for {', '.join(unknown)}; expected {', '.join(row.names(layer, reverse))}"
        )
    return found


def _normal_arrays(row: Layout, found: Mapping[Tensor, Array], sizes: Sizes) -> dict[str, Any]:
    """Build every array of the normal form for which there are tensors; a gate that none of them holds is zero."""
    by_gate: dict[ArrayName, dict[str, Array]] = {}
    arrays: dict[str, Any] = {}
    for tensor, data in found.items():
        for part, block in cut(row, tensor, data, sizes):
            if part.array == "projection":
                arrays["projection"] = block.copy()
            else:
                by_gate.setdefault(part.array, {}).update(zip(row.gates_of(part), block, strict=True))
    for array, gates in by_gate.items():
        order = row.normal_order(array)
        empty = np.zeros_like(next(iter(gates.values())))
        arrays[array] = np.stack([gates.get(gate, empty) for gate in order])
    return arrays


def _shards(data: Array, tensor: Tensor, count: int) -> list[Array]:
    """Cut a tensor into shards; where it does not divide, the first ones get one more, as in TensorFlow."""
    if tensor.shard_axis is None or count == 1:
        return [data]
    return [np.ascontiguousarray(piece) for piece in np.array_split(data, count, axis=tensor.shard_axis)]
