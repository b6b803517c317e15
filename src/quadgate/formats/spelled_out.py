"""LSTM cells that a converter has written out as products, a split, sigmoids and tanhs, found by following the data.

    z = x @ w_x + h @ w_h + b            or [x, h] @ kernel + b
    a, b, c, d = split(z)
    c' = gate(f) * c + gate(i) * act(j)
    h' = gate(o) * act(c')

Which part of the split is which gate is told by what it meets, so any order of gates is found; the row of `layouts`
that has this order and this arrangement is the cell's. Which product is that of h is told by its shape, by where its
input comes from (an earlier step's h', or the place that c comes from), or not at all, and then the cell is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from quadgate.cell import Activations
from quadgate.cell.activations import ACTIVATIONS
from quadgate.formats.dataflow import PASSING, Dataflow, Operation
from quadgate.formats.recurrence import Cannot, FoundCell, scope
from quadgate.layouts import LAYOUTS, Layout, Settings
from quadgate.model.variables import reshaped, transposed

FAR = 40
"""After how many values an activation is no longer looked for: a normalisation of TensorFlow 1 has 20."""


@dataclass(frozen=True)
class _Product:
    """A product with a constant matrix, and the biases that are added to it alone."""

    operand: str
    weights: str
    rows: int
    columns: int
    transposed: bool
    biases: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Step:
    """One step: the products and biases that make z, and the values that it turns into."""

    split: Operation
    products: tuple[_Product, ...]
    biases: tuple[str, ...]
    gates: str
    activations: Activations
    forget_bias: float
    c: str
    c_new: str
    h_new: str

    @property
    def weights(self) -> tuple[str, ...]:
        """What it shares with the other steps of the same layer."""
        return tuple(product.weights for product in self.products)


def find_spelled_out(flow: Dataflow, family: str = "") -> tuple[list[FoundCell], list[Cannot]]:
    """Return the cells that a graph spells out, and what looks like one and was not understood.

    Args:
        flow: the graph.
        family: how the names of the rows begin that go before others with the same arrangement.
    """
    steps: dict[tuple[str, ...], list[_Step]] = {}
    unclear: list[tuple[set[str], Cannot]] = []
    for operation in (*flow.operations, *_cuts(flow)):
        if operation.kind != "split" or len(operation.outputs) != 4:
            continue
        if not _meets_gates(flow, operation):
            if _changes_gates(flow, operation):
                why = "looks like an LSTM cell, but its gates are changed before they are bent, as a normalisation does"
                unclear.append((set(), Cannot(operation.title, why)))
            continue
        step = _step(flow, operation)
        if isinstance(step, str):
            terms = _terms(flow, operation.inputs[0])
            shared = {product.weights for product in terms[0]} if terms else set()
            unclear.append((shared, Cannot(operation.title, f"looks like an LSTM cell, but {step}")))
        else:
            steps.setdefault(step.weights, []).append(step)
    cells = []
    known: set[str] = set()
    for weights, same in sorted(steps.items(), key=lambda item: -len(item[0])):
        cell = _cell(flow, same, family)
        if not isinstance(cell, str):
            cells.append(cell)
            known.update(weights)
        else:
            unclear.append((set(weights), Cannot(same[0].split.title, f"an LSTM cell, but {cell}")))
    # a first step, from which what is multiplied by zeros was taken away, belongs to the others
    return cells, [one for shared, one in unclear if not shared or not shared <= known]


def _cuts(flow: Dataflow) -> Iterator[Operation]:
    """Yield four parts of one value that lie side by side as one split, where each of them meets an activation."""
    cut: dict[str, list[Operation]] = {}
    for operation in flow.operations:
        if operation.kind == "part" and len(operation.inputs) > 2 and _activated(flow, operation.outputs[0]):
            cut.setdefault(operation.inputs[0], []).append(operation)
    for value, parts in cut.items():
        if len(parts) == 4:
            first = [one for one in parts if _start(flow, one) == 0]
            ordered = _side_by_side(flow, parts, first[0]) if len(first) == 1 else None
            outputs = tuple(one.outputs[0] for one in ordered or parts)
            yield Operation("split", (value,), outputs, parts[0].title, {"unordered": ordered is None})


def _start(flow: Dataflow, part: Operation) -> int | None:
    """Where a part starts along the last axis, or None where that is no constant."""
    start = flow.constant(part.inputs[1])
    known = start is not None and start.dtype.kind in "iu" and len(start.shape) <= 1 and prod(start.shape) > 0
    return int(start.read().reshape(-1)[-1]) if known and start is not None else None


def _side_by_side(flow: Dataflow, parts: list[Operation], first: Operation) -> list[Operation] | None:
    """Put parts into their order: by where they start, else each after the one at whose end it starts."""
    starts = {_start(flow, one): one for one in parts}
    if None not in starts and len(starts) == 4:
        places = sorted(start for start in starts if start is not None)
        # A start that is counted from the end tells nothing of where the others are.
        same = places[0] == 0 and len({after - before for before, after in pairwise(places)}) == 1
        return [starts[place] for place in places] if same else None
    ordered = [first]
    while len(ordered) < 4:
        end = ordered[-1].inputs[2]
        following = [one for one in parts if one.inputs[1] == end and one not in ordered]
        if len(following) != 1:
            return None
        ordered += following
    return ordered


def _meets_gates(flow: Dataflow, split: Operation) -> bool:
    """Whether at least three of four parts go into an activation."""
    return sum(_activated(flow, part) is not None for part in split.outputs) >= 3


def _changes_gates(flow: Dataflow, split: Operation) -> bool:
    """Whether each part meets an activation of its own, three of them sigmoids, after a few other operations."""
    bent = [_bent_later(flow, part) for part in split.outputs]
    kinds = [one.kind for one in bent if one is not None]
    return len({id(one) for one in bent}) == len(kinds) == 4 and sum("sigmoid" in kind for kind in kinds) == 3


def _bent_later(flow: Dataflow, part: str) -> Operation | None:
    seen, waiting = {part}, [part]
    while waiting and len(seen) < FAR:
        for reader in flow.readers(waiting.pop(0)):
            if reader.kind in ACTIVATIONS:
                return reader
            fresh = [value for value in reader.outputs if value not in seen]
            seen.update(fresh)
            waiting.extend(fresh)
    return None


def _activated(flow: Dataflow, part: str) -> tuple[Operation, float] | None:
    """The activation that a part of the split meets, and the constant that was added before."""
    for reader in flow.ahead_by(part, ACTIVATIONS):
        return reader, 0.0
    for reader in flow.ahead_by(part, {"add"}):
        for constant in map(flow.constant, reader.inputs):
            if constant is not None and prod(constant.shape) == 1:
                for following in flow.ahead_by(reader.outputs[0], ACTIVATIONS):
                    return following, float(constant.read().reshape(()))
    return None


def _step(flow: Dataflow, split: Operation) -> _Step | str:
    """Follow the parts of a split to the new state; a text says what was not found on the way."""
    parts = [_activated(flow, part) for part in split.outputs]
    if None in parts:
        return "one of the four parts meets no activation"
    if split.attributes.get("unordered"):
        return "nothing tells the order of the four parts that its gates are cut into"
    activated = [part[0] for part in parts if part]
    added = [part[1] for part in parts if part]
    place = {value: k for k, operation in enumerate(activated) for value in flow.ahead(operation.outputs[0])}
    products = list({id(m): m for value in place for m in flow.readers(value, {"mul"})}.values())
    inputs = [m for m in products if len(m.inputs) == 2 and all(value in place for value in m.inputs)]
    for product in inputs:
        found = _state(flow, product, products, place, activated)
        if found is not None:
            i, j, f, o, c, c_new, h_new, output = found
            break
    else:
        return "no sum of f * c and i * j was found, with o * act(c) after it"
    gate, cell = activated[f].kind, activated[j].kind
    if gate != activated[i].kind or gate != activated[o].kind:
        return f"its gates are {activated[i].kind}, {gate} and {activated[o].kind}"
    if any(bias for k, bias in enumerate(added) if k != f):
        return "a constant is added to another gate than f"
    order = [""] * 4
    for letter, k in zip("ijfo", (i, j, f, o), strict=True):
        order[k] = letter
    terms = _terms(flow, split.inputs[0])
    if terms is None:
        return "its gates are no sum of products with constant matrices and of biases"
    activations = Activations(gate, cell, output)
    return _Step(split, *terms, "".join(order), activations, added[f], c, c_new, h_new)


def _state(
    flow: Dataflow, ij: Operation, products: list[Operation], place: dict[str, int], activated: list[Operation]
) -> tuple[int, int, int, int, str, str, str, str] | None:
    """From i * j to the new state: places of i, j, f, o; c, c', h'; the output's activation."""
    for total in flow.ahead_by(ij.outputs[0], {"add"}):
        for fc in products:
            if fc is ij or not {*total.inputs} <= {*flow.ahead(ij.outputs[0]), *flow.ahead(fc.outputs[0])}:
                continue
            forget = [value for value in fc.inputs if value in place]
            states = [value for value in fc.inputs if value not in place]
            if len(forget) != 1 or len(states) != 1:
                continue
            f = place[forget[0]]
            for bent in flow.ahead_by(total.outputs[0], ACTIVATIONS):
                for h in flow.ahead_by(bent.outputs[0], {"mul"}):
                    o = next((place[value] for value in h.inputs if value in place), None)
                    a, b = (place[value] for value in ij.inputs)
                    if o is None or len({a, b, f, o}) != 4:
                        continue
                    # i is the one that is bent as f is; where both are, the two can be exchanged
                    i, j = (a, b) if activated[a].kind == activated[f].kind else (b, a)
                    return i, j, f, o, states[0], total.outputs[0], h.outputs[0], bent.kind
    return None


