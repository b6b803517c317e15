"""Where a loss that is no longer a finite number began: the layer, and the step of the series."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def where_it_began(module: nn.Module, x: Tensor, lengths: Tensor) -> str:
    """Run the batch again and name the first place where a number is not finite.

    Args:
        module: called as `module(x, lengths)`, its weights as they were when the loss was computed.
        x: `[N, T, C]`.
        lengths: `[N]`.
    """
    for name, parameter in module.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"the weights {name} are not finite, so it began in the step before"
    found: list[str] = []

    def watch(name: str) -> Any:
        def look(_: nn.Module, __: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            if not found and isinstance(tensor, Tensor) and not torch.isfinite(tensor).all():
                found.append(f"it began in {name or 'the head'}{_step(tensor, lengths)}")

        return look

    if not torch.isfinite(x).all():
        return f"it began in the input{_step(x, lengths)}"
    hooks = [one.register_forward_hook(watch(name)) for name, one in module.named_modules()]
    try:
        with torch.no_grad():
            module(x, lengths)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else "every layer's output is finite, so it began in the loss"


def _step(tensor: Tensor, lengths: Tensor) -> str:
    """Name the first step, of any case, where a number of `[N, T, F]` is not finite."""
    if tensor.ndim != 3:
        return ""
    wrong = (~torch.isfinite(tensor)).any(2)
    case = int(wrong.any(1).nonzero()[0])
    first = int(wrong.float().argmax(1)[wrong.any(1)].min())
    return f" at step {first} (of {int(lengths[case])})"
