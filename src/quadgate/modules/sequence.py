"""The LSTM over a batch of sequences as a differentiable function of torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import layer_norm
from torch.utils._pytree import tree_map

from quadgate.cell.batch import checked_lengths
from quadgate.errors import InputError, suggest
from quadgate.modules.placement import Normal

State = tuple[Tensor, Tensor]
Results = tuple[Tensor, State]
Lengths = Tensor | NDArray[np.integer] | Sequence[int]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda z: torch.clamp(0.2 * z + 0.5, 0, 1),
    "hard_sigmoid_v3": lambda z: torch.clamp(z / 6 + 0.5, 0, 1),
    "linear": lambda z: z,
}


class Cell(NamedTuple):
    """What a cell does beside its weights; the equations are those of `quadgate.cell.lstm`.

    Attributes:
        forget_bias: added to f while running.
        gate: the function of i, f and o.
        cell: that of the candidate j.
        output: that of the cell state where it is shown.
        input_clip, cell_clip, projection_clip: limits of the pre-activations, the cell state and the projected output.
    """

    forget_bias: float = 1.0
    gate: str = "sigmoid"
    cell: str = "tanh"
    output: str = "tanh"
    input_clip: float | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None


def lstm_sequence(
    x: Tensor, weights: Normal, cell: Cell, lengths: Tensor | None, state: State, reverse: bool
) -> Results:
    """Run an LSTM layer over `x` as a loop of PyTorch's own operations.

    Args:
        x: `[N, T, C]`. What stands past the end of a case, NaN too, reaches neither a result nor a gradient.
        weights: the matrices of the layer.
        cell: what it does beside.
        lengths: `[N]`, the number of steps of each case, as `lengths_tensor` gives it; None where all have T.
        state: the starting `c [N, H]` and `h [N, P]`.
        reverse: whether each case is read from its own last step to its first.

    Returns:
        The outputs `[N, T, P]`, zero past the end of a case, and the state `(c, h)` after its last step.
    """

    def project(x: Tensor) -> Tensor:
        # The input's share of all steps is one large product; [x, h] @ kernel is the sum of the two shares.
        z = x @ weights.w_x
        for bias in (weights.b_x, weights.b_h):
            z = z if bias is None else z + bias
        return z

    def step(z_x: Tensor, state: State) -> tuple[Tensor, State]:
        c, h = state
        h, c = gates(z_x + h @ weights.w_h, c, cell, weights.peepholes)
        if weights.projection is not None:
            h = limited(h @ weights.projection, cell.projection_clip)
        return h, (c, h)

    outputs, final = over_steps(step, x, lengths, state, reverse, project)
    return (outputs if x.shape[1] else x.new_zeros(*x.shape[:2], state[1].shape[1])), final


def over_steps(
    step: Callable[[Tensor, Any], tuple[Tensor, Any]],
    x: Tensor,
    lengths: Tensor | None,
    state: Any,
    reverse: bool = False,
    project: Callable[[Tensor], Tensor] = lambda x: x,
) -> tuple[Tensor, Any]:
    """Run a function of one step over a batch of sequences of unequal length.

    Args:
        step: takes the input of one step and the state to an output and the next state.
        x: `[N, T, C]`.
        lengths: `[N]`, as `lengths_tensor` gives it; None where all have T.
        state: the starting state: tensors `[N, ...]` in tuples, lists or dicts.
        reverse: whether each case is read from its own last step to its first.
        project: what to do to x, in all steps at once, before the first step; its padding is zero by then.

    Returns:
        The outputs `[N, T, ...]`, zero past the end of a case, and the state after its last step.
    """
    T = x.shape[1]
    order = valid = None
    if lengths is not None:
        forward = torch.arange(T, device=x.device)
        valid = forward < lengths[:, None]
        # Zeroed before any arithmetic: 0 * NaN is NaN, in the way back too.
        x = torch.where(valid[:, :, None], x, 0.0)
        if reverse:
            order = torch.where(valid, lengths[:, None] - 1 - forward, forward)[:, :, None]
            x = torch.take_along_dim(x, order, dim=1)
    elif reverse:
        x = x.flip(1)

    outputs = []
    for t, x_t in enumerate(project(x).unbind(1)):
        output, after = step(x_t, state)
        state = after if valid is None else _carried(valid[:, t], after, state)
        outputs.append(output)
    stacked = torch.stack(outputs, 1) if outputs else x

    if valid is not None:
        stacked = torch.where(valid[:, :, None], stacked, 0.0)
    if order is not None:
        stacked = torch.take_along_dim(stacked, order, dim=1)
    elif reverse:
        stacked = stacked.flip(1)
    return stacked, state


def _carried(alive: Tensor, after: Any, before: Any) -> Any:
    """A case that has ended keeps its state."""
    return tree_map(lambda new, old: torch.where(alive.view(-1, *(1,) * (new.ndim - 1)), new, old), after, before)


class Normalised(NamedTuple):
    """Layer normalisation within a cell, as in TensorFlow 1's `LayerNormBasicLSTMCell`.

    Each pre-activation and the new cell state are brought to mean 0 and variance 1 over the units, then to a gain and a
    shift of their own (Ba, Kiros and Hinton, 2016).

    Attributes:
        gain: `[5, H]` for i, j, f, o and c.
        shift: the same.
        epsilon: added to the variance.
    """

    gain: Tensor
    shift: Tensor
    epsilon: float = 1e-5

    def of(self, values: Tensor, place: int) -> Tensor:
        """Normalise `[N, H]` with the gain and the shift of one place."""
        return layer_norm(values, values.shape[-1:], self.gain[place], self.shift[place], self.epsilon)


def gates(
    z: Tensor,
    c: Tensor,
    cell: Cell,
    peepholes: Tensor | None = None,
    norm: Normalised | None = None,
    keep: Tensor | None = None,
) -> State:
    """Turn `z = [x, h] @ kernel + bias` and the cell state into the next h, before any projection, and c.

        i, j, f, o = the quarters of z
        c' = clip(c * gate(f + forget_bias + p_f * c) + gate(i + p_i * c) * cell(j), cell_clip)
        h' = gate(o + p_o * c') * output(c')

    Args:
        z: `[N, 4H]`.
        c: `[N, H]`.
        cell: the functions and the limits.
        peepholes: `p_i, p_f, p_o` in one vector `[3H]`, or None.
        norm: how i, j, f, o and c' are normalised, or None.
        keep: what cell(j) is multiplied by, or None.
    """
    gate = ACTIVATIONS[cell.gate]
    i, j, f, o = z.chunk(4, dim=-1)
    if norm is not None:
        i, j, f, o = (norm.of(one, place) for place, one in enumerate((i, j, f, o)))
    f = f + cell.forget_bias
    p_o = None
    if peepholes is not None:
        p_i, p_f, p_o = peepholes.chunk(3)
        i, f = i + p_i * c, f + p_f * c
    i, j, f = (limited(one, cell.input_clip) for one in (i, j, f))
    candidate = ACTIVATIONS[cell.cell](j)
    candidate = candidate if keep is None else candidate * keep
    c = limited(c * gate(f) + gate(i) * candidate, cell.cell_clip)
    c = c if norm is None else norm.of(c, 4)
    o = o if p_o is None else o + p_o * c
    return ACTIVATIONS[cell.output](c) * gate(limited(o, cell.input_clip)), c


def limited(values: Tensor, clip: float | None) -> Tensor:
    """Clip the values to plus and minus `clip`, where there is one."""
    return values if clip is None else values.clamp(-clip, clip)


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
    if tensor.device != like.device:
        raise InputError(f"{name}: found on {tensor.device}, expected on {like.device}, where the kernel is")


def check_activation(name: str, what: str = "activation") -> None:
    """Refuse an activation that is not known.

    Raises:
        InputError: with the nearest name that is.
    """
    if name not in ACTIVATIONS:
        raise InputError(f"{what}: found {name!r}, which is not known; {suggest(name, ACTIVATIONS)}")
