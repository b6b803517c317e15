"""What a network learns from, as tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quadgate.data import batches, pad
from quadgate.modules.shared_batch import Share
from quadgate.training.workers import Workers

Batch = tuple[Tensor, Tensor, Tensor, Tensor | None]
Shared = tuple[Tensor, Tensor, Tensor, Tensor | None, Share | None]
ALONE = Workers()


@dataclass(frozen=True)
class Pass:
    """One way through the examples.

    Attributes:
        batches: `x [n, T, C]`, `lengths [n]`, `targets [n]` or `[n, T]`, weights `[n]` or None, of each batch; or of
            what falls to this process, and which share that is.
        where: tells, after a batch, where the pass is, for one that goes on from there.
    """

    batches: Iterable[Shared]
    where: Callable[[], str]


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from.

    Attributes:
        series: N scaled series `[T_i, C]`.
        targets: `[N]`, the class of each as a number from 0 (int64), or a quantity (float32).
        weights: `[N]`, how much each counts, or None.
        step_targets: N arrays `[T_i]`, the class at every step, or None where a case has one class.
    """

    series: tuple[NDArray[np.float32], ...]
    targets: NDArray[Any]
    weights: NDArray[np.float64] | None = None
    step_targets: tuple[NDArray[np.int64], ...] | None = None

    def __len__(self) -> int:
        return len(self.series)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`[N]`, the number of steps of each."""
        return np.array([len(one) for one in self.series], dtype=np.int64)

    @property
    def every_step(self) -> bool:
        """Whether there is a class at every step."""
        return self.step_targets is not None

    @property
    def is_quantity(self) -> bool:
        """Whether a quantity is predicted."""
        return bool(self.targets.dtype.kind == "f")

    def steps(self, batch_size: int, seed: int, epoch: int) -> int:  # noqa: ARG002 (each epoch has as many)
        """Return the number of batches of an epoch."""
        return -(-len(self) // batch_size)

    def epoch(
        self,
        batch_size: int,
        seed: int,
        epoch: int,
        begin: int = 0,
        where: str = "",  # noqa: ARG002 (the numbers are drawn at once)
        workers: Workers = ALONE,
    ) -> Pass:
        """Return the batches of an epoch in their order, drawn from (seed, epoch) alone.

        Args:
            batch_size: cases in a batch.
            seed: of the draw.
            epoch: of the draw.
            begin: the first batch.
            where: what the pass that was stopped before it said of where it was.
            workers: whose shares of the batches are given.
        """
        rng = np.random.default_rng(np.random.SeedSequence((seed, epoch)))
        order = list(batches(self.lengths, batch_size, rng))[begin:]
        return Pass((self._shared(indices, workers.share(len(indices))) for indices in order), lambda: "")

    def in_order(self, batch_size: int, workers: Workers = ALONE) -> Iterator[Batch]:
        """Yield every example once, by length; of several processes each gets some of the batches."""
        by_length = np.argsort(self.lengths, kind="stable")
        every = np.split(by_length, range(batch_size, len(self), batch_size))
        for indices in every[workers.rank :: workers.size]:
            yield (*self.batch(indices), self.weights_of(indices))

    def _shared(self, indices: NDArray[np.int64], share: Share | None) -> Shared:
        own = indices if share is None else indices[share.rows.numpy()]
        longest = int(self.lengths[indices].max())
        return (*self.batch(own, longest), self.weights_of(own), share)

    def batch(self, indices: NDArray[np.int64], steps: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Return `x [n, T, C]`, `lengths [n]` and `targets [n]` (or `[n, T]`, a class at every step) of the chosen.

        T is the steps of the longest, or `steps` where that is more. There may be none, for one of several processes.
        """
        x, lengths = pad([self.series[index] for index in indices] or [self.series[0][:1]], steps)
        x, lengths = x[: len(indices)], lengths[: len(indices)]
        return torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(self._targets(indices, x.shape[1]))

    def _targets(self, indices: NDArray[np.int64], steps: int) -> NDArray[Any]:
        if self.step_targets is None:
            return np.asarray(self.targets[indices])
        targets: NDArray[Any] = np.zeros((len(indices), steps), np.int64)
        for row, index in zip(targets, indices, strict=True):
            row[: len(self.step_targets[index])] = self.step_targets[index]
        return targets

    def weights_of(self, indices: NDArray[np.int64]) -> Tensor | None:
        """Return the weights `[n]` of the chosen examples, 1 in the mean over all; None where all count alike."""
        if self.weights is None:
            return None
        return torch.from_numpy(self.weights[indices] / self.weights.mean()).float()

    def fingerprint(self) -> str:
        """Return a hash of every number, by which a resumed run knows its data again."""
        digest = hashlib.sha256(self.targets.tobytes())
        digest.update(self.lengths.tobytes())
        if self.weights is not None:
            digest.update(self.weights.tobytes())
        for classes in self.step_targets or ():
            digest.update(classes.tobytes())
        for one in self.series:
            digest.update(one.tobytes())
        return digest.hexdigest()


def placed(tensor: Tensor, module: nn.Module) -> Tensor:
    """Bring a tensor to where the module's parameters are, and numbers with a fraction to their type."""
    like = next(module.parameters())
    return tensor.to(like.device, like.dtype if tensor.is_floating_point() else None)
