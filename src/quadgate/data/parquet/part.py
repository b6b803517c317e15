"""A training, validation or test part of a set, and the order in which training meets its cases."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data.labels import tidy_labels
from quadgate.data.parquet.parquet_set import ParquetSet
from quadgate.data.parquet.statistics import BUCKETS, Statistics, buckets_of, buckets_of_owners
from quadgate.data.sequences import Sequences
from quadgate.errors import InputError

if TYPE_CHECKING:
    from quadgate.model import Scaling

WINDOW = 112 * 2**20  # bytes of float32 whose cases are shuffled together; twice that are held while the next is read
EVENLY = 8  # row groups of a window, or a multiple of them
JUDGED = 10_000  # cases of a held-out part that stand for all where a model is measured
SHOWN = 1_000  # cases that stand for all where each is looked at: the reach, the neighbours
DRAWS = 32  # of buckets for a held-out part; the one nearest to the share that has every class on both sides is taken
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """Row groups whose cases are shuffled together; `cases` of them belong to the part."""

    groups: tuple[int, ...]
    cases: int


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """The cases of some buckets of a set.

    Attributes:
        data: the set.
        statistics: of it.
        buckets: which cases belong to the part, in rising order.
    """

    data: ParquetSet
    statistics: Statistics
    buckets: Indices

    @classmethod
    def whole(cls, data: ParquetSet, statistics: Statistics) -> Part:
        """Return all cases of a set."""
        return cls(data, statistics, np.arange(BUCKETS))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __repr__(self) -> str:
        return f"<Part: {self.describe()}>"

    @cached_property
    def counts(self) -> Indices:
        """The cases of the part in each row group."""
        return np.asarray(np.array(self.statistics.cases, np.int64)[:, self.buckets].sum(axis=1))

    @property
    def source(self) -> str:
        """Where it comes from, for messages."""
        return self.data.name

    @property
    def channels(self) -> tuple[str, ...]:
        """C names."""
        return self.data.channels

    @property
    def classes(self) -> NDArray[Any]:
        """`[K]`, the different labels of the set, in rising order."""
        return self.statistics.labels

    @property
    def longest(self) -> int:
        """The steps of the longest case of the set."""
        return self.statistics.longest

    def scaling(self) -> Scaling:
        """Return the scaling of the channels over all steps of the cases, as `fit_scaling` measures it."""
        return self.statistics.scaling(self.buckets)

    def fingerprint(self) -> str:
        """Return a hash by which the same cases are known again."""
        return hashlib.sha256(repr((self.data.fingerprint, self.buckets.tolist())).encode()).hexdigest()

    def describe(self) -> str:
        """Return the sizes in one line."""
        known = self.statistics
        steps = f"{known.longest:,}" if known.shortest == known.longest else f"{known.shortest:,} to {known.longest:,}"
        labels = f"{len(known.labels)} classes" if len(known.labels) else "no labels"
        return f"{len(self):,} cases x {steps} steps x {len(self.data.channels)} channels, {labels}"

    def check_trainable(self, every_step: bool = False) -> None:
        """Refuse what nothing can be learned from; `every_step` allows a class at each step.

        Raises:
            InputError: there are no labels, all are the same, or they change within a case.
        """
        found = self.statistics.labels
        if not len(found):
            raise InputError(f"{self.source}: found no labels, expected one for each case")
        if len(found) < 2:
            raise InputError(f"{self.source}: found one class only ({found[0]!s}), expected two or more")
        if self.statistics.every_step and not every_step:
            raise InputError(
                f"{self.source}: found labels that change within a case, expected one for each case, or --preset "
                "stream, which learns a class at each step"
            )

    def split(self, fraction: float, seed: int) -> tuple[Part, Part]:
        """Hold out about a `fraction` of the cases: whole buckets, drawn by the seed, each class on both sides.

        Raises:
            InputError: no draw puts every class on both sides.
        """
        in_bucket = np.array(self.statistics.cases, np.int64).sum(axis=0)
        filled = self.buckets[in_bucket[self.buckets] > 0]
        classes = np.array(list(self.statistics.classes.values()) or [in_bucket])
        present = np.any(classes[:, self.buckets], axis=1)
        rng = np.random.default_rng(seed)
        best, nearest = None, np.inf
        for _ in range(DRAWS):
            order = rng.permutation(filled)
            shares = np.cumsum(in_bucket[order])[:-1] / len(self)
            if not len(shares):
                break
            count = int(np.argmin(np.abs(shares - fraction))) + 1
            distance = abs(shares[count - 1] - fraction)
            held, stay = np.sort(order[:count]), np.sort(order[count:])
            both = (np.any(classes[:, held], axis=1) & np.any(classes[:, stay], axis=1))[present].all()
            if both and distance < nearest:
                best, nearest = (stay, held), distance
        if best is None:
            what = "cases" if self.data.roles.group is None else "groups"
            spread = np.where(present, np.count_nonzero(classes[:, self.buckets], axis=1), BUCKETS + 1)
            rarest = list(self.statistics.classes or ["of all"])[int(np.argmin(spread))]
            raise InputError(
                f"{self.source}: found no division of its {what} with every class on both sides, least of all "
                f"{rarest!r}; leave such a class out, or give a test set of your own (--test)"
            )
        return replace(self, buckets=best[0]), replace(self, buckets=best[1])

    def read(self, number: int) -> Sequences | None:
        """Read the cases of the part in one row group; None where it has none."""
        if not self.counts_at(number):
            return None
        found = self.data.read(number, self.statistics.every_step if len(self.statistics.classes) else None)
        inside = np.isin(buckets_of(found), self.buckets)
        return found if inside.all() else found.take(np.flatnonzero(inside))

    def outline(self, number: int) -> Indices:
        """Return the steps `[n]` of the cases of the part in one row group, in the order of `read`, without reading it.

        Raises:
            FileFormatError, InputError: see `ParquetSet.outline`.
        """
        steps, owners = self.data.outline(number)
        return steps[np.isin(buckets_of_owners(owners), self.buckets)]

    def counts_at(self, number: int) -> int:
        """Return how many cases of the part are in one row group."""
        return int(self.counts[number])

    def sample(self, most: int, seed: int = 0) -> tuple[Sequences, str | None]:
        """Return up to `most` cases, of row groups drawn at random, and a line where these are not all.

        No more is taken than one window holds.
        """
        rng = np.random.default_rng(seed)
        found: list[Sequences] = []
        cases, held = 0, 0
        for number in rng.permutation(np.flatnonzero(self.counts)).tolist():
            one = self.read(number)
            assert one is not None  # noqa: S101 (its count is above 0)
            if found and (cases >= most or held >= WINDOW):
                break
            found.append(one.take(rng.permutation(len(one))[: max(1, most - cases)]))
            cases += len(found[-1])
            held += sum(series.nbytes for series in found[-1].series)
        sequences = joined(found, self.source)
        if cases == len(self):
            return sequences, None
        return sequences, f"a sample of {cases:,} of {len(self):,} cases, drawn with seed {seed}"


def joined(parts: Sequence[Sequences], source: str) -> Sequences:
    """Return the cases of several row groups as one."""
    first = parts[0]
    steps = None
    labels = None
    if first.step_labels is not None:
        steps = tuple(label for part in parts for label in part.step_labels or ())
        texts = tidy_labels([str(one) for label in steps for one in label.tolist()])
        steps = tuple(np.split(texts, np.cumsum([len(one) for one in steps])[:-1]))
    elif first.labels is not None:
        labels = tidy_labels([str(label) for part in parts for label in np.asarray(part.labels).tolist()])
    return Sequences(
        series=tuple(series for part in parts for series in part.series),
        labels=labels,
        step_labels=steps,
        channels=first.channels,
        groups=None if first.groups is None else np.concatenate([np.asarray(part.groups) for part in parts]),
        names=tuple(name for part in parts for name in part.names or ()),
        source=source,
    )


def windows(part: Part, seed: int, epoch: int) -> list[Window]:
    """Return the windows of one epoch in their order.

    The row groups that have cases of the part are shuffled by (seed, epoch), and taken together until they fill a
    window, a multiple of eight where so many fit: two, four or eight processes have as many of them each. So all know
    without the data what is read when.
    """
    counts = part.counts
    order = np.random.default_rng((seed, epoch)).permutation(np.flatnonzero(counts)).tolist()
    held = np.cumsum([part.data.groups[number].rows * 4 * len(part.data.channels) for number in order])
    found: list[Window] = []
    begin = before = 0
    while begin < len(order):
        end = max(begin + 1, int(np.searchsorted(held, before + WINDOW, side="right")))
        if end < len(order):
            end -= (end - begin) % EVENLY if end - begin > EVENLY else 0
        found.append(Window(tuple(order[begin:end]), int(counts[order[begin:end]].sum())))
        begin, before = end, int(held[end - 1])
    return found
