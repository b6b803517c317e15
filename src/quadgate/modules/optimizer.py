"""TensorFlow 1's Adam, which is not PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor


class TensorFlowAdam(torch.optim.Optimizer):
    """`tf.train.AdamOptimizer`, to continue a training that began there.

        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        variable -= lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)

    PyTorch divides v by its correction first and adds epsilon then, `m / (sqrt(v / (1 - beta2^t)) + epsilon)`: its
    epsilon counts `1 / sqrt(1 - beta2^t)` times as much, 31 times at the first step, and shows where gradients are
    small. TensorFlow's constants are float32, `float32(0.999)` among them, whose distance to 1 is off by 1.3e-5 of
    itself, and the powers are multiplied up in float32; so they are here, for variables of any dtype.

    Args:
        params: the variables.
        lr, beta1, beta2, epsilon: as above.

    Source: Kingma and Ba (2015), the form just before section 2.1, where epsilon is called epsilon hat.

    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> w.square().sum().backward()
    >>> TensorFlowAdam([w], lr=0.1).step()
    >>> round(w.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        powers = {"beta1_power": _float32(beta1), "beta2_power": _float32(beta2)}
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "epsilon": epsilon, **powers})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every variable that has a gradient; `closure`, where given, computes the loss and is called first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        lr, beta1, beta2, epsilon = (_float32(group[name]) for name in ("lr", "beta1", "beta2", "epsilon"))
        rate = lr * math.sqrt(1 - group["beta2_power"]) / (1 - group["beta1_power"])
        for variable in group["params"]:
            g = variable.grad
            if g is None:
                continue
            state = self.state[variable]
            m = state.setdefault("m", torch.zeros_like(variable))
            v = state.setdefault("v", torch.zeros_like(variable))
            m.add_(g - m, alpha=1 - beta1)
            v.add_(g * g - v, alpha=1 - beta2)
            variable.addcdiv_(m, v.sqrt().add_(epsilon), value=-rate)
        group["beta1_power"] = _float32(np.float32(group["beta1_power"]) * np.float32(beta1))
        group["beta2_power"] = _float32(np.float32(group["beta2_power"]) * np.float32(beta2))


def _float32(value: float | np.float32) -> float:
    """The number that float32 makes of `value`."""
    return float(np.float32(value))
