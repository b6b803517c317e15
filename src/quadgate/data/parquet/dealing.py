"""Which of several processes reads which row groups of a window, and works on which cases of a batch.

The batches are the same for any number of processes, and each has its share of every row group of the window. So where
each process works on the cases of row groups of its own, all have about as many of every batch, and none reads
what another works on. Row groups that do not divide evenly are read by two processes or more, which share their cases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEAR = 0.05  # of a process's share: so far from even is better than to read a row group once more


def readers(cases: Sequence[int], processes: int) -> list[tuple[int, ...]]:
    """Return the processes that read each row group of a window, which has so many `cases`, none 0.

    >>> readers([10, 10, 10, 10], 2)
    [(0,), (1,), (0,), (1,)]
    >>> readers([10, 10, 10], 2)
    [(0,), (1,), (0, 1)]
    >>> readers([10], 3)
    [(0, 1, 2)]
    """
    order = sorted(range(len(cases)), key=lambda group: (group % processes, group))  # neighbours to different ones
    edges = np.concatenate([[0], np.cumsum([cases[group] for group in order])])
    each = edges[-1] / processes
    bounds = each * np.arange(1, processes)
    nearest = edges[np.abs(edges[:, None] - bounds).argmin(axis=0)]
    bounds = np.where(np.abs(nearest - bounds) <= NEAR * each, nearest, bounds)
    first = np.searchsorted(bounds, edges[:-1], side="right")
    last = np.searchsorted(bounds, edges[1:], side="left")
    found = {group: tuple(range(a, b + 1)) for group, a, b in zip(order, first.tolist(), last.tolist(), strict=True)}
    return [found[group] for group in range(len(cases))]


def owners(groups: NDArray[np.int64], readers: Sequence[tuple[int, ...]], processes: int) -> NDArray[np.int64]:
    """Return the process that works on each case of a batch; where several could, the one with the fewest so far.

    Args:
        groups: `[n]`, the row group of each case, by its place in the window.
        readers: of each row group.
        processes: how many there are.
    """
    have = [0] * processes
    found = np.empty(len(groups), np.int64)
    candidates = [readers[group] for group in groups.tolist()]
    for place in sorted(range(len(groups)), key=lambda place: len(candidates[place])):
        found[place] = min(candidates[place], key=have.__getitem__)
        have[found[place]] += 1
    return found
