"""Graphs of TensorFlow that hold their own numbers: a frozen GraphDef (`.pb`), and a SavedModel.

A frozen graph keeps the variables' names, as constants; where these are names of TensorFlow's cells they tell the
layers, and the graph how they are run. Cells that were written out by hand are found by following the data.

Sources: tensorflow/core/framework/{graph,tensor}.proto, tensorflow/core/protobuf/saved_model.proto and
tensorflow/python/framework/graph_util_impl.py at v1.15.0.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.formats.dataflow import Dataflow, Operation
from quadgate.formats.protobuf import Buffer, fields, message, number, text
from quadgate.formats.recurrence import Cannot, Recurrence
from quadgate.formats.spelled_out import find_spelled_out
from quadgate.formats.tensorflow_checkpoint.bundle import read_bundle
from quadgate.formats.tensorflow_checkpoint.graph import Graph, Node, read_frozen_graph, read_saved_model
from quadgate.formats.tensorflow_checkpoint.others import other_cells
from quadgate.formats.tensorflow_checkpoint.reader import build_model
from quadgate.formats.tensorflow_checkpoint.structure import find_cells
from quadgate.formats.tensorflow_checkpoint.tensors import (
    DTYPES,
    Contents,
    checked_name,
    decode,
    known_dtype,
    read_shape,
    result_dtype,
)
from quadgate.layouts import Settings
from quadgate.model import Model
from quadgate.model.variables import Array, Stored

FIRST = dict.fromkeys(
    ("Identity", "Enter", "NextIteration", "Exit", "Switch", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast"),
    "view",
) | dict.fromkeys(("StridedSlice", "Slice", "Gather", "GatherV2", "Unpack"), "part")
KINDS = {
    **dict.fromkeys(("ConcatV2", "Pack", "TensorArrayScatterV3", "TensorArrayWriteV3"), "concat"),
    **dict.fromkeys(("Merge", "Select", "SelectV2"), "merge"),
    **dict.fromkeys(("ReverseV2", "ReverseSequence"), "reverse"),
    **dict.fromkeys(("Add", "AddV2", "BiasAdd"), "add"),
    "MatMul": "product",
    "Mul": "mul",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
}
ARRAYS = {
    "TensorArrayReadV3": (2,),
    "TensorArrayGatherV3": (2,),
    "TensorArrayScatterV3": (2, 3),
    "TensorArrayWriteV3": (2, 3),
}
"""The inputs of a list's operations that carry numbers."""
LARGEST_FILLED = 1 << 24
LISTS = {5: ("<f4", 4), 6: ("<f8", 8), 7: ("<i4", 0), 10: ("<i8", 0)}
"""The fields of a TensorProto that list numbers: their type, and how many bytes each has, 0 for varints."""


def read_model(path: Path, settings: Settings) -> Model:
    """Read a frozen graph, or the folder of a SavedModel.

    Raises:
        FileFormatError: a file is damaged, or no recurrent cell is in it.
    """
    if path.is_file():
        return _read_constants(read_frozen_graph(path), str(path), settings)
    graph = read_saved_model(path / "saved_model.pb")
    variables = path / "variables" / "variables"
    if Path(f"{variables}.index").is_file():
        return build_model(read_bundle(variables), graph, str(path), settings)
    return _read_constants(graph, str(path), settings)


def _read_constants(graph: Graph, source: str, settings: Settings) -> Model:
    if not graph.nodes:
        raise FileFormatError(f"{source}: found no operations, expected a graph of TensorFlow")
    constants = {
        name: _constant(node, f"{source}: {name}") for name, node in graph.nodes.items() if node.kind == "Const"
    }
    known = {name: one for name, one in constants.items() if one is not None}
    weights = {checked_name(name, source): one for name, one in known.items() if one.dtype.kind == "f" and one.shape}
    if find_cells({name: one.shape for name, one in weights.items()}):
        return build_model(Contents(weights), graph, source, settings)
    operations = tuple(_operation(name, node, graph, known) for name, node in graph.nodes.items())
    flow = Dataflow(operations, known.get)
    cells, cannot = find_spelled_out(flow)
    cannot += [Cannot(scope, what) for scope, what in other_cells(weights).items()]
    used = {variable.removesuffix("[T]") for cell in cells for variable, _ in cell.tensors.values()}
    rest = {name: one for name, one in weights.items() if name not in used}
    return Recurrence(flow, cells, cannot, rest=rest).model(source, settings)