def _terms(flow: Dataflow, value: str) -> tuple[tuple[_Product, ...], tuple[str, ...]] | None:
    """Take a sum apart into products and biases; a bias that is added to one product alone stays with it."""
    seen: set[str] = set()
    products: list[_Product] = []
    biases: list[str] = []

    def walk(value: str, own: tuple[str, ...]) -> bool:
        if value in seen:
            return False
        seen.add(value)
        source = flow.producer(value)
        if source is None:
            return False
        if source.kind in ("view", "part"):
            return walk(source.inputs[0], own)
        if source.kind == "product":
            weights = flow.constant(source.inputs[1])
            if weights is None or len(weights.shape) != 2:
                return False
            transposed = bool(source.attributes.get("transposed"))
            rows, columns = weights.shape[::-1] if transposed else weights.shape
            products.append(_Product(source.inputs[0], flow.origin(source.inputs[1]), rows, columns, transposed, own))
            return True
        if source.kind != "add":
            return False
        constants = [one for one in source.inputs if flow.constant(one) is not None]
        others = [one for one in source.inputs if one not in constants]
        if len(constants) == 1 and len(others) == 1:
            return walk(others[0], (*own, constants[0]))
        if constants:
            return False
        biases.extend(own)
        return len(seen) < len(flow.operations) and all(walk(one, ()) for one in others)

    if not walk(value, ()) or not products or len({product.columns for product in products}) != 1:
        return None
    return tuple(products), tuple(biases)


