"""Cut a data set in two: class shares kept, and no subject or machine on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quadgate.data.sequences import Sequences
from quadgate.errors import InputError

INSTEAD = "or cut nothing off: --test gives a test part, --valid-fraction 0 (valid_fraction=0) needs none to stop by"
STARTS = 32  # beginnings of the search for a grouped split; the best result is taken


def split(
    sequences: Sequences, fraction: float = 0.2, seed: int = 0, by_group: bool | None = None
) -> tuple[Sequences, Sequences]:
    """Hold out a `fraction` of the cases; the same seed gives the same split.

    By class, each side gets its share of every class: the held-out number is `fraction` of the class,
    rounded so that the total fits, and at least one case of each class is on each side. By group, whole groups
    are held out, chosen by a search so that the held-out share of every class comes as near to `fraction` as the groups
    allow; every class is on both sides. Cases keep their order. Without labels, or with a class at every step, cases
    (or groups) are drawn at random.

    Args:
        sequences: the cases.
        fraction: of the cases that are held out, between 0 and 1.
        seed: of the draw.
        by_group: whether groups stay together; None: where the cases have groups.

    Returns:
        The cases that stay, and those held out.

    Raises:
        InputError: a class has fewer than two cases (or lives in a single group), the fraction is not between 0 and 1,
            groups are asked for and there are none, or no division of the groups puts every class on both sides.

    >>> stay, held = split(Sequences([[[0.0]]] * 10, labels=[0] * 8 + [1] * 2), fraction=0.5)
    >>> stay.labels.tolist(), held.labels.tolist()
    ([0, 0, 0, 0, 1], [0, 0, 0, 0, 1])
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction: found {fraction}, expected a number between 0 and 1")
    if by_group and sequences.groups is None:
        raise InputError(f"{sequences.source}: found no groups to split by, expected one for each case")
    if len(sequences) < 2:
        raise InputError(f"{sequences.source}: found 1 case, expected at least two to split")
    rng = np.random.default_rng(seed)
    unlabelled = sequences.labels is None or sequences.step_labels is not None
    labels = np.zeros(len(sequences), np.int64) if unlabelled else np.asarray(sequences.labels)
    classes, classes_of = np.unique(labels, return_inverse=True)
    if sequences.groups is not None and by_group is not False:
        groups, groups_of = np.unique(sequences.groups, return_inverse=True)
        counts = np.zeros((len(groups), len(classes)), np.int64)
        np.add.at(counts, (groups_of, classes_of), 1)
        _check_enough(sequences, classes, (counts > 0).sum(axis=0), "group")
        held = _hold_out_groups(counts, fraction, rng, sequences.source)[groups_of]
    else:
        _check_enough(sequences, classes, np.bincount(classes_of), "case")
        held = _hold_out_cases(classes_of, fraction, rng)
    return sequences.take(np.flatnonzero(~held)), sequences.take(np.flatnonzero(held))


def _check_enough(sequences: Sequences, classes: NDArray[np.generic], found: NDArray[np.int64], what: str) -> None:
    """Refuse a class that cannot be on both sides."""
    if (found >= 2).all():
        return
    least = int(np.argmin(found))
    of = "" if len(found) == 1 else f" of class {classes[least].item()!r}"
    raise InputError(
        f"{sequences.source}: found 1 {what}{of}, expected at least two: one for each side of the split; "
        f"leave the class out, {INSTEAD}"
    )


def _hold_out_cases(classes_of: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return `[N]`, whether a case is held out: largest remainders decide how many of each class."""
    sizes = np.bincount(classes_of)
    share = fraction * sizes
    take = np.floor(share).astype(np.int64)
    missing = int(np.rint(share.sum())) - int(take.sum())
    order = np.lexsort((rng.random(len(sizes)), take - share))  # largest remainder first, ties by chance
    take[order[:missing]] += 1
    take = np.clip(take, 1, sizes - 1)
    held = np.zeros(len(classes_of), bool)
    for k, number in enumerate(take):
        held[rng.permutation(np.flatnonzero(classes_of == k))[:number]] = True
    return held


def _hold_out_groups(
    counts: NDArray[np.int64], fraction: float, rng: np.random.Generator, source: str
) -> NDArray[np.bool_]:
    """Return `[G]`, whether a group is held out: from random beginnings, move the group that helps most, and again.

    `counts [G, K]` are the cases of each group and class. The distance is the sum over classes of the squared
    difference between the held-out share and `fraction`; a class that lacks on a side outweighs every distance.
    """
    shares = counts / counts.sum(axis=0)
    lacking = float(2 * counts.shape[1])

    def distance(held_share: NDArray[np.float64], held_count: NDArray[np.int64]) -> NDArray[np.float64]:
        lacks = (held_count == 0) | (held_count == counts.sum(axis=0))
        return np.asarray(np.square(held_share - fraction).sum(axis=-1) + lacking * lacks.sum(axis=-1))

    best, nearest = np.zeros(len(counts), bool), np.inf
    for _ in range(STARTS):
        held = rng.random(len(counts)) < fraction
        now = float(distance(shares[held].sum(axis=0), counts[held].sum(axis=0)))
        while True:
            sign = np.where(held, -1, 1)[:, None]
            after = distance(shares[held].sum(axis=0) + sign * shares, counts[held].sum(axis=0) + sign * counts)
            move = int(np.argmin(after))
            if after[move] >= now - 1e-12:  # rounding alone is no gain
                break
            held[move], now = not held[move], float(after[move])
        if now < nearest:
            best, nearest = held, now
    if nearest >= lacking:
        raise InputError(
            f"{source}: found no division of its {len(counts)} groups with every class on both sides; "
            f"leave a rare class out, {INSTEAD}"
        )
    return best
