"""What the graph beside a checkpoint (`PREFIX.meta`) says about its cells, which the checkpoint does not.

Found by following the data: from a kernel through the product, the bias and the split into gates. Gate f, the split's
third output, meets the forget bias, a scalar constant; gate j its activation; i * j is added to the cell state, which
a clip and the output's activation follow; the product with the projection may be followed by the other clip.

Sources: tensorflow/python/ops/rnn_cell_impl.py at v0.5.0 to v1.15.0; tensorflow/core/protobuf/meta_graph.proto and
tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto at v1.15.0.
"""

from __future__ import annotations

import mmap
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, fields, message, text
from quadgate.formats.tensorflow_checkpoint.tensors import read_shape

PASSING = {"Identity", "Enter", "ReadVariableOp", "Switch", "RefSwitch", "RefEnter"}
ACTIVATIONS = {"Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Identity": "linear"}
ADDITIONS = {"Add", "AddV2", "BiasAdd"}
BLOCKS = {"LSTMBlockCell", "BlockLSTM"}
KEPT = {"Const", "MatMul", *BLOCKS}
"""The operations whose attributes are looked at."""


@dataclass(frozen=True)
class Node:
    """An operation: its kind, the outputs that it reads (`name` or `name:number`), and its attributes unread."""

    kind: str
    inputs: tuple[str, ...]
    attributes: tuple[Buffer, ...]


@dataclass(frozen=True)
class CellFacts:
    """What the graph says about one cell; None where it does not say, or says two things."""

    forget_bias: float | None = None
    cell: str | None = None
    output: str | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None


@dataclass
class Graph:
    """The operations of a graph, who reads each, and its trainable variables in order."""

    place: str
    nodes: dict[str, Node] = field(default_factory=dict)
    readers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    trainable: tuple[str, ...] = ()

    def cell(self, kernel: str, projection: str) -> CellFacts:
        """Follow the kernel of that name through every step in which it is used; no projection is an empty name.

        Raises:
            FileFormatError: it is read by an operator whose gates stand in another order than the names say.
        """
        for name in self._reached(kernel, {"BlockLSTMV2"}):
            raise FileFormatError(
                f"{self.place}: found {kernel} read by {name}, a BlockLSTMV2 with its gates in the order i, f, j, o, "
                "expected BlockLSTM, LSTMBlockCell or products: this operator is not read yet"
            )
        found = [self._step(split) for product in self._products(kernel) for split in self._splits(product)]
        found += [self._block(self.nodes[name]) for name in self._reached(kernel, BLOCKS)]
        clips = [self._clip(product) for product in self._products(projection)] if projection else []

        def settled(values: list[float | None]) -> float | None:
            return values[0] if len(set(values)) == 1 else None

        def named(values: list[str | None]) -> str | None:
            return values[0] if len(set(values)) == 1 else None

        return CellFacts(
            forget_bias=settled([step.forget_bias for step in found]),
            cell=named([step.cell for step in found]),
            output=named([step.output for step in found]),
            cell_clip=settled([step.cell_clip for step in found]),
            projection_clip=settled(clips),
        )

    def _step(self, split: str) -> CellFacts:
        """Read the facts of one step from the node that cuts its gates apart."""
        forget_bias = None
        for reader in self._read_by(f"{split}:2", ADDITIONS):
            constants = [self._scalar(name) for name in self.nodes[reader].inputs]
            forget_bias = next((value for value in constants if value is not None), forget_bias)
        for candidate in self._read_by(f"{split}:1", set(ACTIVATIONS)):
            for product in self._read_by(candidate, {"Mul"}):
                for state in self._read_by(product, ADDITIONS):
                    clip = self._clip(state)
                    end = state if clip is None else self._clipped(state)
                    outputs = self._read_by(end, set(ACTIVATIONS))
                    output = ACTIVATIONS[self.nodes[outputs[0]].kind] if outputs else None
                    return CellFacts(forget_bias, ACTIVATIONS[self.nodes[candidate].kind], output, clip)
        return CellFacts(forget_bias)

    def _block(self, node: Node) -> CellFacts:
        """Read the facts of an operator that is a whole cell or a whole layer from its attributes."""
        clip = self._attribute(node, "cell_clip", 3.0)
        return CellFacts(self._attribute(node, "forget_bias", 1.0), "tanh", "tanh", clip if clip > 0 else None)

    def _attribute(self, node: Node, name: str, default: float) -> float:
        """Return a float attribute of a node; one that is not written has the operator's own default."""
        for attribute in node.attributes:
            parts = dict(fields(attribute, self.place))
            if text(parts.get(1, b""), self.place) == name:
                for index, value in fields(message(parts.get(2, b""), self.place), self.place):
                    if index == 4 and isinstance(value, int):
                        return float(struct.unpack("<f", value.to_bytes(4, "little"))[0])
        return default

    def _products(self, variable: str) -> Iterator[str]:
        """Yield the products that have the variable on their right."""
        return self._reached(variable, {"MatMul"}, right=True)

    def _reached(self, variable: str, kinds: set[str], right: bool = False) -> Iterator[str]:
        """Yield the operations of some kinds that read the variable, or read it as the second of two."""
        reached, waiting = {variable}, [variable]
        while waiting:
            for reader in self._read_by(waiting.pop(), PASSING | kinds):
                node = self.nodes[reader]
                if node.kind in kinds:
                    if not right or (len(node.inputs) > 1 and _output(node.inputs[1])[0] in reached):
                        yield reader
                elif reader not in reached:
                    reached.add(reader)
                    waiting.append(reader)

    def _splits(self, product: str) -> Iterator[str]:
        yield from self._read_by(product, {"Split"})
        for biased in self._read_by(product, ADDITIONS):
            yield from self._read_by(biased, {"Split"})

    def _clip(self, name: str) -> float | None:
        """Return the limit of `maximum(minimum(name, limit), -limit)`, or None where nothing of that kind follows."""
        for lower in self._read_by(name, {"Minimum"}):
            limit = next((v for v in map(self._scalar, self.nodes[lower].inputs) if v is not None), None)
            for upper in self._read_by(lower, {"Maximum"}):
                if limit is not None and -limit in map(self._scalar, self.nodes[upper].inputs):
                    return limit
        return None

    def _clipped(self, name: str) -> str:
        lower = self._read_by(name, {"Minimum"})[0]
        return self._read_by(lower, {"Maximum"})[0]

    def _read_by(self, output: str, kinds: set[str]) -> list[str]:
        name, number = _output(output)
        return [
            reader
            for reader in self.readers.get(name, ())
            if self.nodes[reader].kind in kinds and (name, number) in map(_output, self.nodes[reader].inputs)
        ]

    def _scalar(self, name: str) -> float | None:
        """Return the number of a scalar float constant, or None for all else."""
        node = self.nodes.get(_output(name)[0])
        if node is None or node.kind != "Const":
            return None
        for attribute in node.attributes:
            parts = dict(fields(attribute, self.place))
            if text(parts.get(1, b""), self.place) == "value":
                for index, tensor in fields(message(parts.get(2, b""), self.place), self.place):
                    if index == 8:
                        return _scalar(message(tensor, self.place), self.place)
        return None


