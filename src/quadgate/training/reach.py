"""How far back in a series the gradient of the loss reaches: what it does not reach, training cannot learn from.

For a series of T steps the gradient of the loss with respect to x[t] is the only message that training gets about step
t. In an LSTM that answers from its last output it shrinks by about the forget gate at each step back (sigmoid(1) = 0.73
at TensorFlow 1's initial values), so that after some hundred steps it is 0 in float32 (Hochreiter and others 2001;
Tallec and Ollivier 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quadgate.training.examples import Examples, placed
from quadgate.training.losses import losses

THRESHOLD = 1e-3  # of the greatest share; a step below it is drowned by the others in every weight's gradient
FAR_SHORTER = 0.5  # of the longest series: below this the warning is given
CASES = 16  # that are measured: the shares of different cases are much alike
STEPS = 1 << 20  # of them all: long series are measured on fewer cases


@dataclass(frozen=True, eq=False)
class Reach:
    """The gradient that each step gets, counted back from the end of each series.

    Attributes:
        shares: `[T]` float64, mean over the cases of the gradient's norm over the channels at each step, divided by the
            greatest; aligned at the end, so `shares[-1]` is the last step of every series, `shares[0]` the first of the
            longest.
        threshold: the share from which on a step counts as reached.
    """

    shares: NDArray[np.float64]
    threshold: float = THRESHOLD

    @property
    def steps(self) -> int:
        """T, the length of the longest series."""
        return len(self.shares)

    @property
    def reached(self) -> int:
        """How many steps get a share above the threshold."""
        return int((self.shares > self.threshold).sum())

    @property
    def first(self) -> int:
        """The first step of the longest series that gets a share above the threshold; T where none does."""
        above = np.flatnonzero(self.shares > self.threshold)
        return int(above[0]) if len(above) else self.steps

    @property
    def is_short(self) -> bool:
        """Whether less than half of the longest series is reached."""
        return self.reached < FAR_SHORTER * self.steps

    def describe(self) -> str:
        """Return one line with the numbers.

        >>> Reach(np.array([0.0, 0.0, 0.0, 0.2, 1.0])).describe()
        'the gradient of the loss reaches 2 of 5 steps (3 to 4; step 0 gets 0 of the greatest share)'
        """
        if not self.shares.any():
            return f"the gradient of the loss is 0 at all {self.steps:,} steps"
        least = f"step 0 gets {self.shares[0]:.2g} of the greatest share"
        return f"the gradient of the loss reaches {self.reached:,} of {self.steps:,} steps ({self._where()}; {least})"

    def warning(self) -> str | None:
        """Return what is wrong and the cures, in two lines; None where the reach is not far shorter than the series."""
        if not self.is_short:
            return None
        return (
            f"warning: before training, {self.describe()}; a class told by other steps will not be learned\n"
            "cure: --pool mean, --pool attention or --initializer chrono"
        )

    def _where(self) -> str:
        """Return the runs of reached steps, such as `791 to 819`."""
        above = np.flatnonzero(self.shares > self.threshold)
        runs = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1)
        shown = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
        return ", ".join(shown) if len(shown) < 4 else f"{shown[0]}, ..., {shown[-1]}"


def measured(examples: Examples) -> NDArray[np.int64]:
    """Return the cases that are measured: the 16 longest, or as many as make a million steps."""
    lengths = examples.lengths
    return np.argsort(-lengths, kind="stable")[: max(1, min(CASES, STEPS // int(lengths.max())))]


def measure_reach(module: nn.Module, examples: Examples, threshold: float = THRESHOLD) -> Reach:
    """Measure the reach in the module as it is, without dropout, over the longest examples.

    Args:
        module: called as `module(x [N, T, C], lengths [N]) -> logits [N, K]`; its own gradients are not touched.
        examples: of which the longest are taken, see `measured`.
        threshold: see `Reach`.
    """
    x, lengths, targets = (placed(one, module) for one in examples.batch(measured(examples)))
    x.requires_grad_()
    was_training = module.training
    module.eval()
    loss = losses(module(x, lengths), lengths, targets).sum()
    (gradient,) = torch.autograd.grad(loss, x)
    module.train(was_training)
    norms = gradient.double().norm(dim=2).cpu().numpy()
    total = np.zeros(x.shape[1])
    count = np.zeros(x.shape[1])
    for row, length in zip(norms, lengths.tolist(), strict=True):
        total[-length:] += row[:length]
        count[-length:] += 1
    shares = total / count
    return Reach(shares / max(shares.max(), np.finfo(np.float64).tiny), threshold)
