"""Training on more cases than memory holds: row groups, read and scaled ahead of the steps that need them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from quadgate.data import Sequences, batches
from quadgate.data.parquet import Part, windows
from quadgate.dependencies import require
from quadgate.errors import QuadgateError
from quadgate.training.examples import Batch, Examples, Pass

AHEAD = 8  # batches that wait for their step
Prepare = Callable[[Sequences], Examples]
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Streamed:
    """Examples that stay on the disk; see `Examples`, in whose place they stand.

    A process beside the training reads the windows of an epoch in their order, scales and cuts their series, shuffles
    their cases and hands over batches. What it will read follows from the seed and the epoch, so that a fit that was
    stopped within an epoch goes on exactly.

    Attributes:
        part: of a set.
        prepare: makes examples of the cases of a row group.
    """

    part: Part
    prepare: Prepare

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

    def epoch(self, batch_size: int, seed: int, epoch: int, begin: int = 0, where: str = "") -> Pass:
        """Return the batches of an epoch from batch `begin` on; see `Examples.epoch`.

        Raises:
            MissingDependencyError: torchdata is not installed.
        """
        loaders = require(
            "torchdata.stateful_dataloader", "data larger than memory cannot be trained on", "train,parquet"
        )
        dataset = _Epoch(self.part, self.prepare, batch_size, seed, epoch)
        with catch_warnings():  # it still calls torch's set_vital, which newer versions ask not to
            filterwarnings("ignore", "'set_vital' is deprecated", UserWarning)
            loader = loaders.StatefulDataLoader(
                dataset, batch_size=None, num_workers=1, prefetch_factor=AHEAD, collate_fn=_as_it_is
            )
        if begin:
            loader.load_state_dict(json.loads(where))
        return Pass((_tensors(_or_raised(one)) for one in loader), lambda: json.dumps(loader.state_dict()))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield every example once, by row group and length."""
        numbers = np.flatnonzero(self.part.counts).tolist()
        for examples in _ahead([(number,) for number in numbers], self._load):
            yield from examples.in_order(batch_size)

    def _load(self, groups: tuple[int, ...]) -> Examples:
        return _load(self.part, self.prepare, groups)


class _Epoch(IterableDataset):  # type: ignore[type-arg]
    """The batches of one epoch, whose state is how many of them were handed over."""

    def __init__(self, part: Part, prepare: Prepare, batch_size: int, seed: int, epoch: int) -> None:
        super().__init__()
        self.part, self.prepare, self.batch_size, self.seed, self.epoch = part, prepare, batch_size, seed, epoch
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
        worker = get_worker_info()
        share = (0, 1) if worker is None else (worker.id, worker.num_workers)
        rest = windows(self.part, self.seed, self.epoch, share)
        skipped = self.done
        while rest and skipped >= (count := -(-rest[0].cases // self.batch_size)):
            skipped -= count
            rest = rest[1:]
        loaded = _ahead([one.groups for one in rest], lambda groups: _load(self.part, self.prepare, groups))
        for window, examples in zip(rest, loaded, strict=True):
            rng = np.random.default_rng((self.seed, self.epoch, window.groups[0]))
            for indices in list(batches(examples.lengths, self.batch_size, rng))[skipped:]:
                self.done += 1
                x, lengths, targets = examples.batch(indices)
                yield x.numpy(), lengths.numpy(), targets.numpy()
            skipped = 0


def _load(part: Part, prepare: Prepare, groups: tuple[int, ...]) -> Examples:
    """Read row groups, and make examples of the cases that belong to the part."""
    found = [prepare(sequences) for number in groups if (sequences := part.read(number)) is not None]
    steps = [classes for one in found for classes in one.step_targets or ()]
    return Examples(
        series=tuple(series for one in found for series in one.series),
        targets=np.concatenate([one.targets for one in found]),
        step_targets=tuple(steps) if steps else None,
    )


def _ahead(wanted: list[tuple[int, ...]], load: Callable[[tuple[int, ...]], Examples]) -> Iterator[Examples]:
    """Load what is wanted one after the other, each while the one before is worked with."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(load, wanted[0]) if wanted else None
        for following in [*wanted[1:], None]:
            if coming is None:
                return
            found = coming.result()
            coming = None if following is None else pool.submit(load, following)
            yield found
            del found


def _or_raised(found: Arrays | QuadgateError) -> Arrays:
    if isinstance(found, QuadgateError):
        raise found
    return found


def _as_it_is(arrays: Arrays | QuadgateError) -> Arrays | QuadgateError:
    """Hand over arrays, which go through a pipe: tensors would need the shared memory that containers are short of."""
    return arrays


def _tensors(arrays: Arrays) -> Batch:
    x, lengths, targets = (torch.from_numpy(one) for one in arrays)
    return x, lengths, targets, None
