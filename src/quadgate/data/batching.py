"""Cases of unequal length in one array, and the order in which training meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.errors import InputError

POOL = 16  # batches that are sorted by length together: enough to pad little, few enough to stay mixed
ALIKE = 1.25  # times the steps of batches without strata: more is not worth that each has its share of them


def pad(series: Sequence[NDArray[np.float32]], steps: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Put series of unequal length into one array, zeros behind the shorter ones.

    Args:
        series: N arrays `[T_i, C]`.
        steps: of the longest of all, where these are some of a batch.

    Returns:
        `x [N, T, C]` float32 with T the longest T_i, or `steps` where that is more, and `lengths [N]` int64.

    Raises:
        InputError: there is no series.

    >>> x, lengths = pad([np.ones((2, 1), np.float32), np.ones((3, 1), np.float32)])
    >>> x[..., 0].tolist(), lengths.tolist()
    ([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], [2, 3])
    """
    if not series:
        raise InputError("pad: found no series, expected at least one")
    lengths = np.array([len(one) for one in series], dtype=np.int64)
    x = np.zeros((len(series), max(steps, lengths.max()), series[0].shape[1]), dtype=np.float32)
    for row, one in zip(x, series, strict=True):
        row[: len(one)] = one
    return x, lengths


def batches(
    lengths: ArrayLike, batch_size: int, rng: np.random.Generator, strata: ArrayLike | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of one epoch's batches: every case once, cases of similar length together.

    All cases are shuffled, cut into pools of 16 batches, and sorted by length within a pool (equal lengths stay
    in random order); the pools are cut into batches, and the batches shuffled. So neither the order of the cases nor
    their length tells when a case is met, and where all lengths are equal this is a plain shuffle. If the cases
    do not fill every batch, the smaller one is at a random place of its pool, so that it is not always the longest.

    Args:
        lengths: `[N]`, the steps of each case.
        batch_size: cases in a batch.
        rng: the only source of chance.
        strata: `[N]`, the stratum of each case, of which every batch then has its share (to a case); None: all are of
            one. Where they are not of like lengths (`are_alike`) this costs padding.

    Raises:
        InputError: `batch_size` is below 1.

    >>> sorted(sorted(batch.tolist()) for batch in batches([5, 9, 5, 9], 2, np.random.default_rng(0)))
    [[0, 2], [1, 3]]
    """
    if batch_size < 1:
        raise InputError(f"batch_size: found {batch_size}, expected at least 1")
    steps = np.asarray(lengths)
    of = np.zeros(len(steps), np.int64) if strata is None else np.asarray(strata)
    found: list[NDArray[np.int64]] = []
    for pool in _pools(rng.permutation(len(steps)), steps, batch_size, of):
        sizes = np.full(-(-len(pool) // batch_size), batch_size)
        sizes[rng.integers(len(sizes))] -= sizes.sum() - len(pool)
        found.extend(np.split(pool, np.cumsum(sizes)[:-1]))
    for index in rng.permutation(len(found)):
        yield found[index]


def are_alike(lengths: ArrayLike, batch_size: int, strata: ArrayLike) -> bool:
    """Tell whether strata are of so like lengths that batches with their shares pad at most a quarter more.

    It follows from the arguments alone, without chance.

    >>> are_alike([5, 5, 5, 5], 2, [0, 0, 1, 1]), are_alike([5, 5, 50, 50], 2, [0, 0, 1, 1])
    (True, False)
    """
    steps, of = np.asarray(lengths), np.asarray(strata)
    order = np.random.default_rng(0).permutation(len(steps))
    with_shares, without = (
        sum(
            int(np.maximum.reduceat(steps[pool], np.arange(0, len(pool), batch_size)).sum())
            for pool in _pools(order, steps, batch_size, one)
        )
        for one in (of, np.zeros_like(of))
    )
    return with_shares <= ALIKE * without


def _pools(
    order: NDArray[np.int64], steps: NDArray[np.int64], batch_size: int, of: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Cut the order into pools, each sorted by length as far as every batch then has its share of each stratum."""
    order = _dealt(order, of)
    for start in range(0, len(order), POOL * batch_size):
        pool = order[start : start + POOL * batch_size]
        yield _dealt(pool[np.argsort(steps[pool], kind="stable")], of)


def _dealt(order: NDArray[np.int64], strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return cases so that every stretch has its share of each stratum, whose own cases keep their order."""
    of = strata[order]
    which = np.unique(of)
    place: NDArray[np.float64] = np.empty(len(order))
    for number, one in enumerate(which):
        found = np.flatnonzero(of == one)
        place[found] = (np.arange(len(found)) + (number + 0.5) / len(which)) / len(found)
    return order[np.argsort(place, kind="stable")]
