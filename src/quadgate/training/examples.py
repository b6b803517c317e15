"""What a network learns from, as tensors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quadgate.data import pad


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

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return `x [n, T, C]`, `lengths [n]` and `targets [n]` (or `[n, T]`, a class at every step) of the chosen."""
        x, lengths = pad([self.series[index] for index in indices])
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
