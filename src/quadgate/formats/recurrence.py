"""The recurrent layers that a computation graph holds: in which order they follow each other, and what follows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from os.path import commonprefix

import numpy as np

from quadgate.errors import FileFormatError, InputError
from quadgate.formats.dataflow import Dataflow, Operation
from quadgate.layouts import Settings
from quadgate.model import Cell, Head, Model
from quadgate.model.build import Found, build
from quadgate.model.variables import Array, Stored, Variables, reshaped

NAMELESS = re.compile(r"(arith\.)?const(ant)?\d*|(onnx::)?[A-Za-z]+_\d+")
"""What exporters call tensors that have no name."""
AFTER_THE_HEAD = ("Softmax", "LogSoftmax", "ArgMax")


@dataclass(frozen=True)
class Cannot:
    """Something that was recognised and cannot be used."""

    name: str
    reason: str


@dataclass(frozen=True)
class FoundCell:
    """One layer in one direction, in a graph.

    Attributes:
        name: what the file calls it.
        layout: the row of `layouts.LAYOUTS` that its tensors follow.
        tensors: the row's name of each tensor -> the name of the constant, and the constant.
        settings: what the graph tells beside them.
        reads: the values that it takes as x.
        outputs: the values that hold its outputs of every step.
        last: the values that hold its last output.
        sources: the file's constants that its own were put together from, by the names of its own.
    """

    name: str
    layout: str
    tensors: Mapping[str, tuple[str, Stored]]
    settings: Settings
    reads: tuple[str, ...]
    outputs: tuple[str, ...]
    last: tuple[str, ...]
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def gives(self) -> set[str]:
        """Every value that holds outputs of it."""
        return {*self.outputs, *self.last}

    def is_the_same_as(self, other: FoundCell) -> bool:
        """Whether the two are uses of one layer: the same constants, or others with the same numbers."""
        if (self.layout, self.settings, set(self.tensors)) != (other.layout, other.settings, set(other.tensors)):
            return False
        pairs = [(self.tensors[name], other.tensors[name]) for name in self.tensors]
        return all(
            a == b or (one.shape == two.shape and np.array_equal(one.read(), two.read()))
            for (a, one), (b, two) in pairs
        )


@dataclass
class _Layer:
    """The directions of one layer, and which layer they read."""

    cells: list[FoundCell]
    before: int | None = None
    inputs: int = 0
    width: int = 0


@dataclass
class Recurrence:
    """What a reader has found in a graph.

    Attributes:
        flow: the graph.
        cells: the layers, in the file's order; the same one may be there several times.
        cannot: what was recognised and cannot be used.
        notes: what else is left out: the thing -> the reason.
        rest: the constants of the file that no layer uses, by name.
    """

    flow: Dataflow
    cells: list[FoundCell]
    cannot: list[Cannot] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    rest: dict[str, Stored] = field(default_factory=dict)

    def model(self, source: str, settings: Settings, head: Head | None = None) -> Model:
        """Build the model; the head is looked for in the graph where it is not given.

        Raises:
            FileFormatError: there is no layer that can be used.
        """
        cells = _distinct(_turned(self.flow, one) for one in self.cells)
        left_out = self.notes | {one.name: one.reason for one in self.cannot}
        if not cells:
            why = "; ".join(f"{one.name}: {one.reason}" for one in self.cannot)
            raise FileFormatError(f"{source}: found no LSTM or GRU that can be used{': ' if why else ''}{why}")
        arrays: dict[str, Array | Stored] = {name: one for cell in cells for name, one in cell.tensors.values()}
        try:
            layers = self._layers(cells, Variables(arrays))
        except InputError as error:
            raise FileFormatError(f"{source}: {error}") from None
        found = []
        for k, layer in enumerate(layers):
            chain = [k]
            while (before := layers[chain[-1]].before) is not None:
                chain.append(before)
            for cell in layer.cells:
                names = {name: variable for name, (variable, _) in cell.tensors.items()}
                group = layers[chain[-1]].cells[0].name
                place = len(chain) - 1
                found.append(
                    Found(cell.name, cell.layout, names, cell.settings, group=group, layer=place, follows=False)
                )
        if head is None and sum(layer.before is None for layer in layers) == 1:
            head, tensors, reasons = self._head(layers[_top(layers)])
            arrays |= tensors
            left_out |= reasons
        arrays |= {name: one for name, one in self.rest.items() if name not in arrays}
        return build(arrays, found, source=source, settings=settings, head=head, left_out=left_out)

    def _layers(self, cells: Sequence[FoundCell], variables: Variables) -> list[_Layer]:
        """Put the two directions that read the same values together, and find what each layer reads."""
        layers: list[_Layer] = []
        for cell in cells:
            layer = next((one for one in layers if _other_direction(one.cells, cell)), None)
            if layer is None:
                layer = _Layer([])
                layers.append(layer)
            layer.cells.append(cell)
            names = {name: variable for name, (variable, _) in cell.tensors.items()}
            described = Cell.of(cell.name, cell.layout, names, variables, **cell.settings)
            layer.inputs = described.inputs
            layer.width += described.width
        followed = set()
        for k, layer in enumerate(layers):
            behind = {value for read in layer.cells[0].reads for value in self.flow.behind(read)}
            for n, other in enumerate(layers[:k]):
                if n not in followed and other.width == layer.inputs and behind & other.cells[0].gives:
                    layer.before = n
                    followed.add(n)
                    break
        return layers

    def _head(self, top: _Layer) -> tuple[Head | None, dict[str, Stored], dict[str, str]]:
        """Find the dense layer that reads the last output; else say why the one that is there is none."""
        cell = top.cells[0]
        ways = [(value, "last") for value in cell.last] + [(value, "every") for value in cell.outputs]
        seen: set[int] = set()
        taken = {variable for one in top.cells for variable, _ in one.tensors.values()}
        for value, reading in ways:
            if not value:
                continue
            for product, last in self._products(value, reading == "last", len(top.cells)):
                if id(product) in seen:
                    continue
                seen.add(id(product))
                weights = self.flow.constant(product.inputs[1])
                if product.inputs[1] in taken or weights is None or len(weights.shape) != 2:
                    continue
                transposed = bool(product.attributes.get("transposed"))
                F, K = weights.shape[::-1] if transposed else weights.shape
                if top.width != F:
                    continue
                name = product.inputs[1]
                biases, after = self._biases(product, K)
                tensors = {name: weights} | ({} if biases is None else {biases[0]: biases[1]})
                follows = [one for one in self._after(after) if one.kind not in AFTER_THE_HEAD]
                if not last or follows:
                    why = f"with {follows[0].kind} after it, no softmax" if last else "of every step, not of the last"
                    return None, tensors, dict.fromkeys(tensors, f"of a dense layer {why}")
                return Head(name, None if biases is None else biases[0], F, K, transposed=transposed), tensors, {}
        return None, {}, {}

    def _products(self, value: str, last: bool, directions: int) -> Iterable[tuple[Operation, bool]]:
        """Yield the products that read a value, and whether they read its last step alone."""
        seen, waiting = {value}, [(value, last)]
        while waiting:
            one, last = waiting.pop()
            for reader in self.flow.readers(one):
                if reader.kind == "product" and reader.inputs[0] == one:
                    yield reader, last
                elif self.flow.passes(reader, one):
                    cut = last or (reader.kind == "part" and directions == 1 and self._takes_last(reader))
                    fresh = [(output, cut) for output in reader.outputs if output not in seen]
                    seen.update(output for output, _ in fresh)
                    waiting.extend(fresh)

    def _takes_last(self, part: Operation) -> bool:
        """Whether an operation takes the last of something: its index, or one of its starts, is -1, all others 0."""
        index = self.flow.constant(part.inputs[1]) if len(part.inputs) > 1 else None
        if index is None or index.dtype.kind not in "iu" or len(index.shape) > 1:
            return False
        starts = index.read().reshape(-1).tolist()
        return starts.count(-1) == 1 and starts.count(0) == len(starts) - 1

    def _biases(self, product: Operation, K: int) -> tuple[tuple[str, Stored] | None, str]:
        """What is added to a product, and the value that the dense layer gives."""
        for add in self.flow.ahead_by(product.outputs[0], {"add"}):
            for name in add.inputs:
                constant = self.flow.constant(name)
                if constant is not None and constant.shape[-1:] == (K,) and prod(constant.shape) == K:
                    return (name, reshaped(constant, (K,))), add.outputs[0]
        return None, product.outputs[0]

    def _after(self, value: str) -> list[Operation]:
        readers = [reader for one in self.flow.ahead(value) for reader in self.flow.readers(one)]
        return [one for one in readers if one.kind not in ("view", "merge", "Shape")]


def _turned(flow: Dataflow, cell: FoundCell) -> FoundCell:
    """Read a cell between two reversals of the series as one that reads backwards."""
    sources = [_reversal(flow, value) for value in cell.reads]
    if None in sources or cell.settings.get("reverse"):
        return cell
    turned = [one for value in cell.outputs for one in flow.ahead_by(value, {"reverse"})]
    return replace(
        cell,
        settings=cell.settings | Settings(reverse=True),
        reads=tuple(source.inputs[0] for source in sources if source),
        outputs=tuple(one.outputs[0] for one in turned),
    )


def _reversal(flow: Dataflow, value: str) -> Operation | None:
    """The reversal that a value comes from."""
    found = (flow.producer(one) for one in flow.behind(value))
    return next((one for one in found if one is not None and one.kind == "reverse"), None)


def _other_direction(cells: Sequence[FoundCell], cell: FoundCell) -> bool:
    """Whether a layer has one direction, and a cell that reads the same is the other."""
    first = cells[0]
    return len(cells) == 1 and first.reads == cell.reads and first.settings.get("reverse") != cell.settings["reverse"]


def _top(layers: Sequence[_Layer]) -> int:
    """The layer that no other one reads."""
    read = {layer.before for layer in layers}
    return next(k for k in range(len(layers)) if k not in read)


def _distinct(cells: Iterable[FoundCell]) -> list[FoundCell]:
    """Put the uses of one layer together, and give each layer a name of its own."""
    kept: list[FoundCell] = []
    for cell in cells:
        for k, other in enumerate(kept):
            if cell.is_the_same_as(other):
                kept[k] = replace(
                    other,
                    reads=(*other.reads, *cell.reads),
                    outputs=(*other.outputs, *cell.outputs),
                    last=(*other.last, *cell.last),
                )
                break
        else:
            kept.append(cell)
    names: dict[str, int] = {}
    for k, cell in enumerate(kept):
        names[cell.name] = names.get(cell.name, 0) + 1
        if names[cell.name] > 1:
            kept[k] = replace(cell, name=f"{cell.name}#{names[cell.name]}")
    return kept


def scope(names: Iterable[str]) -> str:
    """Return the scope that names of tensors share, or an empty string.

    >>> scope(["rnn.lstm.weight_ih", "rnn.lstm.weight_hh"]), scope(["net/lstm/MatMul", "net/lstm/MatMul_1"])
    ('rnn.lstm', 'net/lstm')
    >>> scope(["net/lstm_cell/kernel"]), scope(["net/lstm_cell/kernel", "arith.constant7"])  # of two, one tells nothing
    ('net/lstm_cell', '')
    """
    told = [name.rpartition(";")[2] for name in names]  # a converter joins the names of what it fused
    named = [name for name in told if not NAMELESS.fullmatch(name)]
    if len(named) < min(2, len(told)):
        return ""
    shared = commonprefix(named)  # noqa: RUF071 - letters are compared: the scopes end in / or .
    return shared[: max(shared.rfind("/"), shared.rfind("."), 0)].strip("/.")
