"""Can the accuracy be believed? Leaks between the parts, the majority class, and labels that look shuffled."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data import Sequences
from quadgate.report.metrics import Scores

WINDOW = 8  # steps that must be alike for two series to be cut from one recording
UNLIKELY = 0.05
_DRAWS = 500


@dataclass(frozen=True)
class Suspicion:
    """A reason to doubt an accuracy: what kind, and the sentence that tells it with its numbers."""

    kind: str
    text: str


def duplicates(train: Sequences, test: Sequences) -> dict[int, int]:
    """Return for each case of `test` that is in `train` too, number by number, its place there.

    >>> duplicates(Sequences([[[1.0]], [[2.0]]]), Sequences([[[2.0]], [[3.0]]]))
    {0: 1}
    """
    places = {one.tobytes(): place for place, one in reversed(list(enumerate(train.series)))}
    return {place: places[key] for place, one in enumerate(test.series) if (key := one.tobytes()) in places}


def overlaps(train: Sequences, test: Sequences) -> dict[int, int]:
    """Return for each case of `test` that shares a stretch of `WINDOW` steps with one of `train`, its place there.

    Stretches in which nothing moves do not count: padding is alike everywhere.
    """
    seen: dict[bytes, int] = {}
    for place, one in enumerate(train.series):
        for start in range(len(one) - WINDOW + 1):
            seen.setdefault(one[start : start + WINDOW].tobytes(), place)
    found = {}
    for place, one in enumerate(test.series):
        for start in range(0, len(one) - WINDOW + 1, WINDOW // 2):
            piece = one[start : start + WINDOW]
            if piece.tobytes() in seen and np.ptp(piece, axis=0).any():
                found[place] = seen[piece.tobytes()]
                break
    return found


def features(sequences: Sequences) -> NDArray[np.float64]:
    """Return what is simple to say of each series `[N, 5C + 1]`: per channel mean, spread, ends; and its length."""
    rows = [
        np.concatenate([one.mean(0), one.std(0), one.min(0), one.max(0), one[-1] - one[0], [len(one)]])
        for one in (np.asarray(one, np.float64) for one in sequences.series)
    ]
    return np.stack(rows)


def neighbour_agreement(sequences: Sequences, seed: int = 0) -> tuple[float, float, float]:
    """Return how often a case has its nearest neighbour's label, how often by chance, and how likely chance is.

    Chance is the same with the labels drawn anew, many times: a permutation test.
    """
    from sklearn.neighbors import NearestNeighbors

    x = features(sequences)
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)
    k = min(3, len(x) - 1)
    near = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(None, return_distance=False)
    labels = np.unique(np.asarray(sequences.labels), return_inverse=True)[1]

    def agree(of: NDArray[Any]) -> float:
        return float((of[near] == of[:, None]).mean())

    rng = np.random.default_rng(seed)
    by_chance = np.array([agree(rng.permutation(labels)) for _ in range(_DRAWS)])
    found = agree(labels)
    return found, float(by_chance.mean()), float((1 + (by_chance >= found).sum()) / (1 + _DRAWS))


def suspicions(train: Sequences | None, test: Sequences, scores: Scores, right: NDArray[np.bool_]) -> list[Suspicion]:
    """Return every reason to doubt an evaluation, with what it rests on.

    Args:
        train: the training part, or None where it is not known.
        test: the part that was judged.
        scores: of it.
        right: `[N]`, whether each case of it was answered rightly.
    """
    from scipy.stats import binomtest

    found = []
    share = scores.baseline.accuracy
    correct = round(scores.model.accuracy * scores.cases)
    by_luck = binomtest(correct, scores.cases, min(share, 1.0), alternative="greater").pvalue
    if by_luck > UNLIKELY:
        found.append(
            Suspicion(
                "majority",
                f"the accuracy of {scores.model.accuracy:.1%} does not beat always answering {scores.majority!r}, "
                f"which gets {share:.1%} (such a result or a better one comes by luck with probability {by_luck:.2f})",
            )
        )
    if train is None:
        return found
    found += _leaks(train, test, right)
    if train.labels is not None and len(train) >= 10:
        agreement, chance, luck = neighbour_agreement(train)
        if luck > UNLIKELY and by_luck > UNLIKELY:
            found.append(
                Suspicion(
                    "shuffled",
                    f"the labels look shuffled, or have nothing to do with the series: among the training series the "
                    f"nearest ones have the same label in {agreement:.1%} of cases, by chance it is {chance:.1%} "
                    f"(permutation test, p = {luck:.2f}), and the network does not beat the majority class; check that "
                    "labels and series are in the same order",
                )
            )
    return found


def _leaks(train: Sequences, test: Sequences, right: NDArray[np.bool_]) -> list[Suspicion]:
    found = []
    same = duplicates(train, test)
    shared = {place: where for place, where in overlaps(train, test).items() if place not in same}
    for kind, places, what in (
        ("duplicates", same, "are in the training part too, number by number"),
        ("overlaps", shared, f"share {WINDOW} or more steps with a training series: cut from one recording"),
    ):
        if places:
            place, where = next(iter(places.items()))
            rest = np.ones(len(test), bool)
            rest[list(places)] = False
            left = f"without them the accuracy is {right[rest].mean():.1%}" if rest.any() else "nothing is left without"
            found.append(
                Suspicion(
                    kind,
                    f"{len(places):,} of {len(test):,} test series {what} (test {test.name(place)} and training "
                    f"{train.name(where)}); {left}, with them {right.mean():.1%}",
                )
            )
    if train.groups is not None and test.groups is not None:
        both = sorted(set(train.groups.tolist()) & set(test.groups.tolist()))
        if both:
            listed = ", ".join(map(str, both[:8]))
            found.append(Suspicion("groups", f"{len(both)} groups are in both parts: {listed}"))
    conflicting = defaultdict(set)
    if train.labels is not None:
        for one, label in zip(train.series, train.labels.tolist(), strict=True):
            conflicting[one.tobytes()].add(label)
        several = sum(len(labels) > 1 for labels in conflicting.values())
        if several:
            found.append(Suspicion("conflicts", f"{several} series are in the training part with different labels"))
    return found