def read_graph(path: Path) -> Graph:
    """Read the graph of a MetaGraphDef.

    Raises:
        FileFormatError: the file is damaged.
    """
    return _meta_graph(_mapped(path), str(path))


def read_frozen_graph(path: Path) -> Graph:
    """Read a GraphDef, whose constants are the variables of the graph that was frozen.

    Raises:
        FileFormatError: the file is damaged.
    """
    graph = Graph(str(path))
    _add_nodes(graph, _mapped(path))
    return graph


def read_saved_model(path: Path) -> Graph:
    """Read the first graph of a SavedModel's `saved_model.pb`.

    Raises:
        FileFormatError: the file is damaged, or holds no graph.
    """
    place = str(path)
    for index, value in fields(_mapped(path), place):
        if index == 2:
            return _meta_graph(message(value, place), place)
    raise FileFormatError(f"{place}: found no graph, expected a SavedModel")


def _mapped(path: Path) -> Buffer:
    if not path.stat().st_size:
        raise FileFormatError(f"{path}: found an empty file, expected a graph")
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _add_nodes(graph: Graph, data: Buffer) -> None:
    for index, node in fields(data, graph.place):
        if index == 1:
            _add(graph, message(node, graph.place))


def _meta_graph(data: Buffer, place: str) -> Graph:
    graph = Graph(place)
    for index, value in fields(data, place):
        if index == 2:
            _add_nodes(graph, message(value, place))
        elif index == 4:
            collection = dict(fields(message(value, place), place))
            if text(collection.get(1, b""), place) == "trainable_variables":
                graph.trainable = tuple(_variables(message(collection.get(2, b""), place), place))
    return graph


def _add(graph: Graph, data: Buffer) -> None:
    name, kind = "", ""
    inputs: list[str] = []
    attributes: list[Buffer] = []
    for index, value in fields(data, graph.place):
        if index == 1:
            name = text(value, graph.place)
        elif index == 2:
            kind = text(value, graph.place)
        elif index == 3:
            inputs.append(text(value, graph.place))
        elif index == 5:
            attributes.append(message(value, graph.place))
    graph.nodes[name] = Node(kind, tuple(inputs), tuple(attributes) if kind in KEPT else ())
    for source in {_output(one)[0] for one in inputs}:
        graph.readers[source].append(name)


def _variables(collection: Buffer, place: str) -> Iterator[str]:
    """Yield the names in a collection of VariableDefs, each once, without the `:0` of their output."""
    seen = set()
    for kind, values in fields(collection, place):
        for index, value in fields(message(values, place), place) if kind == 2 else ():
            if index == 1:
                definition = dict(fields(message(value, place), place))
                name = _output(text(definition.get(1, b""), place))[0]
                if name not in seen:
                    seen.add(name)
                    yield name


def _output(name: str) -> tuple[str, int]:
    """Cut `name:number` apart; no number is 0, and a `^name` that only orders the two is -1."""
    if name.startswith("^"):
        return name[1:], -1
    name, _, number = name.partition(":")
    return name, int(number) if number.isdecimal() else 0


def _scalar(tensor: Buffer, place: str) -> float | None:
    """Return the number in a TensorProto of one float32 or float64, or None."""
    parts = dict(fields(tensor, place))
    code = parts.get(1)
    if code not in (1, 2) or read_shape(message(parts.get(2, b""), place), place):
        return None
    raw = parts.get(4) or parts.get(5 if code == 1 else 6)
    if isinstance(raw, int):
        raw = raw.to_bytes(4 if code == 1 else 8, "little")
    if raw is None:
        return 0.0
    form = "<f" if code == 1 else "<d"
    return float(struct.unpack(form, raw)[0]) if len(raw) == struct.calcsize(form) else None
