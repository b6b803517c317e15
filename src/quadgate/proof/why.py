"""Why two layers differ, in words: each known mistake is made on purpose, and said only where it makes them equal.

A candidate is one layer with some of these changes, and words for each:

    rounding     every number to float16 or bfloat16
    matrices     one of them transposed, the rows of x and h exchanged
    gates        in another order
    biases       one of them dropped, all halved or doubled, a constant added to one gate (a forget bias)
    settings     those of the other layer, where they differ: activations, clips, direction, the place of the reset

The matrices tell which candidates are worth a run; those are run from the one with the fewest changes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.layouts.layout import NORMAL_GATES, PEEPHOLE_GATES
from quadgate.proof.trial import Parameters, comparable, compare, sizes

Array = NDArray[Any]

CLOSE = 1e-6  # relative: what float32 loses where numbers are added on the way
RELATED = 0.5  # a correlation of weights that no two independent trainings reach
FEW = 0.01  # the part of the numbers that counts as few


@dataclass(frozen=True)
class Candidate:
    """A layer after some changes, with words for each of them."""

    layer: Parameters
    words: tuple[str, ...] = ()


def explain(a: Parameters, b: Parameters) -> str:
    """Say why B is not A: `B equals A if gates f and o are exchanged`, proved by a run, or what else can be told.

    >>> kernel, bias = np.random.default_rng(0).normal(size=(5, 12)), np.zeros(12)
    >>> added = LSTMParameters.from_kernel(kernel, bias, forget_bias=1.0)
    >>> lost = LSTMParameters.from_kernel(kernel, bias, forget_bias=0.0)
    >>> explain(lost, added)
    'B equals A if a forget bias of 1.0 is added'
    """
    if not comparable(a, b):
        return f"the sizes differ: A is {_sizes_text(a)}, B is {_sizes_text(b)}"
    for name, layer in (("A", a), ("B", b)):
        if not all(np.isfinite(array).all() for array in _arrays(layer).values()):
            return f"{name} has numbers that are not finite"
    found = [
        (candidate, sentence, other)
        for layer, other, sentence in ((a, b, "B equals A if {}"), (b, a, "A equals B if {}"))
        for candidate in _candidates(layer, other)
    ]
    for candidate, sentence, other in sorted(found, key=lambda one: len(one[0].words)):
        if compare(candidate.layer, other).within():
            return sentence.format(_joined(candidate.words))
    return _unexplained(a, b)


def related(a: Parameters, b: Parameters) -> float:
    """The correlation of the weights of two layers of the same sizes, -1 to 1; 0 where one of them is constant."""
    one, other = (np.concatenate([p.w_x.ravel(), p.w_h.ravel()]).astype(np.float64) for p in (a, b))
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size else 0.0


def _candidates(a: Parameters, b: Parameters) -> Iterator[Candidate]:
    """Yield what A could be changed to and have the numbers of B, and every mixture of their settings."""
    for rounded in _roundings(a):
        for turned in _matrices(rounded):
            for ordered in _orders(turned, b):
                for biased in _biases(ordered, b):
                    yield from _settings(biased, b)


def _roundings(a: Parameters) -> Iterator[Candidate]:
    yield Candidate(a)
    for name, function in (("float16", _float16), ("bfloat16", _bfloat16)):
        for layer in (a, _with_one_bias(a)):
            arrays: dict[str, Any] = {key: function(array) for key, array in _arrays(layer).items()}
            yield Candidate(replace(layer, **arrays), (f"its numbers are rounded to {name}",))


def _matrices(one: Candidate) -> Iterator[Candidate]:
    yield one
    p = one.layer
    C, P = p.inputs, p.w_h.shape[1]
    kernel, recurrent = _turned(p.w_x), _turned(p.w_h)
    changes: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        ((f"its kernel is {_turn(p.w_x)}",), {"w_x": kernel}),
        ((f"its recurrent kernel is {_turn(p.w_h)}",), {"w_h": recurrent}),
        (
            (f"its kernel is {_turn(p.w_x)}", f"its recurrent kernel is {_turn(p.w_h)}"),
            {"w_x": kernel, "w_h": recurrent},
        ),
    )
    for words, arrays in changes:
        yield Candidate(replace(p, **arrays), (*one.words, *words))
    rows = np.concatenate([p.w_x, p.w_h], axis=1)
    exchanged = replace(p, w_x=rows[:, P:], w_h=rows[:, :P])
    yield Candidate(exchanged, (*one.words, f"the rows of x and h in its kernel ({C} and {P}) are exchanged"))


def _orders(one: Candidate, b: Parameters) -> Iterator[Candidate]:
    """Yield each order of the gates in which the matrices are those of B; the forget bias moves along, or stays."""
    p = one.layer
    gates = _gates(p)
    same = [
        [_close(p.w_x[there], b.w_x[here]) and _close(p.w_h[there], b.w_h[here]) for there in range(len(gates))]
        for here in range(len(gates))
    ]
    for order in permutations(range(len(gates))):
        if not all(same[here][there] for here, there in enumerate(order)):
            continue
        if order == tuple(range(len(gates))):
            yield one
            continue
        for layer in (p, _with_one_bias(p)):
            yield Candidate(_reordered(layer, list(order)), (*one.words, _order_text(gates, order)))


def _biases(one: Candidate, b: Parameters) -> Iterator[Candidate]:
    """Yield the changes of the biases after which they are those of B, or are but for a constant in one gate."""
    p = one.layer
    scaled = {"halved": 0.5, "doubled": 2.0}
    variants = [
        one,
        *(
            Candidate(_without(p, dropped), (*one.words, words))
            for dropped, words in (
                (("b_x",), "its input bias is dropped"),
                (("b_h",), "its recurrent bias is dropped"),
                (("b_x", "b_h"), "its biases are dropped"),
            )
            if all((array := getattr(p, name)) is not None and array.any() for name in dropped)
        ),
        *(
            Candidate(
                replace(p, **{name: factor * array for name, array in _arrays(p).items() if name in ("b_x", "b_h")}),
                (*one.words, f"its biases are {words}"),
            )
            for words, factor in scaled.items()
        ),
    ]
    split = isinstance(p, GRUParameters) and isinstance(b, GRUParameters) and p.reset_after and b.reset_after
    wanted = _bias(b, split)
    tolerance = CLOSE * max(1.0, float(np.abs(wanted).max()))
    for variant in variants:
        rest = wanted - _bias(variant.layer, split)
        off = np.flatnonzero(np.abs(rest).max(axis=1) > tolerance)
        if not off.size:
            yield variant
        elif len(off) == 1 and np.ptp(rest[off[0]]) <= 2 * tolerance and off[0] < len(p.w_x):
            yield _with_constant(variant, int(off[0]), float(np.median(rest[off[0]])))


def _settings(one: Candidate, b: Parameters) -> Iterator[Candidate]:
    """Yield the layer with each subset of the settings in which B differs, the smallest first."""
    p = one.layer
    have, want = _settings_of(p), _settings_of(b)
    changed = [name for name in have if name in want and have[name] != want[name]]
    for count in range(len(changed) + 1):
        for chosen in combinations(changed, count):
            fields = {name: want[name] for name in chosen if name not in _PLACES}
            functions = replace(p.activations, **{name: want[name] for name in chosen if name in _PLACES})
            words = (_setting_text(name, have[name], want[name]) for name in chosen)
            yield Candidate(replace(p, **fields, activations=functions), (*one.words, *words))


_CLIPS = {"cell_clip": "cell state", "projection_clip": "projected output", "input_clip": "pre-activations"}
_PLACES = {"gate": "gate activation", "cell": "candidate's activation", "output": "output activation"}


def _settings_of(layer: Parameters) -> dict[str, Any]:
    """What a layer is told beside its numbers, but for the forget bias, which adds to them."""
    own = ("reset_after",) if isinstance(layer, GRUParameters) else tuple(_CLIPS)
    return {name: getattr(layer, name) for name in ("reverse", *own)} | asdict(layer.activations)


def _setting_text(name: str, have: Any, want: Any) -> str:
    if name == "reverse":
        return f"it reads from the {'last step to the first' if want else 'first step to the last'}"
    if name == "reset_after":
        return f"its reset acts {'after' if want else 'before'} the recurrent product"
    if name in _PLACES:
        return f"{want} is its {_PLACES[name]} in place of {have}"
    if want is None:
        return f"the clip of its {_CLIPS[name]} at {have:g} is left out"
    return f"its {_CLIPS[name]} {'are' if name == 'input_clip' else 'is'} clipped at {want:g}"


def _unexplained(a: Parameters, b: Parameters) -> str:
    """Say what the numbers themselves tell where no change explains the difference."""
    ours, theirs = _arrays(_with_one_bias(a)), _arrays(_with_one_bias(b))
    if ours.keys() != theirs.keys():
        missing = sorted(ours.keys() ^ theirs.keys())
        return f"one side alone has {' and '.join(missing)}"
    off = {name: ~_near(ours[name], theirs[name]) for name in ours}
    count, total = sum(int(where.sum()) for where in off.values()), sum(where.size for where in off.values())
    if count == 0:
        return f"the numbers are equal, the settings are not: A {_settings_text(a)}; B {_settings_text(b)}"
    largest = max(float(np.abs(ours[name] - theirs[name]).max(initial=0.0)) for name in ours)
    if count <= max(1, FEW * total):
        name, where = next((name, where) for name, where in off.items() if where.any())
        at = tuple(int(index) for index in np.argwhere(where)[0])
        one, other = float(ours[name][at]), float(theirs[name][at])
        return (
            f"{count} of {total:,} numbers {'differs' if count == 1 else 'differ'} by up to {largest:.2g}: "
            f"{name}{list(at)} is {one:.6g} in A and {other:.6g} in B"
        )
    likeness = related(a, b)
    if likeness > RELATED:
        told = "another training of the same network" if likeness < 1 - CLOSE else "nearly the same numbers"
        return f"{told}: the weights correlate by {likeness:.4g}, the largest difference is {largest:.2g}"
    return f"no relation was found: the weights correlate by {likeness:.2g}, the largest difference is {largest:.2g}"


def _sizes_text(layer: Parameters) -> str:
    kind, C, H, P = sizes(layer)
    return f"{'a GRU' if kind == 'gru' else 'an LSTM'} of C={C}, H={H}" + (f", P={P}" if P != H else "")


def _settings_text(layer: Parameters) -> str:
    told = {name: value for name, value in _settings_of(layer).items() if value not in (None, False)}
    return ", ".join(f"{name} {value}" for name, value in told.items())


def _order_text(gates: str, order: tuple[int, ...]) -> str:
    moved = [gates[here] for here, there in enumerate(order) if here != there]
    if len(moved) == 2:
        return f"gates {moved[0]} and {moved[1]} are exchanged"
    return f"its gates {', '.join(gates[there] for there in order)} are taken for {', '.join(gates)}"


def _joined(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _turn(block: Array) -> str:
    return "transposed" if block.shape[1] == block.shape[2] else "read from memory in the order of its transpose"


def _turned(blocks: Array) -> Array:
    """Read the memory of each gate's block as that of its transpose; where it is square, that is its transpose."""
    gates, rows, units = blocks.shape
    return np.ascontiguousarray(blocks).reshape(gates, units, rows).swapaxes(1, 2)


