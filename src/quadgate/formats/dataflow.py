"""A computation graph of any framework in the words of one: who computes a value, who reads it, what is constant.

The readers of ONNX, TensorFlow Lite and TensorFlow graphs translate their operations into these kinds:

    view          the numbers of the first input under another shape, order of axes or type
    part          some of the numbers of the first input
    concat        the inputs, one after the other
    merge         one of the inputs: the branches of a condition, the start and the next value of a loop
    split         the input in as many equal parts as there are outputs, along the last axis
    product       `x @ w`, or `x @ w.T` where the attribute `transposed` is set
    reverse       the first input, from the last step to the first
    add, mul      of two inputs, element by element
    sigmoid, ...  the activations, by the names of `quadgate.cell.activations`

and keep their own words for all others, which nothing here looks into.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quadgate.cell.activations import ACTIVATIONS
from quadgate.model.variables import Stored

PASSING = frozenset({"view", "part", "split", "concat", "merge"})
ONE_INPUT = frozenset({"view", "part", "split"})
INPUTS = {**dict.fromkeys((*PASSING, "reverse", *ACTIVATIONS), 1), **dict.fromkeys(("product", "add", "mul"), 2)}


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: one of the words above, or the framework's own.
        inputs: the values that it reads; "" for an optional one that is not there.
        outputs: the values that it computes.
        name: its own name, where it has one.
        attributes: what else the framework says about it; `same` where its first input goes through unchanged.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What to call it: its name, else that of its first value."""
        return self.name or next(filter(None, self.outputs), self.kind)


@dataclass
class Dataflow:
    """Operations in an order in which they can be run, as far as the file keeps to one.

    Attributes:
        operations: as the file has them.
        constant: returns the constant under a name, or None where a value is no constant or cannot be told.
        results: the values that the whole graph gives.
    """

    operations: tuple[Operation, ...]
    constant: Callable[[str], Stored | None]
    results: tuple[str, ...] = ()
    _producers: dict[str, Operation] = field(init=False)
    _readers: dict[str, list[Operation]] = field(init=False)

    def __post_init__(self) -> None:
        self._producers = {}
        self._readers = defaultdict(list)
        self.operations = tuple(_sound(operation) for operation in self.operations)
        for operation in self.operations:
            for output in operation.outputs:
                self._producers.setdefault(output, operation)
            for value in dict.fromkeys(operation.inputs):
                self._readers[value].append(operation)

    def producer(self, value: str) -> Operation | None:
        """Return the operation that computes a value, or None where it is given from outside."""
        return self._producers.get(value)

    def origin(self, value: str) -> str:
        """Return the name of a constant itself, where operations that change nothing of it stand before it."""
        source = self.producer(value)
        for _ in self.operations:
            if source is None or not source.attributes.get("same"):
                break
            value = source.inputs[0]
            source = self.producer(value)
        return value

    def readers(self, value: str, kinds: Iterable[str] | None = None) -> list[Operation]:
        """Return the operations that read a value, all or those of some kinds."""
        found = self._readers.get(value, [])
        return found if kinds is None else [one for one in found if one.kind in kinds]

    def behind(self, value: str) -> Iterator[str]:
        """Yield the value and every value whose numbers it has, or some of them, going back; each once."""
        seen, waiting = {value}, [value]
        while waiting:
            one = waiting.pop()
            yield one
            source = self.producer(one)
            if source is not None and source.kind in PASSING:
                inputs = source.inputs[:1] if source.kind in ONE_INPUT else source.inputs
                fresh = [name for name in inputs if name and name not in seen]
                seen.update(fresh)
                waiting.extend(fresh)

    def passes(self, operation: Operation, value: str) -> bool:
        """Whether an operation hands on the numbers of a value that it reads, all or some of them."""
        return operation.kind in PASSING and (operation.kind not in ONE_INPUT or operation.inputs[0] == value)

    def ahead(self, value: str) -> Iterator[str]:
        """Yield the value and every value that has its numbers, or some of them, going on; each once."""
        seen, waiting = {value}, [value]
        while waiting:
            one = waiting.pop()
            yield one
            for reader in self.readers(one):
                if not self.passes(reader, one):
                    continue
                fresh = [name for name in reader.outputs if name and name not in seen]
                seen.update(fresh)
                waiting.extend(fresh)

    def ahead_by(self, value: str, kinds: Iterable[str]) -> list[Operation]:
        """Return the operations of some kinds that read a value, under whatever shape."""
        found = [reader for one in self.ahead(value) for reader in self.readers(one, kinds)]
        return list({id(one): one for one in found}.values())


def _sound(operation: Operation) -> Operation:
    """Take an operation that lacks an input or an output, as in a damaged file, for one of no known kind."""
    short = len(operation.inputs) < INPUTS.get(operation.kind, 0) or not operation.outputs
    return replace(operation, kind=f"incomplete {operation.kind}", attributes={}) if short else operation
