"""How wrong a network's answers are: for classes and quantities, at the end of a case or at each of its steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from quadgate.training.examples import Examples, placed
from quadgate.training.settings import Settings
from quadgate.training.streamed import Streamed
from quadgate.training.workers import Workers


class Answers(nn.Module):
    """A network as its loss calls it: for the logits at the end of a case `[N, K]` or after each step `[N, T, K]`."""

    def __init__(self, module: nn.Module, every_step: bool) -> None:
        super().__init__()
        self.module, self.every_step = module, every_step

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of `x [N, T, C]`."""
        logits: Tensor = self.module.steps(x, lengths) if self.every_step else self.module(x, lengths)  # type: ignore[operator]
        return logits


def loss_of(
    answers: nn.Module, x: Tensor, lengths: Tensor, targets: Tensor, settings: Settings, weights: Tensor | None
) -> Tensor:
    """Return the sum over the cases of their losses, times their weights where there are any."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "mixed"):
        each = losses(answers(x, lengths), lengths, targets, settings.label_smoothing)
    return each.sum() if weights is None else (weights * each).sum()


def losses(logits: Tensor, lengths: Tensor, targets: Tensor, smooth: float = 0.0) -> Tensor:
    """Return the loss `[N]` of each case.

    Args:
        logits: `[N, K]`, or `[N, T, K]`; then a case's loss is the mean over its steps.
        lengths: `[N]`.
        targets: `[N]` or `[N, T]`, classes: the loss is the cross-entropy; quantities: the square of the difference.
        smooth: share of the target that is spread over all classes.
    """
    if logits.ndim == 2:
        if targets.ndim == 2:  # a class at every step, and an answer at the end
            targets = targets.gather(1, lengths[:, None] - 1)[:, 0]
        if targets.is_floating_point():
            return torch.square(logits[:, 0] - targets)
        return cross_entropy(logits, targets, label_smoothing=smooth, reduction="none")
    T = logits.shape[1]
    targets = targets if targets.ndim == 2 else targets[:, None].expand(-1, T)
    if targets.is_floating_point():
        each = torch.square(logits[..., 0] - targets)
    else:
        each = cross_entropy(logits.transpose(1, 2), targets, label_smoothing=smooth, reduction="none")
    valid = torch.arange(T, device=logits.device) < lengths[:, None]
    return (each * valid).sum(1) / lengths


def measure(module: nn.Module, examples: Examples | Streamed, batch_size: int) -> tuple[float, float | None]:
    """Return the mean loss and the accuracy over all examples, weighted, without dropout and noise.

    Where several processes train, each answers for some of the cases, and all get the whole.

    Where the examples have a class at every step, both are means over the steps of each; a quantity has no accuracy.
    """
    module.eval()
    loss = correct = 0.0
    answers = Answers(module, examples.every_step)
    workers = Workers.here()
    with torch.no_grad():
        for batch in examples.in_order(batch_size, workers):
            x, lengths, targets = (placed(one, module) for one in batch[:3])
            logits = answers(x, lengths)
            weights = batch[3]
            weights = torch.ones(len(x)) if weights is None else weights
            weights = placed(weights, module)
            loss += (weights * losses(logits, lengths, targets)).sum().item()
            correct += (weights * _right(logits, lengths, targets)).sum().item()
    loss, correct = workers.total(loss, correct)
    accuracy = None if examples.is_quantity else correct / len(examples)
    return loss / len(examples), accuracy


def _right(logits: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """Return `[N]`, whether the likeliest class is the right one, or at what share of the steps it is."""
    right = logits.argmax(dim=-1) == targets
    if right.ndim == 1:
        return right
    valid = torch.arange(right.shape[1], device=right.device) < lengths[:, None]
    return (right & valid).sum(1) / lengths