def _cell(flow: Dataflow, steps: list[_Step], family: str) -> FoundCell | str:
    """Put what all steps with the same weights say together."""
    first = steps[0]
    told = {(step.gates, step.activations, step.forget_bias) for step in steps}
    if len(told) != 1:
        return "its steps differ"
    H = first.products[0].columns // 4
    if first.products[0].columns != 4 * H:
        return f"its {first.products[0].columns} columns are not four gates"
    sides = _sides(flow, steps, H)
    if isinstance(sides, str):
        return sides
    x, h, reads = sides
    loose = first.biases
    biases = {"b_x": (*x.biases,), "b_h": () if h is None else (*h.biases,)}
    if loose:
        biases["b_x"] = (*biases["b_x"], *loose)
    elif h is None or not biases["b_x"]:
        biases = {"b_x": (*biases["b_x"], *biases["b_h"]), "b_h": ()}
    if any(len(one) > 1 for one in biases.values()):
        return "several biases are added to one product"
    values = {"b_x": biases["b_x"], "b_h": biases["b_h"]}
    settings = Settings(activations=first.activations, forget_bias=first.forget_bias, reverse=False)
    named: dict[str, str] = {"w_x": x.weights} | ({} if h is None else {"w_h": h.weights})
    named |= {array: names[0] for array, names in values.items() if names}
    orientation = "out x in" if x.transposed else "in x out"
    turned = {h.weights} if h is not None and h.transposed != x.transposed else set()
    row = _row(first.gates, orientation, h is None, set(named), settings, family)
    if row is None:
        return f"no known class keeps the gates in the order {first.gates}, {orientation}"
    tensors = {}
    for tensor in row.tensors:
        array = next((array for array in named if array in tensor.arrays), None)
        if array is not None:
            constant = flow.constant(named[array])
            if constant is None or (tensor.rank == 1 and prod(constant.shape) != 4 * H):
                return f"its bias {named[array]} has not {4 * H} numbers"
            variable = flow.origin(named[array])
            if named[array] in turned:
                variable, constant = f"{variable}[T]", transposed(constant)
            tensors[row.name_of(tensor)] = (variable, reshaped(constant, (4 * H,)) if tensor.rank == 1 else constant)
    for clip in row.clips:
        settings[clip.name] = None
    gives = tuple(step.h_new for step in steps)
    title = first.split.title
    name = scope(variable for variable, _ in tensors.values()) or title.rpartition("/")[0].strip("/") or title
    return FoundCell(name, row.name, tensors, settings, tuple(reads), (), gives)


