"""What one pass over a set finds: sizes, classes and the scaling, kept beside the data and by buckets of cases.

Every case belongs to one of 64 buckets, by a hash of its name, or of its group where there are groups. A training, test
or validation part is a choice of buckets, so that it needs no list of cases, and its scaling follows from those of its
buckets without another pass.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data.labels import tidy_labels
from quadgate.data.parquet.opening import hash_of
from quadgate.data.parquet.parquet_set import STATISTICS, ParquetSet
from quadgate.data.sequences import Sequences
from quadgate.errors import InputError

if TYPE_CHECKING:
    from quadgate.model import Scaling

FORMAT_VERSION = 1
EARLIER = "statistics.json"  # its name before, under which it is only removed
BUCKETS = 64
KEPT_EVERY = 10.0  # seconds of a pass after which what is known so far is kept

Numbers = NDArray[np.float64]


@dataclass(eq=False)
class Statistics:
    """What is known of a set, or of the row groups of it that were looked at.

    Attributes:
        cases: a row for each row group `[64]`: its cases in each bucket.
        steps: `[64]`, the steps of all cases in each bucket.
        mean, squares, low, high: `[64, C]`: the mean, the sum of squared differences from it, the least and the
            greatest value.
        shortest, longest: steps of a case.
        classes: for each label (as text) the cases in each bucket, or the steps where it changes within cases.
        every_step: whether the label changes within a case.
    """

    cases: list[list[int]]
    steps: Numbers
    mean: Numbers
    squares: Numbers
    low: Numbers
    high: Numbers
    shortest: int = 0
    longest: int = 0
    classes: dict[str, list[int]] = field(default_factory=dict)
    every_step: bool = False

    @classmethod
    def empty(cls, channels: int) -> Statistics:
        """Return those of no row group."""
        size = (BUCKETS, channels)
        low, high = np.full(size, np.inf), np.full(size, -np.inf)
        return cls([], np.zeros(BUCKETS), np.zeros(size), np.zeros(size), low, high)

    def add(self, other: Statistics) -> Statistics:
        """Return these with the row groups that come next (Chan, Golub and LeVeque 1983).

        Something new, so that an interrupt within leaves what was known as it was.
        """
        total = np.maximum(self.steps + other.steps, 1)[:, None]
        between = other.mean - self.mean
        weight = other.steps[:, None] / total
        none = [0] * BUCKETS
        return Statistics(
            cases=self.cases + other.cases,
            steps=self.steps + other.steps,
            mean=self.mean + between * weight,
            squares=self.squares + other.squares + np.square(between) * self.steps[:, None] * weight,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            shortest=min(filter(None, (self.shortest, other.shortest)), default=0),
            longest=max(self.longest, other.longest),
            classes=self.classes
            | {name: np.add(self.classes.get(name, none), found).tolist() for name, found in other.classes.items()},
            every_step=self.every_step or other.every_step,
        )

    def scaling(self, buckets: NDArray[np.int64]) -> Scaling:
        """Return the scaling of the channels over all steps of the cases in `buckets`, as `fit_scaling` measures it."""
        from quadgate.model import Scaling

        steps = self.steps[buckets]
        share = (steps / steps.sum())[:, None]
        mean = (share * self.mean[buckets]).sum(axis=0)
        between = np.square(self.mean[buckets] - mean) * steps[:, None]
        variance = (self.squares[buckets] + between).sum(axis=0) / steps.sum()
        low, high = self.low[buckets].min(axis=0), self.high[buckets].max(axis=0)
        constant = low == high
        return Scaling(mean=np.where(constant, low, mean), scale=np.where(constant, 1.0, np.sqrt(variance)))

    @property
    def labels(self) -> NDArray[Any]:
        """`[K]`, the classes in rising order: whole numbers, or text."""
        return np.unique(tidy_labels(list(self.classes))) if self.classes else np.empty(0, np.int64)

    def as_text(self, data: ParquetSet) -> str:
        """Return these, which are of some of the row groups, as JSON: the scaling over all of it first, for people."""
        scaling = self.scaling(np.flatnonzero(self.steps))
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "fingerprint": data.fingerprint,
            "row_groups": [len(self.cases), len(data.groups)],
            "total_cases": int(np.sum(self.cases)),
            "total_steps": int(self.steps.sum()),
            "shortest": self.shortest,
            "longest": self.longest,
            "channels": {
                name: {"mean": mean, "std": std}
                for name, mean, std in zip(data.channels, scaling.mean.tolist(), scaling.scale.tolist(), strict=True)
            },
            "every_step": self.every_step,
            "classes": self.classes,
            "steps": self.steps.tolist(),
        }
        filled = np.flatnonzero(self.steps)  # JSON has no infinity, which an empty bucket's bounds are
        document["filled"] = filled.tolist()
        for name in ("mean", "squares", "low", "high"):
            document[name] = getattr(self, name)[filled].tolist()
        document["cases"] = self.cases
        return json.dumps(document, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str | None, data: ParquetSet) -> Statistics | None:
        """Return what `as_text` wrote, or None where it is not whole, or of other files."""
        try:
            document = json.loads(text or "null")
            if document["format_version"] != FORMAT_VERSION or document["fingerprint"] != data.fingerprint:
                return None
            found = cls.empty(len(data.channels))
            for name in ("mean", "squares", "low", "high"):
                getattr(found, name)[document["filled"]] = np.array(document[name], np.float64)
            found.steps = np.array(document["steps"], np.float64)
            for name in ("cases", "shortest", "longest", "classes", "every_step"):
                setattr(found, name, document[name])
        except (ValueError, KeyError, TypeError, IndexError):
            return None
        sound = len(found.cases) <= len(data.groups) and found.steps.shape == (BUCKETS,)
        return found if sound and all(len(one) == BUCKETS for one in found.cases) else None


def bucket_of(name: str) -> int:
    """Return the bucket of a case or group."""
    return hash_of(name) % BUCKETS


def buckets_of(sequences: Sequences) -> NDArray[np.int64]:
    """Return the bucket of each case `[N]`, by its group where there are groups."""
    return buckets_of_owners((sequences.names or ()) if sequences.groups is None else sequences.groups.tolist())


def buckets_of_owners(owners: Sequence[Any]) -> NDArray[np.int64]:
    """Return the bucket of each case or group, by its name."""
    known = {owner: bucket_of(str(owner)) for owner in dict.fromkeys(owners)}
    return np.array([known[owner] for owner in owners], dtype=np.int64)


def statistics_of(data: ParquetSet, tell: Callable[[int, int], None] = lambda _, __: None) -> Statistics:
    """Return the statistics of a set: from `_statistics.json` where it belongs to these files, else from one pass.

    What an interrupted pass has found is kept, and the next goes on from there. The pass says by `tell` how many row
    groups of how many are done. A folder that cannot be written to is passed over again each time.

    Raises:
        FileFormatError, InputError: see `ParquetSet.read`.
    """
    found = Statistics.from_text(data.place.read_text(STATISTICS), data) or Statistics.empty(len(data.channels))
    begin, whole = len(found.cases), len(data.groups)
    if begin == whole:
        return found
    saved = monotonic()
    pool = ThreadPoolExecutor(2)  # one reads while the other counts; what is found is added in the order of the groups
    try:
        waiting = [pool.submit(_measure, data, number) for number in range(begin, min(begin + 4, whole))]
        while waiting:
            found = found.add(waiting.pop(0).result())
            following = len(found.cases) + len(waiting)
            if following < whole:
                waiting.append(pool.submit(_measure, data, following))
            tell(len(found.cases), whole)
            if monotonic() - saved > KEPT_EVERY:
                _keep(data, found)
                saved = monotonic()
    finally:
        pool.shutdown(cancel_futures=True)
        _keep(data, found)
    if not found.steps.any():
        raise InputError(f"{data.place.url}: found no case that is not left out, expected at least one")
    return found


def _measure(data: ParquetSet, number: int) -> Statistics:
    """Measure one row group."""
    found = Statistics.empty(len(data.channels))
    if data.excluded and not data.cases_of(data.groups[number]):
        found.cases = [[0] * BUCKETS]
        return found
    sequences = data.read(number)
    buckets = buckets_of(sequences)
    found.cases = [np.bincount(buckets, minlength=BUCKETS).tolist()]
    found.shortest, found.longest = int(sequences.lengths.min()), int(sequences.lengths.max())
    for bucket in np.unique(buckets):
        block = np.concatenate([sequences.series[index] for index in np.flatnonzero(buckets == bucket)])
        found.steps[bucket] = len(block)
        found.low[bucket], found.high[bucket] = block.min(axis=0), block.max(axis=0)
        wide = block.astype(np.float64)
        found.mean[bucket] = wide.mean(axis=0)
        wide -= found.mean[bucket]
        found.squares[bucket] = np.einsum("tc,tc->c", wide, wide)
    if sequences.labels is not None:
        found.every_step = sequences.step_labels is not None
        counts: Counter[tuple[str, int]] = Counter()
        for index, bucket in enumerate(buckets.tolist()):
            own = sequences.labels[[index]] if sequences.step_labels is None else sequences.step_labels[index]
            counts.update((str(one), bucket) for one in own.tolist())
        for (name, bucket), count in counts.items():
            found.classes.setdefault(name, [0] * BUCKETS)[bucket] = count
    return found


def _keep(data: ParquetSet, found: Statistics) -> None:
    """Keep what is known in the folder of the set, where that can be written to."""
    if not found.steps.any() or not data.place.write_text(STATISTICS, found.as_text(data)):
        return
    earlier = None if data.place.folder is None else data.place.folder / EARLIER
    if earlier is not None and (data.place.read_text(EARLIER) or "").startswith(
        '{"format_version": 1, "fingerprint": '
    ):
        with suppress(OSError):
            earlier.unlink()
