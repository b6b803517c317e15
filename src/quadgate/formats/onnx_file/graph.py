"""An ONNX graph with its subgraphs as one Dataflow, and the values that can be told without running it.

Exporters hide weights behind nodes: PyTorch's gates are sliced and put together again in ONNX's order, tensors are
cast, turned and given an axis of directions. The few operations that do this are computed here, in NumPy, when their
result is asked for.

Source: onnx/onnx@f754691 onnx/onnx.proto, docs/Operators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.dependencies import require
from quadgate.errors import FileFormatError
from quadgate.formats.dataflow import Dataflow, Operation
from quadgate.formats.onnx_file.tensors import PLAIN, stored
from quadgate.model.variables import Array, Stored

KINDS = {
    **dict.fromkeys(("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"), "view"),
    **dict.fromkeys(("Slice", "Gather"), "part"),
    "Concat": "concat",
    "Split": "split",
    "ReverseSequence": "reverse",
    "MatMul": "product",
    "Add": "add",
    "Mul": "mul",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
}
ROOM_FOR_RESULTS = 16 << 20
LARGEST_FILE = 2 << 30
GRAPH, GRAPHS = 5, 10


@dataclass(frozen=True)
class OnnxGraph:
    """A graph with its subgraphs.

    Attributes:
        flow: its operations.
        initializers: its tensors and those of its nodes Constant, by the names that `flow` gives them.
        metadata: text by name.
    """

    flow: Dataflow
    initializers: Mapping[str, Stored]
    metadata: Mapping[str, str]

    def sources(self, value: str) -> set[str]:
        """Return the tensors that a constant is made of."""
        seen, waiting = {value}, [value]
        while waiting:
            operation = self.flow.producer(waiting.pop())
            fresh = [name for name in operation.inputs if name and name not in seen] if operation else []
            seen.update(fresh)
            waiting.extend(fresh)
        return seen & self.initializers.keys()


def read_graph(path: Path) -> OnnxGraph:
    """Read the graph of a ModelProto; the numbers are read when they are used.

    Raises:
        FileFormatError: the file is damaged or none of ONNX.
        MissingDependencyError: the package onnx is not installed.
    """
    onnx = require("onnx", f"{path} (ONNX) cannot be read", "onnx")
    from google.protobuf.message import DecodeError  # which onnx needs itself

    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise FileFormatError(f"{path}: found {size} bytes, a protocol buffer has at most {LARGEST_FILE}")
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
        if not model.HasField("graph") or not model.opset_import:
            raise FileFormatError(f"{path}: a protocol buffer without a graph and its operator set, not of ONNX")
        metadata = {one.key: one.value for one in model.metadata_props}
        return _Flattened(path, size).graph(model.graph, metadata)
    except (DecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: damaged or not of ONNX: {' '.join(str(error).split())}") from None


class _Names(dict[str, str]):
    """What the values of a graph are called; one that it has not is of the graph around it, or called as it is."""

    def __init__(self, outer: _Names | None) -> None:
        super().__init__()
        self.outer = outer

    def __missing__(self, name: str) -> str:
        return name if self.outer is None else self.outer[name]


class _Flattened:
    """The nodes of a graph and of the graphs within it, in which every value has a name of its own."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.operations: list[Operation] = []
        self.tensors: dict[str, Any] = {}
        self.taken: set[str] = set()
        self.budget = ROOM_FOR_RESULTS + 2 * size

    def graph(self, graph: Any, metadata: Mapping[str, str]) -> OnnxGraph:
        names = self._graph(graph)
        results = tuple(names[output.name] for output in graph.output if output.name in names)
        flow = Dataflow(tuple(self.operations), lambda value: folding.stored(value), results)
        folding = _Folding(flow, self.tensors, self.path, self.budget)
        tensors = {name: stored(tensor, self.path) for name, tensor in self.tensors.items()}
        for operation in self.operations:
            if operation.attributes.get("onnx") == "Constant" and operation.outputs:
                tensors[operation.outputs[0]] = folding.stored(operation.outputs[0])
        return OnnxGraph(flow, {name: one for name, one in tensors.items() if one is not None}, metadata)

    def _graph(self, graph: Any, outer: _Names | None = None) -> _Names:
        names = _Names(outer)
        for tensor in graph.initializer:
            self.tensors[self._new(tensor.name, names)] = tensor
        for given in graph.input:
            if given.name not in names:
                self._new(given.name, names)
        for node in graph.node:
            self._node(node, names)
        return names

    def _new(self, name: str, names: dict[str, str]) -> str:
        """Give a value of this graph a name that no other graph of the file uses."""
        own, number = name, 1
        while own in self.taken:
            number += 1
            own = f"{name}#{number}"
        self.taken.add(own)
        names[name] = own
        return own

    def _node(self, node: Any, names: _Names) -> None:
        inputs = tuple([names[name] for name in node.input])
        attributes, inner = {}, []
        for one in node.attribute:
            if one.type == GRAPH:
                inner.append((one.g, self._graph(one.g, names)))
            elif one.type != GRAPHS:
                attributes[one.name] = _attribute(one)
        outputs = tuple([self._new(name, names) if name else "" for name in node.output])
        operator = node.op_type
        kind = KINDS.get(operator, operator) if node.domain in ("", "ai.onnx") else operator
        if kind == "Gemm" and len(inputs) > 1:
            self._gemm(node, inputs, outputs, attributes)
        elif kind == "HardSigmoid":
            name = hard_sigmoid(attributes.get("alpha", 0.2), attributes.get("beta", 0.5))
            self.operations.append(Operation(name or kind, inputs, outputs, node.name, attributes))
        elif kind == "Where":
            self.operations.append(Operation("merge", inputs[1:], outputs, node.name))
        else:
            attributes |= {"onnx": operator, "same": operator == "Identity"}
            self.operations.append(Operation(kind, inputs, outputs, node.name, attributes))
        for graph, own in inner:
            self._join(node, graph, own, inputs, outputs)

    def _gemm(
        self, node: Any, inputs: tuple[str, ...], outputs: tuple[str, ...], attributes: Mapping[str, Any]
    ) -> None:
        """`alpha A B + beta C` as a product and a sum, where it is a dense layer."""
        plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA", 0)
        transposed = {"transposed": bool(attributes.get("transB", 0))}
        if not plain:
            self.operations.append(Operation("Gemm", inputs, outputs, node.name, attributes))
        elif len(inputs) == 2 or not inputs[2]:
            self.operations.append(Operation("product", inputs[:2], outputs, node.name, transposed))
        else:
            between = self._new(f"{outputs[0]}/product", {})
            self.operations.append(Operation("product", inputs[:2], (between,), node.name, transposed))
            self.operations.append(Operation("add", (between, inputs[2]), outputs, node.name))

    def _join(self, node: Any, graph: Any, names: _Names, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Let the numbers pass between a node and the graph within it, and from one turn of a loop to the next."""
        given = [names[one.name] for one in graph.input]
        results = [names[one.name] for one in graph.output]
        entries: Iterable[tuple[str, str]] = ()
        turns: Iterable[tuple[str, str]] = ()
        if node.op_type == "Loop":  # the graph takes (turn, condition, states), the node (turns, condition, states)
            entries, turns = zip(given[2:], inputs[2:], strict=False), zip(given[2:], results[1:], strict=False)
            results = results[1:]
        elif node.op_type == "Scan":
            scanned = next((one.i for one in node.attribute if one.name == "num_scan_inputs"), 0)
            states = max(0, len(given) - scanned)
            entries, turns = zip(given, inputs, strict=False), zip(given[:states], results, strict=False)
        for inner, outer in [*entries, *turns]:
            self.operations.append(Operation("merge", (outer,), (inner,)))
        for outer, inner in zip(outputs, results, strict=False):
            if outer:
                self.operations.append(Operation("merge", (inner,), (outer,)))


def _attribute(attribute: Any) -> Any:
    """An attribute's value: a number, text, a TensorProto, or a list of them."""
    kind = attribute.type
    if kind == 1:
        return float(attribute.f)
    if kind == 2:
        return int(attribute.i)
    if kind == 3:
        return attribute.s.decode(errors="replace")
    if kind == 4:
        return attribute.t
    if kind == 6:
        return list(attribute.floats)
    if kind == 7:
        return list(attribute.ints)
    return [text.decode(errors="replace") for text in attribute.strings] if kind == 8 else None


def hard_sigmoid(alpha: float, beta: float) -> str | None:
    """Return which hard sigmoid `clip(alpha x + beta, 0, 1)` is, or None.

    >>> hard_sigmoid(0.2, 0.5), hard_sigmoid(1 / 6, 0.5), hard_sigmoid(0.25, 0.5)
    ('hard_sigmoid', 'hard_sigmoid_v3', None)
    """
    for name, slope in (("hard_sigmoid", 0.2), ("hard_sigmoid_v3", 1 / 6)):
        if abs(alpha - slope) < 1e-6 and beta == 0.5:
            return name
    return None


class _Folding:
    """Computes constants; what it has computed is kept, and may not take more than `budget` bytes in all."""

    def __init__(self, flow: Dataflow, tensors: Mapping[str, Any], path: Path, budget: int) -> None:
        self.flow, self.tensors, self.path, self.budget = flow, tensors, path, budget
        self.found: dict[str, Stored | None] = {}
        self.begun: set[str] = set()

    def stored(self, value: str) -> Stored | None:
        """Return a constant, or None where the value depends on what the model is given."""
        waiting = [value]
        while waiting:
            one = waiting[-1]
            if one in self.found:
                waiting.pop()
                continue
            if one in self.tensors:
                self.found[one] = stored(self.tensors[one], self.path)
                continue
            operation = self.flow.producer(one)
            if operation is None or operation.attributes.get("onnx") not in FOLDED:
                self.found[one] = None
                continue
            missing = [name for name in operation.inputs if name and name not in self.found]
            if missing:
                if one in self.begun:
                    raise FileFormatError(f"{self.path}: node {operation.title} depends on itself")
                self.begun.add(one)
                waiting.extend(missing)
                continue
            self._compute(operation)
        return self.found[value]

    def _compute(self, operation: Operation) -> None:
        inputs = [self.found[name] if name else None for name in operation.inputs]
        self.found.update(dict.fromkeys(operation.outputs))
        kind = operation.attributes["onnx"]
        if kind == "Identity" and inputs:
            self.found[operation.outputs[0]] = inputs[0]
            return
        if any(one is None for one, name in zip(inputs, operation.inputs, strict=True) if name):
            return
        if kind == "Constant":
            self.found[operation.outputs[0]] = self._constant(operation)
            return
        if sum(one.dtype.itemsize * prod(one.shape) for one in inputs if one) > self.budget:
            raise self._too_large(operation)
        arrays = [None if one is None else one.read() for one in inputs]
        try:
            with np.errstate(all="ignore"):
                results = list(FOLDED[kind](operation, arrays, self.budget))
        except _TooLargeError:
            raise self._too_large(operation) from None
        except KeyError:
            return  # an element type or a form of the operation that is not known here
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise FileFormatError(f"{self.path}: node {operation.title} ({kind}): {reason}") from None
        for name, array in zip(operation.outputs, results, strict=False):
            self.budget -= array.nbytes if array.base is None else 0
            self.found[name] = _held(array)
        if self.budget < 0:
            raise self._too_large(operation)

    def _constant(self, operation: Operation) -> Stored | None:
        told = operation.attributes
        if hasattr(told.get("value"), "dims"):
            return stored(told["value"], self.path)
        kinds = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
        for name, kind in kinds.items():
            if name in told:
                return _held(np.array(told[name], kind))
        return None

    def _too_large(self, operation: Operation) -> FileFormatError:
        kind = operation.attributes["onnx"]
        return FileFormatError(f"{self.path}: node {operation.title} ({kind}): its result is far larger than the file")


def _held(array: Array) -> Stored:
    return Stored(array.shape, array.dtype, lambda: array)


class _TooLargeError(Exception):
    """A result would take more memory than is left for all of them."""


Arrays = list[Any]
Results = Iterable[Array]


def _room(shape: Iterable[int], itemsize: int, budget: int) -> None:
    if prod(int(size) for size in shape) * itemsize > budget:
        raise _TooLargeError


def _axes(operation: Operation, arrays: Arrays) -> tuple[int, ...] | None:
    """The axes of Squeeze and Unsqueeze: an input since operator set 13, an attribute before."""
    if len(arrays) > 1 and arrays[1] is not None:
        return tuple(int(axis) for axis in arrays[1].reshape(-1))
    axes = operation.attributes.get("axes")
    return None if axes is None else tuple(axes)


def _cast(operation: Operation, arrays: Arrays, _: int) -> Results:
    yield arrays[0].astype(PLAIN[operation.attributes["to"]])


def _reshape(operation: Operation, arrays: Arrays, _: int) -> Results:
    wanted = [int(size) for size in arrays[1].reshape(-1)]
    keep = not operation.attributes.get("allowzero", 0)
    yield arrays[0].reshape([arrays[0].shape[k] if size == 0 and keep else size for k, size in enumerate(wanted)])


def _flatten(operation: Operation, arrays: Arrays, _: int) -> Results:
    axis = operation.attributes.get("axis", 1) % (arrays[0].ndim + 1)
    yield arrays[0].reshape(prod(arrays[0].shape[:axis]), -1)


def _slice(operation: Operation, arrays: Arrays, _: int) -> Results:
    data, told = arrays[0], operation.attributes
    if len(arrays) > 1:
        starts, ends = arrays[1], arrays[2]
        axes = arrays[3] if len(arrays) > 3 else None
        steps = arrays[4] if len(arrays) > 4 else None
    else:
        starts, ends, axes, steps = np.array(told["starts"]), np.array(told["ends"]), told.get("axes"), None
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    cut = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        before_first = step < 0 and end < -data.shape[axis]
        cut[axis] = slice(int(start), None if before_first else int(end), int(step))
    yield data[tuple(cut)]


def _split(operation: Operation, arrays: Arrays, _: int) -> Results:
    sizes = arrays[1] if len(arrays) > 1 else operation.attributes.get("split")
    count = len(operation.outputs)
    axis = operation.attributes.get("axis", 0)
    if sizes is None:
        part = -(-arrays[0].shape[axis] // count)
        return np.split(arrays[0], [part * k for k in range(1, count)], axis)
    return np.split(arrays[0], np.cumsum(sizes)[:-1], axis)


def _concat(operation: Operation, arrays: Arrays, budget: int) -> Results:
    if sum(array.nbytes for array in arrays) > budget:
        raise _TooLargeError
    yield np.concatenate(arrays, operation.attributes["axis"])


def _gather(operation: Operation, arrays: Arrays, budget: int) -> Results:
    data, indices = arrays
    axis = operation.attributes.get("axis", 0)
    _room((indices.size, data.size // max(1, data.shape[axis])), data.itemsize, budget)
    yield np.take(data, indices, axis)


def _filled(operation: Operation, arrays: Arrays, budget: int) -> Results:
    tensor = operation.attributes.get("value")
    one = None if tensor is None else stored(tensor, Path(operation.title))
    value = np.zeros(1, np.float32) if one is None else one.read()
    _room(arrays[0], value.itemsize, budget)
    yield np.full([int(size) for size in arrays[0]], value.reshape(()))


def _expand(_: Operation, arrays: Arrays, budget: int) -> Results:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(int(size) for size in arrays[1]))
    _room(shape, arrays[0].itemsize, budget)
    yield np.broadcast_to(arrays[0], shape).copy()


def _dequantized(operation: Operation, arrays: Arrays, _: int) -> Results:
    data, scale = arrays[:2]
    zero = arrays[2] if len(arrays) > 2 else None
    shape = [1] * data.ndim
    if scale.ndim == 1:
        shape[operation.attributes.get("axis", 1)] = -1
    shifted = data.astype(np.int32)
    if zero is not None:
        shifted = shifted - zero.astype(np.int32).reshape(shape if zero.ndim == 1 else ())
    yield shifted.astype(np.float32) * scale.reshape(shape if scale.ndim == 1 else ())


def _elementwise(function: Callable[[Any, Any], Any]) -> Callable[[Operation, Arrays, int], Results]:
    def compute(_: Operation, arrays: Arrays, budget: int) -> Iterator[Array]:
        _room(np.broadcast_shapes(arrays[0].shape, arrays[1].shape), arrays[0].itemsize, budget)
        yield function(arrays[0], arrays[1])

    return compute


FOLDED: dict[str, Callable[[Operation, Arrays, int], Results]] = {
    "Constant": lambda *_: (),
    "Identity": lambda *_: (),
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": lambda o, a, _: [np.transpose(a[0], o.attributes.get("perm"))],
    "Squeeze": lambda o, a, _: [np.squeeze(a[0], _axes(o, a))],
    "Unsqueeze": lambda o, a, _: [np.expand_dims(a[0], _axes(o, a) or ())],
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Gather": _gather,
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Shape": lambda _, a, __: [np.array(a[0].shape, np.int64)],
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "DequantizeLinear": _dequantized,
}
"""The operations that are computed, by ONNX's names."""
