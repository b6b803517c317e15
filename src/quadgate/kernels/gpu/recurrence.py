"""What every implementation on a GPU computes: the recurrence of a layer, forward and backward.

The product of the inputs and the bias are no part of it: over all steps they are one matrix product, `z = x @ w_x + b`,
and so is the gradient of the weights, after the loop. What is left is

    i, j, f, o = the quarters of z_t + h @ w_h
    c' = c * sigmoid(f + forget_bias) + sigmoid(i) * tanh(j)
    h' = sigmoid(o) * tanh(c')

An implementation is two functions:

    forward(z, w_h, c, h, lengths, steps, *, forget_bias, reverse, keep, exact, outputs=None) -> Steps
    backward(w_h, kept, c, lengths, steps, d_outputs, d_c_T, d_h_T, *, reverse, exact, d_z=None) -> (d_z, d_c, d_h)

- z `[N, T, 4H]`, w_h `[H, 4H]`, h `[N, H]`: float32, bfloat16 or float16, contiguous, columns in the order i, j, f, o.
- c `[N, H]` is float32 in every type, and so are d_c and d_h.
- lengths `[N]`, int32 beside z, or None. What stands in z past the end of a case reaches nothing.
- steps: `(start, stop)`, in the order in which a case is read. Step s stands at position s, or with `reverse` at
  `length - 1 - s`. A case of at most s steps keeps its state, and its position s, past its end, gets zeros.
- keep: where to write what the way back needs, or None. What stands there past the end of a case is not read.
- exact: float32 products without tf32.
- outputs `[N, T, H]` and d_z `[N, T, 4H]`: where to write, at the positions of these steps; new ones where None.
- d_outputs `[N, T, H]`, d_c_T and d_h_T `[N, H]`, or None for zeros; d_z is zero past the end of a case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

Range = tuple[int, int]


class Kept(NamedTuple):
    """What a way back needs of each step.

    Attributes:
        gates: `[N, T, 4H]`, i, j, f, o after their functions, of the type of z.
        cells: `[N, T, H]`, c after each step, float32.
    """

    gates: Tensor
    cells: Tensor


class Steps(NamedTuple):
    """What the recurrence gives.

    Attributes:
        outputs: `[N, T, H]`, written at the positions of the steps that were asked for, zero past the end of a case.
        c, h: `[N, H]`, the state after them.
    """

    outputs: Tensor
    c: Tensor
    h: Tensor


@dataclass(frozen=True)
class Recurrence:
    """An implementation."""

    name: str
    forward: Callable[..., Steps]
    backward: Callable[..., tuple[Tensor, Tensor, Tensor]]
