"""The LSTM over a batch of sequences as a differentiable function of torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quadgate.cell.batch import checked_lengths
from quadgate.errors import InputError, suggest

State = tuple[Tensor, Tensor]
Lengths = Tensor | NDArray[np.integer] | Sequence[int]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda z: torch.clamp(0.2 * z + 0.5, 0, 1),
    "hard_sigmoid_v3": functional.hardsigmoid,
    "linear": lambda z: z,
}


def lstm_sequence(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor,
    forget_bias: float,
    activation: str,
    lengths: Tensor | None,
    state: State | None,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run a BasicLSTM layer over `x`; the equations are those of `quadgate.cell.lstm`.

    Args:
        x: `[N, T, C]`. What stands past the end of a case, NaN too, reaches neither a result nor a gradient.
        kernel: `[C+H, 4H]`, columns i, j, f, o.
        bias: `[4H]`.
        forget_bias: added to f while running.
        activation: the function of the candidate and of the cell state.
        lengths: `[N]`, the number of steps of each case, as `lengths_tensor` gives it; None where all have T.
        state: the starting `c` and `h`, each `[N, H]`; None for zeros.
        reverse: whether each case is read from its own last step to its first.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the state `(c, h)` after its last step.
    """
    N, T, C = x.shape
    H = bias.shape[0] // 4
    c, h = state or (x.new_zeros(N, H), x.new_zeros(N, H))
    order = valid = None
    if lengths is not None:
        forward = torch.arange(T, device=x.device)
        valid = (forward < lengths[:, None])[:, :, None]
        # Zeroed before any arithmetic: 0 * NaN is NaN, in the way back too.
        x = torch.where(valid, x, 0.0)
        if reverse:
            order = torch.where(valid[:, :, 0], lengths[:, None] - 1 - forward, forward)[:, :, None]
            x = torch.take_along_dim(x, order, dim=1)
    elif reverse:
        x = x.flip(1)

    w_x, w_h = kernel[:C], kernel[C:]
    outputs = []
    # The input's share of all steps is one large product; [x, h] @ kernel is the sum of the two shares.
    for t, z_x in enumerate((x @ w_x + bias).unbind(1)):
        h_next, c_next = gates(torch.addmm(z_x, h, w_h), c, forget_bias, activation)
        c = c_next if valid is None else torch.where(valid[:, t], c_next, c)
        h = h_next if valid is None else torch.where(valid[:, t], h_next, h)
        outputs.append(h)
    stacked = torch.stack(outputs, 1) if outputs else x.new_zeros(N, 0, H)

    if valid is not None:
        stacked = torch.where(valid, stacked, 0.0)
    if order is not None:
        stacked = torch.take_along_dim(stacked, order, dim=1)
    elif reverse:
        stacked = stacked.flip(1)
    return stacked, (c, h)


def gates(z: Tensor, c: Tensor, forget_bias: float, activation: str) -> State:
    """Turn `z = [x, h] @ kernel + bias` and the cell state into the next `(h, c)`.

    i, j, f, o = the quarters of z;  c' = c * sigmoid(f + forget_bias) + sigmoid(i) * tanh(j);
    h' = tanh(c') * sigmoid(o)
    """
    squash = ACTIVATIONS[activation]
    i, j, f, o = z.chunk(4, dim=1)
    c = c * torch.sigmoid(f + forget_bias) + torch.sigmoid(i) * squash(j)
    return squash(c) * torch.sigmoid(o), c


def lengths_tensor(lengths: Lengths | None, x: Tensor) -> Tensor | None:
    """Return `lengths` as whole numbers beside `x [N, T, ...]`; None stays None.

    Raises:
        InputError: not one whole number per case, or one below 0 or above T.

    >>> lengths_tensor([2, 0], torch.zeros(2, 3, 1))
    tensor([2, 0])
    """
    if lengths is None:
        return None
    array = lengths.detach().cpu().numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    return torch.from_numpy(checked_lengths(array, x.shape[0], x.shape[1])).to(x.device)


def check_tensor(name: str, tensor: Tensor, axes: Sequence[str | int], like: Tensor) -> None:
    """Refuse a tensor whose shape or dtype does not fit; an axis that is a name may have any size.

    Raises:
        InputError: naming what was found and what was expected.

    >>> check_tensor("x", torch.zeros(4, 820), ["cases", "steps", 12], torch.zeros(1))
    Traceback (most recent call last):
    ...
    quadgate.errors.InputError: x: found shape (4, 820), expected (cases, steps, 12)
    """
    fits = tensor.ndim == len(axes) and all(
        isinstance(want, str) or want == have for want, have in zip(axes, tensor.shape, strict=True)
    )
    if not fits:
        expected = ", ".join(map(str, axes))
        raise InputError(f"{name}: found shape {tuple(tensor.shape)}, expected ({expected})")
    if tensor.dtype != like.dtype:
        raise InputError(f"{name}: found {tensor.dtype}, expected {like.dtype}; convert it with .to({like.dtype})")


def check_activation(name: str) -> None:
    """Refuse an activation that is not known.

    Raises:
        InputError: with the nearest name that is.
    """
    if name not in ACTIVATIONS:
        raise InputError(f"activation: found {name!r}, which is not known; {suggest(name, ACTIVATIONS)}")
