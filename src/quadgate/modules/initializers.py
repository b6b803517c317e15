"""How parameters start: TensorFlow 1's default, and one that remembers for long from the first step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from quadgate.errors import InputError, suggest

INITIALIZERS = ("glorot", "chrono")


def glorot_uniform_(tensor: Tensor) -> Tensor:
    """Fill a tensor as TensorFlow 1 does by default: uniform in `±sqrt(6 / (rows + columns))`.

    A vector of length n counts as n rows and n columns. Source: Glorot and Bengio (2010).

    >>> limit = math.sqrt(6 / (76 + 256))
    >>> bool(glorot_uniform_(torch.empty(76, 256)).abs().max() <= limit)
    True
    """
    limit = math.sqrt(6 / (tensor.shape[0] + tensor.shape[-1]))
    with torch.no_grad():
        return tensor.uniform_(-limit, limit)


def chrono_(bias: Tensor, longest: int, forget_bias: float) -> Tensor:
    """Fill a bias `[4H]` so that the units remember for 1 to `longest - 1` steps, each for its own time.

        b_f ~ log(U[1, longest - 1]),   b_i = -b_f,   b_j = b_o = 0

    A unit whose forget gate rests at `sigmoid(b_f)` keeps its state for about `1 + exp(b_f)` steps. The layer adds
    `forget_bias` while running, so it is taken off here. Source: Tallec and Ollivier (2018), section 2.

    Raises:
        InputError: `longest` is below 2.

    >>> bias = chrono_(torch.empty(8), longest=820, forget_bias=1.0)
    >>> bool((bias[0:2] == -(bias[4:6] + 1.0)).all()), bool((bias[4:6] + 1.0 <= math.log(819)).all())
    (True, True)
    """
    if longest < 2:
        raise InputError(f"longest: found {longest}, expected the number of steps to remember, at least 2")
    H = bias.shape[0] // 4
    with torch.no_grad():
        b_f = torch.empty_like(bias[:H]).uniform_(1, longest - 1).log_()
        bias.zero_()
        bias[:H] = -b_f
        bias[2 * H : 3 * H] = b_f - forget_bias
    return bias


def initialize(kernel: Tensor, bias: Tensor, initializer: str, forget_bias: float, longest: int | None) -> None:
    """Fill the parameters of a layer: the kernel by Glorot, the bias with zeros or, for `"chrono"`, by `chrono_`.

    Raises:
        InputError: an initializer that is not known, or `"chrono"` without `longest`.
    """
    if initializer not in INITIALIZERS:
        raise InputError(
            f"initializer: found {initializer!r}, expected one of them; {suggest(initializer, INITIALIZERS)}"
        )
    glorot_uniform_(kernel)
    if initializer == "glorot":
        torch.nn.init.zeros_(bias)
    elif longest is None:
        raise InputError("initializer 'chrono': longest is missing; pass the number of steps of the longest case")
    else:
        chrono_(bias, longest, forget_bias)
