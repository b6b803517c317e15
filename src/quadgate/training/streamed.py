"""Training on more cases than memory holds: row groups, read and scaled ahead of the steps that need them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from warnings import catch_warnings, filterwarnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from quadgate.data import Sequences, batches
from quadgate.data.batching import are_alike
from quadgate.data.parquet import Part, Window, windows
from quadgate.data.parquet.dealing import owners, readers
from quadgate.dependencies import require
from quadgate.errors import InputError, QuadgateError
from quadgate.modules.shared_batch import Share
from quadgate.training.examples import ALONE, Batch, Examples, Pass, Shared
from quadgate.training.workers import Workers

AHEAD = 8  # batches that wait for their step
ORDER = 2  # of an epoch's batches: another number where the same seed gives another order; the first had none
Prepare = Callable[[Sequences], Examples]
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.int64], int]
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Streamed:
    """Examples that stay on the disk; see `Examples`, in whose place they stand.

    A process beside the training reads the windows of an epoch in their order, scales and cuts their series, shuffles
    their cases and hands over batches. What it will read follows from the seed and the epoch, so that a fit that was
    stopped within an epoch goes on exactly.

    Several processes have the batches of one. Each reads the row groups that `quadgate.data.parquet.dealing` deals to
    it, and of the others the columns of cases and groups alone, from which all know the lengths and so the batches.
    Of a window whose row groups are of unlike lengths each reads all: a batch of like lengths has no share of each.

    Attributes:
        part: of a set.
        prepare: makes examples of the cases of a row group.
        count: tells the steps of an example from those of its case.
    """

    part: Part
    prepare: Prepare
    count: Callable[[int], int]

    def __len__(self) -> int:
        return len(self.part)

    @property
    def every_step(self) -> bool:
        """Whether there is a class at every step."""
        return self.part.statistics.every_step

    @property
    def is_quantity(self) -> bool:
        """Whether a quantity is predicted; sets hold classes alone."""
        return False

    def fingerprint(self) -> str:
        """Return a hash of the set and the part."""
        return self.part.fingerprint()

    def steps(self, batch_size: int, seed: int, epoch: int) -> int:
        """Return the number of batches of an epoch; each window has one that may be smaller."""
        return sum(-(-window.cases // batch_size) for window in windows(self.part, seed, epoch))

    def epoch(
        self,
        batch_size: int,
        seed: int,
        epoch: int,
        begin: int = 0,
        where: str = "",
        workers: Workers = ALONE,
    ) -> Pass:
        """Return the batches of an epoch from batch `begin` on; see `Examples.epoch`.

        Raises:
            InputError: the pass that was stopped met its cases in another order, that of an earlier version.
            MissingDependencyError: torchdata is not installed.
        """
        loaders = require(
            "torchdata.stateful_dataloader", "data larger than memory cannot be trained on", "train,parquet"
        )
        dataset = _Epoch(self, batch_size, (seed, epoch), workers)
        with catch_warnings():  # it still calls torch's set_vital, which newer versions ask not to
            filterwarnings("ignore", "'set_vital' is deprecated", UserWarning)
            loader = loaders.StatefulDataLoader(
                dataset,
                batch_size=None,
                num_workers=1,
                prefetch_factor=AHEAD,
                collate_fn=_as_it_is,
                generator=torch.Generator(),  # it draws a seed, which nothing depends on: not from the caller's
            )
        if begin:
            state = json.loads(where)
            if state.get("order") != ORDER:
                raise InputError(
                    f"{self.part.source}: the run was stopped within an epoch by a version of quadgate that met its "
                    "cases in another order; go on with that version, or train anew with another --out"
                )
            loader.load_state_dict(state["loader"])
        # A batch comes through a pipe, which takes a twentieth of a step: so the next one is received meanwhile, and
        # each brings with it where the loader was.
        arriving = _ahead((one, loader.state_dict()) for one in loader)
        reached: dict[str, Any] = {"order": ORDER}

        def received() -> Iterator[Shared]:
            for one, reached["loader"] in arriving:
                yield _shared(_or_raised(one), workers)

        return Pass(received(), lambda: json.dumps(reached))

    def in_order(self, batch_size: int, workers: Workers = ALONE) -> Iterator[Batch]:
        """Yield every example once, by row group and length; of several processes each gets some of the row groups."""
        numbers = np.flatnonzero(self.part.counts)[workers.rank :: workers.size].tolist()
        for examples in _ahead(self.prepare(self.read(number)) for number in numbers):
            yield from examples.in_order(batch_size)

    def read(self, number: int) -> Sequences:
        """Read the cases of the part in a row group that has some."""
        found = self.part.read(number)
        assert found is not None  # noqa: S101 (others are not asked for)
        return found


@dataclass(frozen=True, eq=False)
class _Own:
    """What of a batch is a process's own: the places of its examples, its `rows` of all `cases`, the steps of all."""

    places: NDArray[np.int64]
    rows: NDArray[np.int64]
    cases: int
    longest: int