def _sides(flow: Dataflow, steps: list[_Step], H: int) -> tuple[_Product, _Product | None, list[str]] | str:
    """Tell the product of x from that of h; or, of one product, whether its input is [x, h]."""
    first = steps[0]
    if len(first.products) == 2:
        by_shape = [k for k, product in enumerate(first.products) if product.rows == H]
        if len(by_shape) == 1:
            k = by_shape[0]
        else:
            votes = {_fed_back(flow, steps, [product.operand for product in step.products], step) for step in steps}
            votes.discard(None)
            if len(votes) != 1:
                return "nothing tells its product of x from that of h"
            k = next(vote for vote in votes if vote is not None)
        return first.products[1 - k], first.products[k], [step.products[1 - k].operand for step in steps]
    if len(first.products) != 1:
        return f"its gates are a sum of {len(first.products)} products"
    reads = []
    votes = set()
    for step in steps:
        pieces = _pieces(flow, step.products[0].operand)
        if len(pieces) != 2:
            return "its one product does not read x and h side by side"
        votes.add(_fed_back(flow, steps, pieces, step))
        reads.append(pieces[0])
    votes.discard(None)
    if votes == {0}:
        return "its rows of h stand before those of x, as in no known class"
    if votes != {1}:
        return "nothing tells its rows of x from those of h"
    return first.products[0], None, reads


def _pieces(flow: Dataflow, value: str) -> tuple[str, ...]:
    """What a value was put together from."""
    source = flow.producer(value)
    while source is not None and source.kind == "view":
        source = flow.producer(source.inputs[0])
    return source.inputs if source is not None and source.kind == "concat" else ()


def _fed_back(flow: Dataflow, steps: Iterable[_Step], operands: Sequence[str], step: _Step) -> int | None:
    """Return which operand is h: the one that comes from some step's h', else from where c comes from, or None."""
    results = {one.h_new for one in steps}
    origins = [set(flow.behind(operand)) for operand in operands]
    for wanted in (results, set(_sources(flow, step.c))):
        found = [k for k, origin in enumerate(origins) if origin & wanted]
        if len(found) == 1:
            return found[0]
    constant = [k for k, operand in enumerate(operands) if flow.constant(operand) is not None]
    return constant[0] if len(constant) == 1 else None  # the state that a sequence starts from


def _sources(flow: Dataflow, value: str) -> Iterator[str]:
    """The values where the numbers of a value come from, as far as they only pass; constants are none."""
    for one in flow.behind(value):
        source = flow.producer(one)
        if (source is None or source.kind not in PASSING) and flow.constant(one) is None:
            yield one


def _row(
    gates: str, orientation: str, joined: bool, arrays: set[str], settings: Settings, family: str
) -> Layout | None:
    """The first row of the table that keeps these arrays in this order and this arrangement, and runs like this."""
    forget_bias = settings.get("forget_bias", 0.0)
    activations = settings["activations"]
    rows = sorted(LAYOUTS.values(), key=lambda row: (not row.name.startswith(family), "VRDU".index(row.evidence)))
    for row in rows:
        plain = row.cell == "lstm" and not (row.refusal or row.per_gate or row.interleaved or row.flat)
        if not plain or row.gates != gates or row.orientation != orientation or row.joined != joined:
            continue
        ranks = [tensor.rank for tensor in row.tensors if tensor.arrays & {"w_x", "w_h", "b_x", "b_h"}]
        has = {array for array in ("b_x", "b_h") if row.holding(array)}
        wants = {array for array in arrays if array.startswith("b_")}
        bias_fits = wants == has or (not wants and has <= row.optional)
        if not bias_fits or max(ranks) != 2 or any(part.reread for tensor in row.tensors for part in tensor.parts):
            continue
        rule, choices = row.activations, row.forget.choices
        runs = activations.gate in rule.gates and {activations.cell, activations.output} <= {*rule.cells}
        if runs and (choices is None or forget_bias in choices) and not any("{" in t.name for t in row.tensors):
            return row
    return None
