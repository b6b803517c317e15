"""What `LSTM`, `LSTMCell`, `GRU` and `GRUCell` can do that PyTorch's classes cannot, as far as they share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules.sequence import check_activation


def described_options(module: nn.Module, names: Sequence[str]) -> str:
    """Write the options that differ from their defaults, as PyTorch writes its own."""
    changed = ((name, getattr(module, name), getattr(type(module), name)) for name in names)
    return "".join(f", {name}={value!r}" for name, value, default in changed if value != default)


def has_defaults(module: nn.Module, base: type[nn.Module], names: Sequence[str]) -> bool:
    """Tell whether a module computes what PyTorch's does; the defaults stand in quadgate's class `base`."""
    return all(getattr(module, name) == getattr(base, name) for name in names)


def check_share(name: str, share: Any) -> None:
    """Refuse a share that is none.

    Raises:
        InputError: no number from 0 up to, not including, 1.
    """
    if not isinstance(share, int | float) or not 0 <= share < 1:
        raise InputError(f"{name}: found {share}, expected a share from 0 up to, not including, 1")


def check_activations(activations: Activations, places: Sequence[str]) -> None:
    """Refuse a function that is not known.

    Raises:
        InputError: with the nearest name that is.
    """
    for place in places:
        check_activation(getattr(activations, place), f"activations.{place}")


def add_parameters(module: Any, suffix: str, norms: int, peepholes: bool = False) -> None:
    """Add the parameters that PyTorch's classes lack: peepholes, and the gains and shifts of so many normalisations."""
    H, like = module.hidden_size, next(module.parameters()).detach()
    values = {}
    if peepholes:
        values["weight_ch"] = like.new_empty(3, H).uniform_(-(H**-0.5), H**-0.5)
    if norms:
        values |= {"weight_ln": like.new_ones(norms, H), "bias_ln": like.new_zeros(norms, H)}
    for name, value in values.items():
        module.register_parameter(f"{name}{suffix}", nn.Parameter(value))


def reset_norms(module: nn.Module) -> None:
    """Let every normalisation start as none."""
    for name, parameter in module.named_parameters():
        if name.startswith(("weight_ln", "bias_ln")):
            nn.init.constant_(parameter, float(name.startswith("weight")))


def suffixes(module: Any) -> list[str]:
    """Return what the parameters' names of each layer in each direction end with."""
    directions = ("", "_reverse") if module.bidirectional else ("",)
    return [f"_l{layer}{direction}" for layer in range(module.num_layers) for direction in directions]


def zoned(new: Tensor, old: Tensor, share: float, training: bool) -> Tensor:
    """Keep a share of the old values: at random in training, on average in evaluation."""
    if not share:
        return new
    if not training:
        return share * old + (1 - share) * new
    return torch.where(torch.rand_like(new) < share, old, new)
