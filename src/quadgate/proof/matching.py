"""Which layers of two models correspond, whatever their names: told by their sizes, then by what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from quadgate.proof.trial import Parameters, Trial, difference, run, sizes
from quadgate.proof.why import RELATED, related

QUANTILES = np.linspace(0, 1, 65)


@dataclass(frozen=True)
class Match:
    """Places of layers in two lists: the pairs, in the order of the first, and what has no partner."""

    pairs: tuple[tuple[int, int], ...]
    only_a: tuple[int, ...] = ()
    only_b: tuple[int, ...] = ()


def match(a: Sequence[Parameters], b: Sequence[Parameters]) -> Match:
    """Pair the layers of two models.

    Among layers of the same sizes, those that compute the same are paired first, then those that hold the same numbers
    in another order (gates exchanged, a matrix transposed), then those whose weights correlate, and the rest as they
    follow each other. Equal layers are paired in order, so the result is the same whenever it is asked for.

    >>> first, second = (np.random.default_rng(seed).normal(size=(4, 3, 2)) for seed in (0, 1))
    >>> from quadgate.cell import LSTMParameters
    >>> one, other = (LSTMParameters(w, np.ones((4, 2, 2))) for w in (first, second))
    >>> match([one, other], [other, one]).pairs
    ((0, 1), (1, 0))
    """
    pairs: list[tuple[int, int]] = []
    for kind in dict.fromkeys(map(sizes, a)):
        ours = [place for place, layer in enumerate(a) if sizes(layer) == kind]
        theirs = [place for place, layer in enumerate(b) if sizes(layer) == kind]
        if len(ours) == len(theirs) == 1:
            pairs.append((ours[0], theirs[0]))
        elif theirs:
            found = _paired([a[place] for place in ours], [b[place] for place in theirs])
            pairs += [(ours[one], theirs[other]) for one, other in found]
    taken_a, taken_b = {one for one, _ in pairs}, {other for _, other in pairs}
    return Match(
        tuple(sorted(pairs)),
        tuple(place for place in range(len(a)) if place not in taken_a),
        tuple(place for place in range(len(b)) if place not in taken_b),
    )


def _paired(a: list[Parameters], b: list[Parameters]) -> list[tuple[int, int]]:
    """Pair layers of the same sizes; each is run once."""
    trial = Trial.of(*a, *b)
    runs_a, runs_b = ([run(layer, trial) for layer in layers] for layers in (a, b))
    spread_a, spread_b = ([_spread(layer) for layer in layers] for layers in (a, b))
    free_a, free_b = dict.fromkeys(range(len(a))), dict.fromkeys(range(len(b)))
    pairs: list[tuple[int, int]] = []

    def agree(one: int, other: int) -> bool:
        return difference(runs_a[one], runs_b[other]).within()

    def hold_the_same_numbers(one: int, other: int) -> bool:
        return bool(np.allclose(spread_a[one], spread_b[other], rtol=1e-6, atol=0))

    def correlate(one: int, other: int) -> bool:
        return related(a[one], b[other]) > RELATED

    for fits in (agree, hold_the_same_numbers, correlate):
        for one, other in product(list(free_a), list(free_b)):
            if one in free_a and other in free_b and fits(one, other):
                del free_a[one], free_b[other]
                pairs.append((one, other))
    return [*pairs, *zip(free_a, free_b, strict=False)]


def _spread(layer: Parameters) -> np.ndarray:
    """Quantiles of all weights: the same whatever their order."""
    weights = np.concatenate([layer.w_x.ravel(), layer.w_h.ravel()])
    return np.quantile(weights.astype(np.float64), QUANTILES)
