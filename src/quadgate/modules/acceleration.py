"""`quadgate.accelerate`: the LSTMs and GRUs inside any model of PyTorch's, run by quadgate from one line on.

A module is replaced in place: its class becomes quadgate's, and nothing else of it changes. So its parameters are the
very same objects, and optimisers, hooks, wrappers and whoever else holds it go on working.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves

from quadgate.kernels.choice import compiled_is_built
from quadgate.modules.gru import GRU, GRUCell
from quadgate.modules.lstm import LSTM, LSTMCell

_OURS: dict[type[nn.Module], type[nn.Module]] = {
    nn.LSTM: LSTM,
    nn.LSTMCell: LSTMCell,
    nn.GRU: GRU,
    nn.GRUCell: GRUCell,
}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_MARK = "_replaced_by_quadgate"
_ROUNDS = 5


@dataclass
class Acceleration:
    """What `accelerate` did. Printed, it says so in a few lines.

    Attributes:
        replaced: the names of the modules that quadgate runs now; the model itself has the name `""`.
        kept: the names of those that it does not run, each with the reason.
        before, after: the seconds that one pass of the example takes, at best, before and after; None without one.
        difference: the largest difference between the outputs before and after; None without an example.
        training: whether the pass was forward and backward.
    """

    replaced: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    before: float | None = None
    after: float | None = None
    difference: float | None = None
    training: bool = False

    def __str__(self) -> str:
        names = ", ".join(name or "the model itself" for name in self.replaced)
        lines = [f"replaced {len(self.replaced)}: {names}" if names else "replaced 0"]
        lines += [f"kept {name or 'the model itself'}: {reason}" for name, reason in self.kept.items()]
        if self.before and self.after:
            what = "forward and backward" if self.training else "forward"
            lines += [
                f"{what}: {self.before * 1e3:.2f} ms before, {self.after * 1e3:.2f} ms after, "
                f"{self.before / self.after:.2f} times as fast",
                f"largest difference: {self.difference:.1e}",
            ]
        return "\n".join(lines)


def accelerate(model: nn.Module, example: Any = None, undo: bool = False) -> Acceleration:
    """Let quadgate run every `torch.nn.LSTM`, `GRU`, `LSTMCell` and `GRUCell` inside a model, in place.

    Parameters, state dict, hooks and results stay as they are, up to rounding. A module becomes a
    `quadgate.modules.LSTM`, which is no `torch.nn.LSTM`: `isinstance` tells them apart.

    Args:
        model: the model; it is changed.
        example: one input of the model, a tuple of its arguments, or a dict of them by name. With it the model is run
            before and after, in its mode (forward and backward in training, else forward), torch is kept wherever it is
            faster here, and the report is printed. Buffers, gradients and random numbers are left as they were.
        undo: put PyTorch's classes back instead.

    Returns:
        What was replaced, and what was not and why.

    >>> model = nn.Sequential(nn.Linear(12, 12), nn.LSTM(12, 64, batch_first=True))
    >>> weight = model[1].weight_hh_l0
    >>> print(accelerate(model))
    replaced 1: 1
    >>> model[1], model[1].weight_hh_l0 is weight
    (LSTM(12, 64, batch_first=True), True)
    >>> print(accelerate(model, undo=True))
    replaced 0
    >>> type(model[1]) is nn.LSTM
    True
    """
    report = Acceleration(training=model.training)
    if undo:
        for module in model.modules():
            if module.__dict__.pop(_MARK, False):
                module.__class__ = _THEIRS[type(module)]
        return report
    found = {}
    for name, module in model.named_modules():
        reason = _reason_to_keep(module)
        if reason:
            report.kept[name] = reason
        elif type(module) in _OURS:
            found[name] = module
    if example is None:
        for module in found.values():
            _replace(module)
        report.replaced = list(found)
        return report
    _measure(model, found, _arguments(example), report)
    print(report)  # noqa: T201 - what the example is given for
    return report


def _replace(module: nn.Module, ours: bool = True) -> None:
    if ours:
        module.__class__ = _OURS[type(module)]
        module.__dict__[_MARK] = True
    else:
        del module.__dict__[_MARK]
        module.__class__ = _THEIRS[type(module)]


def _reason_to_keep(module: nn.Module) -> str:
    """Say why a recurrent module cannot be replaced; an empty string for one that can, and for every other module."""
    if isinstance(module, torch.jit.ScriptModule):
        return (
            "TorchScript: replace it before scripting"
            if module.original_name in ("LSTM", "LSTMCell", "GRU", "GRUCell")
            else ""
        )
    if type(module) in _THEIRS or not isinstance(module, nn.LSTM | nn.LSTMCell | nn.GRU | nn.GRUCell):
        return ""
    if parametrize.is_parametrized(module):
        return "its weights are parametrized"
    if type(module) not in _OURS:
        return f"{type(module).__name__} is a subclass of {type(module).__mro__[1].__name__}, whose forward may differ"
    for hook in module._forward_pre_hooks.values():
        if type(hook).__name__ in ("WeightNorm", "SpectralNorm"):
            return f"{type(hook).__name__} computes its weights anew before every call"
    if not compiled_is_built():
        return "the compiled kernels were not built at installation"
    weight = next(module.parameters())
    if weight.device.type != "cpu":
        return f"its weights are on {weight.device}, the kernels run on the processor"
    return ""


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, dict):
        return (), example
    return (example if isinstance(example, tuple) else (example,)), {}


def _measure(model: nn.Module, found: dict[str, nn.Module], example: Any, report: Acceleration) -> None:
    """Replace each module that is faster on what it is called with, and time the model with all of them."""
    args, kwargs = example
    with _undisturbed(model):
        calls = _calls(model, found, args, kwargs)
        expected = _outputs(model, args, kwargs)
        for name, module in found.items():
            if name not in calls:
                report.kept[name] = "the example does not call it"
                continue
            theirs, ours = _times(module, module, *calls[name])
            if ours < theirs:
                report.replaced.append(name)
            else:
                report.kept[name] = f"torch is faster here: {theirs * 1e3:.3f} ms, quadgate {ours * 1e3:.3f} ms"
        faster = nn.ModuleList(found[name] for name in report.replaced)
        report.before, report.after = _times(model, faster, args, kwargs)
        for module in faster:
            _replace(module)
        pairs = zip(tree_leaves(expected), tree_leaves(_outputs(model, args, kwargs)), strict=True)
        numbers = [(one, other) for one, other in pairs if isinstance(one, Tensor) and one.is_floating_point()]
        report.difference = max(((a - b).abs().max().item() for a, b in numbers if a.numel()), default=0.0)


def _calls(model: nn.Module, found: dict[str, nn.Module], args: Any, kwargs: Any) -> dict[str, tuple[Any, Any]]:
    """Run the model once, and note what each module is called with first."""
    calls: dict[str, tuple[Any, Any]] = {}

    def note(name: str) -> Any:
        return lambda _, args, kwargs: calls.setdefault(name, (args, kwargs)) and None

    hooks = [module.register_forward_pre_hook(note(name), with_kwargs=True) for name, module in found.items()]
    try:
        _outputs(model, args, kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _outputs(model: nn.Module, args: Any, kwargs: Any) -> Any:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return model(*args, **kwargs)


def _times(run: nn.Module, exchanged: nn.Module, args: Any, kwargs: Any) -> tuple[float, float]:
    """Return the best seconds of a pass with torch's classes and with ours in `exchanged`, taken in turn."""
    modules = [module for module in exchanged.modules() if type(module) in _OURS]
    best = [float("inf"), float("inf")]
    for turn in range(2 * (_ROUNDS + 1)):
        for module in modules if turn % 2 else ():
            _replace(module)
        try:
            start = time.perf_counter()
            _pass(run, args, kwargs)
            seconds = time.perf_counter() - start
        finally:
            for module in modules if turn % 2 else ():
                _replace(module, ours=False)
        if turn > 1:
            best[turn % 2] = min(best[turn % 2], seconds)
    return best[0], best[1]


def _pass(module: nn.Module, args: Any, kwargs: Any) -> None:
    if not module.training:
        with torch.no_grad():
            module(*args, **kwargs)
        return
    leaves = tree_leaves(module(*args, **kwargs))
    results = [one for one in leaves if isinstance(one, Tensor) and one.requires_grad]
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if results and wanted:
        torch.autograd.grad(results, wanted, [torch.ones_like(one) for one in results], allow_unused=True)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Leave buffers and random numbers as they are; gradients are not written anyway."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)
