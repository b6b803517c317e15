"""TensorFlow 1's variables: a store by name, the scopes around the names, and what makes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from quadgate.errors import InputError
from quadgate.modules.initializers import glorot_uniform_


class VariableList(list[nn.Parameter]):
    """The trainable variables; printed, a table of name, shape and count with the total."""

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        super().__init__(named.values())
        self.names = [f"{name}:0" for name in named]

    def __str__(self) -> str:
        rows = [(name, str(tuple(v.shape)), v.numel()) for name, v in zip(self.names, self, strict=True)]
        rows.append(("total", "", sum(v.numel() for v in self)))
        return "\n".join(f"{name:<60} {shape:<12} {count}" for name, shape, count in rows)


_variables: dict[str, nn.Parameter] = {}
_scopes: list[str] = []


def reset_default_graph() -> None:
    """Forget every variable; the next call makes them anew."""
    _variables.clear()


@contextmanager
def variable_scope(name: str) -> Iterator[None]:
    """Put `name/` before the names of the variables that are made or found within."""
    _scopes.append(name)
    try:
        yield
    finally:
        _scopes.pop()


def trainable_variables() -> VariableList:
    """Return every variable in the order in which it was made: for an optimiser, or to print.

    >>> reset_default_graph()
    >>> weights = Variable(torch.randn(64, 2))
    >>> print(trainable_variables())
    Variable:0                                                   (64, 2)      128
    total                                                                     128
    >>> reset_default_graph()
    """
    return VariableList(_variables)


def Variable(initial_value: Tensor, name: str = "Variable") -> nn.Parameter:  # noqa: N802 (TensorFlow's name)
    """Make a trainable variable; a name that is taken gets `_1`, `_2`, as in TensorFlow.

    Raises:
        InputError: the value is no tensor of real numbers.
    """
    if not isinstance(initial_value, Tensor) or not initial_value.is_floating_point():
        raise InputError(f"initial_value: found {type(initial_value).__name__}, expected a tensor of real numbers")
    base = full = _scoped(name)
    count = 0
    while full in _variables:
        count += 1
        full = f"{base}_{count}"
    _variables[full] = nn.Parameter(initial_value.detach().clone())
    return _variables[full]


def get_variable(name: str, shape: tuple[int, ...], dtype: torch.dtype, value: float | None = None) -> nn.Parameter:
    """Find a variable, or make it: filled with `value`, or by Glorot's uniform distribution, TensorFlow's default.

    Raises:
        InputError: it is there with another shape or type.
    """
    full = _scoped(name)
    found = _variables.get(full)
    if found is None:
        found = _variables[full] = nn.Parameter(torch.full(shape, 0.0 if value is None else value, dtype=dtype))
        if value is None:
            glorot_uniform_(found)
    if tuple(found.shape) != shape or found.dtype != dtype:
        raise InputError(
            f"{full}: found {tuple(found.shape)} {found.dtype} from an earlier call, expected {shape} {dtype}; "
            "use another variable_scope, or reset_default_graph()"
        )
    return found


def _scoped(name: str) -> str:
    return "/".join([*_scopes, name])