def _reordered(layer: Parameters, order: list[int]) -> Parameters:
    """Put the gates into another order; the peepholes, which j has none of, follow where they can."""
    arrays = {name: array[order] for name, array in _arrays(layer).items() if name in ("w_x", "w_h", "b_x", "b_h")}
    if isinstance(layer, LSTMParameters) and layer.peepholes is not None:
        gates = [NORMAL_GATES["lstm"][there] for there in order]
        if gates.index("j") == NORMAL_GATES["lstm"].index("j"):
            rows = [PEEPHOLE_GATES.index(gate) for gate in gates if gate != "j"]
            arrays["peepholes"] = layer.peepholes[rows]
    return replace(layer, **arrays)


def _with_constant(one: Candidate, gate: int, constant: float) -> Candidate:
    """Add a constant to the bias of one gate."""
    p = one.layer
    constant = float(f"{constant:.6g}")
    b_x = np.zeros((len(p.w_x), p.units)) if p.b_x is None else p.b_x.astype(np.float64)
    b_x = b_x + constant * (np.arange(len(p.w_x)) == gate)[:, None]
    name = _gates(p)[gate]
    what = "a forget bias" if name == "f" else f"a bias in gate {name}"
    words = f"{what} of {abs(constant)} is {'added' if constant > 0 else 'taken away'}"
    return Candidate(replace(p, b_x=b_x), (*one.words, words))


