"""A batch that several processes work through together: each has some of its cases, and all get what one would get.

Two things in a network depend on the whole batch: what dropout draws, and the mean and variance of batch normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

MOMENTUM = 0.1  # of the running mean and variance, as PyTorch has it


@dataclass(frozen=True, eq=False)
class Share:
    """The part of a batch that is this process's own: `rows [n]` of its `cases`."""

    rows: Tensor
    cases: int

    def within(self, part: Tensor) -> tuple[Tensor, Share]:
        """Return which of the own cases are in a part of the batch, rows that follow each other, and its share of it.

        >>> own, share = Share(torch.tensor([0, 3, 4]), 6).within(torch.tensor([3, 4, 5]))
        >>> own.tolist(), share.rows.tolist(), share.cases
        ([1, 2], [0, 1], 3)
        """
        own = torch.nonzero((self.rows >= part[0]) & (self.rows <= part[-1]))[:, 0]
        return own, Share(self.rows[own] - part[0], len(part))


class Dropout(nn.Dropout):
    """Dropout that draws for every case of a shared batch, and uses what falls to its own: what one process would draw.

    >>> layer, x = Dropout(0.5), torch.ones(4, 6)
    >>> _ = torch.manual_seed(0)
    >>> whole = layer(x)
    >>> _ = torch.manual_seed(0)
    >>> with shared_batch(layer, Share(torch.tensor([1, 3]), 4)):
    ...     torch.equal(layer(x[[1, 3]]), whole[[1, 3]])
    True
    """

    share: Share | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return `x [n, ...]` with a share `p` of its numbers at zero, the others divided by `1 - p`, in training."""
        if self.share is None or not (self.training and self.p):
            return super().forward(x)
        kept = functional.dropout(x.new_ones(self.share.cases, *x.shape[1:]), self.p)
        return x * kept[self.share.rows]


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation whose mean and variance are those of the whole of a shared batch.

    The deviations are taken from the mean of all processes, in a second turn, so that nothing cancels. Source of the
    method: Ioffe and Szegedy 2015; PyTorch's own SyncBatchNorm does it on GPUs alone.
    """

    share: Share | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (PyTorch's name)
        """Return `[n, F]` or `[n, F, T]`, normalised over all but F."""
        if self.share is None or not self.training:
            return super().forward(input)
        over = [axis for axis in range(input.ndim) if axis != 1]
        wide = (1, -1, *[1] * (input.ndim - 2))
        number = _total(input.new_tensor(float(input.numel() // input.shape[1])))
        mean = _total(input.sum(over)) / number
        deviation = input - mean.view(wide)
        variance = _total(torch.square(deviation).sum(over)) / number
        with torch.no_grad():
            running_mean, running_var, batches = self.buffers()
            batches.add_(1)
            running_mean.lerp_(mean, MOMENTUM)
            running_var.lerp_(variance * (number / (number - 1).clamp(min=1)), MOMENTUM)
        normal = deviation * torch.rsqrt(variance + self.eps).view(wide)
        return normal * self.weight.view(wide) + self.bias.view(wide)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def _total(own: Tensor) -> Tensor:
    """Return the sum over all processes; the loss is the sum of theirs, and so is its gradient."""
    total: Tensor = _Total.apply(own)  # type: ignore[no-untyped-call]
    return total


@contextmanager
def shared_batch(module: nn.Module, share: Share | None) -> Iterator[None]:
    """Let the layers of `module` know that what they see is a share of a batch; None where it is the whole."""
    if share is None:
        yield
        return
    layers = [one for one in module.modules() if isinstance(one, Dropout | BatchNorm1d)]
    for layer in layers:
        layer.share = share
    try:
        yield
    finally:
        for layer in layers:
            layer.share = None
