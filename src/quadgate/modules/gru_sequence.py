"""The GRU over a batch of sequences as a differentiable function of torch tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from quadgate.modules.placement import Normal
from quadgate.modules.sequence import ACTIVATIONS, Normalised, over_steps


class GRUFunctions(NamedTuple):
    """What a cell does beside its weights; the equations are those of `quadgate.cell.gru`.

    Attributes:
        reset_after: whether r multiplies the product of h.
        gate: the function of z and r.
        candidate: that of n.
    """

    reset_after: bool = True
    gate: str = "sigmoid"
    candidate: str = "tanh"


def gru_sequence(
    x: Tensor, weights: Normal, functions: GRUFunctions, lengths: Tensor | None, h: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """Run a GRU layer over `x` as a loop of PyTorch's own operations.

    Args:
        x: `[N, T, C]`. What stands past the end of a case, NaN too, reaches neither a result nor a gradient.
        weights: the matrices of the layer, columns z, r, n.
        functions: what the cell does beside.
        lengths: `[N]`, the number of steps of each case, as `lengths_tensor` gives it; None where all have T.
        h: the starting state `[N, H]`.
        reverse: whether each case is read from its own last step to its first.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the state after its last step.
    """
    H = h.shape[1]
    b_h = weights.w_h.new_zeros(3 * H) if weights.b_h is None else weights.b_h

    def project(x: Tensor) -> Tensor:
        z = x @ weights.w_x
        return z if weights.b_x is None else z + weights.b_x

    def step(of_x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        if functions.reset_after:
            h = gru_gates(of_x, h @ weights.w_h + b_h, h, functions)
            return h, h
        gate, candidate = ACTIVATIONS[functions.gate], ACTIVATIONS[functions.candidate]
        z, r, n = of_x.chunk(3, dim=-1)
        of_z, of_r = (h @ weights.w_h[:, : 2 * H] + b_h[: 2 * H]).chunk(2, dim=-1)
        z, r = gate(z + of_z), gate(r + of_r)
        n = candidate(n + (r * h) @ weights.w_h[:, 2 * H :] + b_h[2 * H :])
        h = z * h + (1 - z) * n
        return h, h

    outputs, h = over_steps(step, x, lengths, h, reverse, project)
    return (outputs if x.shape[1] else x.new_zeros(*x.shape[:2], H)), h


def gru_gates(of_x: Tensor, of_h: Tensor, h: Tensor, functions: GRUFunctions, norm: Normalised | None = None) -> Tensor:
    """Turn the products of x and of h, with their biases, and h into the next h, the reset after the product.

        z = gate(x_z + h_z),  r = gate(x_r + h_r)
        n = candidate(x_n + r * h_n)
        h' = z * h + (1 - z) * n

    Args:
        of_x: `[N, 3H]` for z, r, n.
        of_h: the same.
        h: `[N, H]`.
        functions: those of the cell.
        norm: how the sums of z and of r, then x_n and h_n are normalised, or None.
    """
    gate = ACTIVATIONS[functions.gate]
    (x_z, x_r, x_n), (h_z, h_r, h_n) = of_x.chunk(3, dim=-1), of_h.chunk(3, dim=-1)
    z, r = x_z + h_z, x_r + h_r
    if norm is not None:
        z, r, x_n, h_n = (norm.of(one, place) for place, one in enumerate((z, r, x_n, h_n)))
    z, r = gate(z), gate(r)
    return z * h + (1 - z) * ACTIVATIONS[functions.candidate](x_n + r * h_n)