def _without(layer: Parameters, names: tuple[str, ...]) -> Parameters:
    nothing: dict[str, Any] = dict.fromkeys(names)
    return replace(layer, **nothing)


def _with_one_bias(layer: Parameters) -> Parameters:
    """Fold the biases, and the forget bias, into that of the input; a GRU that needs two keeps its candidate's."""
    if isinstance(layer, LSTMParameters):
        return replace(layer, b_x=_bias(layer), b_h=None, forget_bias=0.0)
    if layer.b_h is None or not layer.reset_after:
        return replace(layer, b_x=_bias(layer), b_h=None)
    own = _bias(layer, split=True)
    return replace(layer, b_x=own[:3], b_h=np.concatenate([np.zeros((2, layer.units)), own[3:]]))


def _bias(layer: Parameters, split: bool = False) -> Array:
    """The sum of all biases `[4, H]`, of a GRU `[3, H]`; `split` leaves the candidate's two apart, `[4, H]`."""
    total = np.zeros((len(layer.w_x), layer.units))
    for bias in (layer.b_x, layer.b_h):
        if bias is not None:
            total = total + bias
    if isinstance(layer, LSTMParameters):
        total[_gates(layer).index("f")] += layer.forget_bias
    elif split:
        n = _gates(layer).index("n")
        inner = np.zeros(layer.units) if layer.b_h is None else layer.b_h[n].astype(np.float64)
        total[n] -= inner
        total = np.concatenate([total, inner[None]])
    return total


def _gates(layer: Parameters) -> str:
    return NORMAL_GATES["gru" if isinstance(layer, GRUParameters) else "lstm"]


def _arrays(layer: Parameters) -> dict[str, Any]:
    names = ("w_x", "w_h", "b_x", "b_h", "peepholes", "projection")
    return {name: array for name in names if (array := getattr(layer, name, None)) is not None}


def _close(one: Array, other: Array) -> bool:
    """Whether two matrices are equal but for what float32 loses; a few numbers decide most cases."""
    few = (slice(None, None, max(1, one.shape[0] // 8)), slice(None, None, max(1, one.shape[1] // 8)))
    return one.shape == other.shape and bool(_near(one[few], other[few]).all()) and bool(_near(one, other).all())


def _near(one: Array, other: Array) -> Array:
    limit = CLOSE * float(np.abs(other).max(initial=0.0))
    near: Array = np.abs(one - other) <= limit
    return near


def _float16(array: Array) -> Array:
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def _bfloat16(array: Array) -> Array:
    """Round to nearest, ties to even, to the 16 upper bits of a float32."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