def _operation(name: str, node: Node, graph: Graph, known: dict[str, Stored]) -> Operation:
    """Say an operation in the words of `dataflow`."""
    inputs = tuple(one for one in node.inputs if not one.startswith("^"))
    kind = FIRST.get(node.kind) or KINDS.get(node.kind, node.kind)
    outputs: tuple[str, ...] = (name,)
    attributes: dict[str, Any] = {"same": node.kind == "Identity"}
    if node.kind in ARRAYS:
        inputs = tuple(inputs[k] for k in ARRAYS[node.kind] if k < len(inputs))
        kind = "concat" if len(ARRAYS[node.kind]) > 1 else "view"
    elif node.kind == "ConcatV2":
        inputs = inputs[:-1]
    elif node.kind in ("Select", "SelectV2"):
        inputs = inputs[1:]
    elif node.kind in ("Split", "Unpack", "Switch"):
        parts = {reader for other in graph.readers.get(name, ()) for reader in graph.nodes[other].inputs}
        count = 4 if node.kind == "Split" else 2
        more = {
            int(one.rpartition(":")[2])
            for one in parts
            if one.startswith(f"{name}:") and one.rpartition(":")[2].isdecimal()
        }
        outputs = (name, *(f"{name}:{k}" for k in range(1, max([count - 1, *(k for k in more if k < 1 << 16)]) + 1)))
        if node.kind == "Split":
            kind, inputs = "split", inputs[1:2]
    elif node.kind == "MatMul":
        told = {
            text(parts.get(1, b""), graph.place): parts
            for parts in (dict(fields(a, graph.place)) for a in node.attributes)
        }
        flags = {
            key: _flag(message(told[key].get(2, b""), graph.place), graph.place)
            for key in told
            if key.startswith("transpose_")
        }
        attributes["transposed"] = flags.get("transpose_b", False)
        kind = "MatMul" if flags.get("transpose_a", False) else kind
    return Operation(kind, tuple(_origin(one, graph, known) for one in inputs), outputs, name, attributes)


def _flag(value: Buffer, place: str) -> bool:
    return any(index == 5 and bool(one) for index, one in fields(value, place))


def _origin(value: str, graph: Graph, known: dict[str, Stored]) -> str:
    """Return the constant that operations hand on as it is, by its own name; any other value as it is."""
    one = value.removesuffix(":0")
    for _ in range(len(graph.nodes)):
        node = graph.nodes.get(one)
        if one in known or node is None or node.kind not in ("Identity", "Enter") or not node.inputs:
            break
        one = node.inputs[0].removesuffix(":0")
    return one if one in known else value.removesuffix(":0")


def _constant(node: Node, place: str) -> Stored | None:
    """Describe the tensor of a constant; None for one that holds no numbers."""
    for attribute in node.attributes:
        parts = dict(fields(attribute, place))
        if text(parts.get(1, b""), place) == "value":
            for index, tensor in fields(message(parts.get(2, b""), place), place):
                if index == 8:
                    return _tensor(message(tensor, place), place)
    return None


def _tensor(data: Buffer, place: str) -> Stored | None:
    """Describe a TensorProto; fewer numbers than its shape has mean that the last one is repeated."""
    code, content = 0, None
    shape: tuple[int, ...] = ()
    listed: list[tuple[int, int | Buffer]] = []
    for index, value in fields(data, place):
        if index == 1:
            code = known_dtype(number(value, place), place)
        elif index == 2:
            shape = read_shape(message(value, place), place)
        elif index == 4:
            content = message(value, place)
        elif index in LISTS:
            listed.append((index, value))
    if code not in DTYPES:
        return None
    count, size = prod(shape), DTYPES[code].itemsize
    if content is not None and len(content):
        if len(content) != count * size:
            raise FileFormatError(f"{place}: found {len(content)} bytes, expected {count * size} for shape {shape}")
        raw = content
        return Stored(shape, result_dtype(code), lambda: decode(np.frombuffer(raw, np.uint8), code, shape))
    return Stored(shape, result_dtype(code), lambda: _repeated(listed, shape, result_dtype(code), place))


def _repeated(
    listed: list[tuple[int, int | Buffer]], shape: tuple[int, ...], dtype: np.dtype[Any], place: str
) -> Array:
    numbers: list[Any] = []
    for index, value in listed:
        form, size = LISTS[index]
        if size and not isinstance(value, int) and len(value) % size == 0:
            numbers += np.frombuffer(value, form).tolist()
        elif size and isinstance(value, int):
            numbers += np.frombuffer(value.to_bytes(size, "little"), form).tolist()
        elif isinstance(value, int):
            numbers.append(value if value < 1 << 63 else value - (1 << 64))
    count = prod(shape)
    if count > LARGEST_FILLED or len(numbers) > count:
        raise FileFormatError(f"{place}: found {len(numbers)} numbers for shape {shape}")
    filled = np.zeros(count, dtype)
    if numbers:
        filled[: len(numbers)] = numbers
        filled[len(numbers) :] = numbers[-1]
    return filled.reshape(shape)
