"""Which implementation runs a layer, and why. Nothing here needs torch."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate import cell
from quadgate.cell import GRUParameters, LSTMParameters

Array = NDArray[Any]


@dataclass(frozen=True)
class Choice:
    """An implementation, and the reason for which it runs or does not."""

    implementation: str
    usable: bool
    reason: str

    def __str__(self) -> str:
        return f"{self.implementation}: {self.reason}"


def lstm(
    x: ArrayLike,
    parameters: LSTMParameters,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
) -> tuple[Array, tuple[Array, Array]]:
    """Run a layer over a batch of sequences with the fastest implementation that there is.

    The equations, the arguments and the errors are those of `quadgate.cell.lstm`. Everything is computed in the type of
    the parameters, float64 or else float32.

    Args:
        x: `[N, T, C]`.
        parameters: those of the layer.
        state: the starting `c [N, H]` and `h [N, P]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.

    Returns:
        The outputs `[N, T, P]`, zero past the end of a case, and the final `(c [N, H], h [N, P])`.

    Raises:
        InputError: an array whose shape does not fit, or a length outside 0 to T.

    >>> parameters = LSTMParameters.from_kernel(np.full((3, 8), 0.1, np.float32), np.zeros(8, np.float32))
    >>> outputs, (c, h) = lstm(np.ones((2, 4, 1)), parameters, lengths=[4, 2])
    >>> outputs.shape, outputs.dtype.name, bool((h[1] == outputs[1, 1]).all())
    ((2, 4, 2), 'float32', True)
    """
    choice = explain_choice()
    log_once("lstm", str(choice))
    if choice.implementation == "compiled":
        from quadgate.kernels import cpu

        return cpu.lstm_forward(x, parameters, state, lengths)
    return cell.lstm(x, parameters, state, lengths, dtype=computed_in(parameters))


def gru(
    x: ArrayLike,
    parameters: GRUParameters,
    state: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Run a GRU layer over a batch of sequences with the fastest implementation that there is.

    The equations, the arguments and the errors are those of `quadgate.cell.gru`. Everything is computed in the type of
    the parameters, float64 or else float32.

    Args:
        x: `[N, T, C]`.
        parameters: those of the layer.
        state: the starting `h [N, H]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the final `h [N, H]`.

    Raises:
        InputError: an array whose shape does not fit, or a length outside 0 to T.

    >>> parameters = GRUParameters(np.ones((3, 1, 2), np.float32), np.ones((3, 2, 2), np.float32))
    >>> outputs, h = gru(np.ones((2, 4, 1)), parameters, lengths=[4, 2])
    >>> outputs.shape, outputs.dtype.name, bool((h[1] == outputs[1, 1]).all())
    ((2, 4, 2), 'float32', True)
    """
    choice = explain_choice()
    log_once("gru", str(choice))
    if choice.implementation == "compiled":
        from quadgate.kernels import cpu

        return cpu.gru_forward(x, parameters, state, lengths)
    return cell.gru(x, parameters, state, lengths, dtype=computed_in(parameters))


def computed_in(parameters: LSTMParameters | GRUParameters) -> np.dtype[Any]:
    """Return the type that a layer is computed in: float64 where its weights are, else float32.

    >>> computed_in(LSTMParameters.from_kernel(np.zeros((3, 8), np.float16), None))
    dtype('float32')
    """
    return np.dtype(np.float64 if parameters.w_x.dtype == np.float64 else np.float32)


def explain_choice() -> Choice:
    """Tell which implementation `lstm` and `gru` take, and why.

    >>> explain_choice().usable
    True
    """
    return next(choice for choice in implementations() if choice.usable)


def implementations() -> tuple[Choice, ...]:
    """Return every implementation that there is, best first, and whether it can run here."""
    return _compiled(), Choice("NumPy", True, "runs where the compiled kernels do not")


def compiled_is_built() -> bool:
    """Tell whether the compiled kernels were built at installation."""
    try:
        return find_spec("quadgate.kernels.cpu._native") is not None
    except ModuleNotFoundError:  # of the package around it, which imports the module
        return False


@cache
def _compiled() -> Choice:
    if not compiled_is_built():
        return Choice("compiled", False, "not built: no C++ compiler or no Python headers at installation")
    from quadgate.kernels import cpu

    return Choice("compiled", True, f"built, instruction set {cpu.instruction_set()}")


@cache
def log_once(cell_kind: str, line: str) -> None:
    """Say once what a cell runs on, where `QUADGATE_LOG=1` asks for it."""
    if os.environ.get("QUADGATE_LOG") == "1":
        sys.stderr.write(f"quadgate: {cell_kind} runs on {line}\n")
