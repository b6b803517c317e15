"""How the outputs of all steps become the one vector per case that a classifier looks at."""

from __future__ import annotations

import torch
from torch import Tensor

POOLS = ("last", "mean", "max", "attention")


def pooled(outputs: Tensor, h: Tensor, lengths: Tensor | None, pool: str, query: Tensor | None = None) -> Tensor:
    """Pool over the steps within each case.

        last       h, the state after the last step read (of each direction)
        mean       the mean of the outputs
        max        the largest value of each output
        attention  the mean weighted by softmax over the steps of outputs @ query

    The gradient of `last` has to pass through every later step to reach an early one; that of the others reaches each
    step at once. A case of length 0 gives its starting state for `last` and zeros for the others.

    Args:
        outputs: `[N, T, F]`, zero past the end of a case.
        h: `[N, F]`.
        lengths: `[N]`, or None where all cases have T steps.
        pool: one of `POOLS`.
        query: `[F]`, for `"attention"`. One of zeros gives the mean.

    >>> outputs = torch.tensor([[[1.0], [5.0], [0.0]]])
    >>> [pooled(outputs, outputs[:, 1], torch.tensor([2]), pool).item() for pool in ("last", "mean", "max")]
    [5.0, 3.0, 5.0]
    """
    N, T, _ = outputs.shape
    if pool == "last":
        return h
    if lengths is None:
        lengths = torch.full((N,), T, device=outputs.device)
    if pool == "mean":
        return outputs.sum(1) / lengths.clamp(min=1)[:, None]
    valid = torch.arange(T, device=outputs.device) < lengths[:, None]
    if pool == "max":
        largest = outputs.masked_fill(~valid[:, :, None], -torch.inf).amax(1)
        return torch.where(lengths[:, None] > 0, largest, 0.0)
    assert query is not None  # noqa: S101
    # The lowest finite number, not -inf: where no step is valid, softmax stays defined and weighs outputs that are 0.
    scores = (outputs @ query).masked_fill(~valid, torch.finfo(outputs.dtype).min)
    return (torch.softmax(scores, 1)[:, None] @ outputs)[:, 0]


def running(outputs: Tensor, pool: str, query: Tensor | None = None) -> Tensor:
    """Pool over the steps so far: `[N, T, F]`, at each step what `pooled` gives of the series that ends there.

    Args:
        outputs: `[N, T, F]` of layers that read forward, whose last step's output is h.
        pool: one of `POOLS`.
        query: `[F]`, for `"attention"`.

    >>> outputs = torch.tensor([[[1.0], [5.0], [3.0]]])
    >>> [running(outputs, pool)[0, :, 0].tolist() for pool in ("last", "mean", "max")]
    [[1.0, 5.0, 3.0], [1.0, 3.0, 3.0], [1.0, 5.0, 5.0]]
    """
    if pool == "last":
        return outputs
    if pool == "mean":
        return outputs.cumsum(1) / torch.arange(1, outputs.shape[1] + 1, device=outputs.device)[:, None]
    if pool == "max":
        return outputs.cummax(1).values
    assert query is not None  # noqa: S101
    scores = outputs @ query
    weights = torch.exp(scores - scores.amax(1, keepdim=True))[:, :, None]
    return (weights * outputs).cumsum(1) / weights.cumsum(1).clamp(min=torch.finfo(outputs.dtype).tiny)