class _Epoch(IterableDataset):  # type: ignore[type-arg]
    """The batches of one epoch, whose state is how many of them were handed over."""

    def __init__(self, data: Streamed, batch_size: int, drawn: tuple[int, int], workers: Workers) -> None:
        super().__init__()
        self.data, self.batch_size, self.drawn, self.workers = data, batch_size, drawn, workers
        self.done = 0

    def state_dict(self) -> dict[str, int]:
        """Return the state."""
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state."""
        self.done = state["done"]

    def __iter__(self) -> Iterator[Arrays | QuadgateError]:
        try:
            yield from self._batches()
        except QuadgateError as error:  # handed over, for torch would put the page of this process around its one line
            yield error

    def _batches(self) -> Iterator[Arrays]:
        torch.set_num_threads(1)  # the processors are for the training beside
        rest = windows(self.data.part, *self.drawn)
        skipped = self.done
        while rest and skipped >= (count := -(-rest[0].cases // self.batch_size)):
            skipped -= count
            rest = rest[1:]
        for examples, found in _ahead(map(self._load, rest)):
            for batch in found[skipped:]:
                self.done += 1
                x, lengths, targets = examples.batch(batch.places, batch.longest)
                yield x.numpy(), lengths.numpy(), targets.numpy(), batch.rows, batch.cases
            skipped = 0

    def _load(self, window: Window) -> tuple[Examples, list[_Own]]:
        """Read what of a window falls to this process, and say what of each batch it is."""
        data, workers = self.data, self.workers
        read: dict[int, Examples] = {}
        steps: dict[int, NDArray[np.int64]] = {}

        def read_all(numbers: Iterable[int]) -> None:
            for number in numbers:
                sequences = data.read(number)
                steps[number], read[number] = sequences.lengths, data.prepare(sequences)

        reading = readers([data.part.counts_at(number) for number in window.groups], workers.size)
        dealt = [number for number, ranks in zip(window.groups, reading, strict=True) if workers.rank in ranks]
        read_all(dealt)
        for number in window.groups:
            if number not in read:
                steps[number] = data.part.outline(number)
        lengths = np.concatenate([steps[number] for number in window.groups])
        groups = np.repeat(np.arange(len(steps)), [len(steps[number]) for number in window.groups])
        alike = are_alike(lengths, self.batch_size, groups)
        if not alike:  # a batch has what it has of a row group, so that all processes read all of them
            reading = [tuple(range(workers.size))] * len(reading)
            read_all(number for number in window.groups if number not in read)
        here = np.array([workers.rank in ranks for ranks in reading])[groups]
        place = np.cumsum(here) - 1  # of each case among those that are read
        rng = np.random.default_rng((*self.drawn, window.groups[0]))
        found = []
        for indices in batches(lengths, self.batch_size, rng, groups if alike else None):
            rows = np.flatnonzero(owners(groups[indices], reading, workers.size) == workers.rank)
            found.append(_Own(place[indices[rows]], rows, len(indices), data.count(int(lengths[indices].max()))))
        return _joined([read[number] for number in window.groups if number in read]), found


def _joined(parts: list[Examples]) -> Examples:
    steps = [classes for one in parts for classes in one.step_targets or ()]
    return Examples(
        series=tuple(series for one in parts for series in one.series),
        targets=np.concatenate([one.targets for one in parts]),
        step_targets=tuple(steps) if steps else None,
    )


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Take items in a thread of their own, each while the one before is worked with."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (found := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield found
            del found


def _or_raised(found: Arrays | QuadgateError) -> Arrays:
    if isinstance(found, QuadgateError):
        raise found
    return found


def _as_it_is(arrays: Arrays | QuadgateError) -> Arrays | QuadgateError:
    """Hand over arrays, which go through a pipe: tensors would need the shared memory that containers are short of."""
    return arrays


def _shared(arrays: Arrays, workers: Workers) -> Shared:
    x, lengths, targets, rows = (torch.from_numpy(one) for one in arrays[:4])
    return x, lengths, targets, None, None if workers.size == 1 else Share(rows, arrays[4])
