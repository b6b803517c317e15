"""The GRU in NumPy: one step, a sequence, and the way back.

A step takes `x [N, C]` and the state `h [N, H]` to the next state. In the order z (update), r (reset), n (candidate):

    z = sigmoid(x @ W_z + h @ U_z + b_z)
    r = sigmoid(x @ W_r + h @ U_r + b_r)
    n = tanh(x @ W_n + b_xn + r * (h @ U_n + b_hn))     reset after the product: cuDNN, PyTorch, Keras 2
    n = tanh(x @ W_n + b_xn + (r * h) @ U_n + b_hn)     reset before it: TensorFlow 1, and the paper
    h' = z * h + (1 - z) * n

Sources: Cho et al. (2014), whose z and 1 - z are the other way round; the reset after the product is that of cuDNN.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from quadgate.cell.activations import Activation, activation
from quadgate.cell.batch import checked_array, checked_batch, reversed_steps, take_steps, valid_steps
from quadgate.cell.parameters import GRUParameters

Array = NDArray[Any]


class GRUStep(NamedTuple):
    """All that one step computes, each `[N, H]`; `x` and `h_before` are what it started from.

    `u_h` is `h @ U_n + b_hn`, which r multiplies where the reset is after the product.
    """

    x: Array
    h_before: Array
    z: Array
    r: Array
    u_h: Array
    n: Array
    h: Array


def gru_step(x: ArrayLike, h: ArrayLike, parameters: GRUParameters, dtype: DTypeLike = np.float64) -> GRUStep:
    """Take one step from `x [N, C]` and `h [N, H]`.

    Raises:
        InputError: an array whose shape does not fit.

    >>> step = gru_step([[1.0]], [[0.5]], GRUParameters(np.zeros((3, 1, 1)), np.zeros((3, 1, 1))))
    >>> step.h  # half of the old state, half of a candidate of zero
    array([[0.25]])
    """
    p = parameters
    N = len(np.asarray(x))
    return _step(
        checked_array("x", x, (N, p.inputs), dtype), checked_array("h", h, (N, p.units), dtype), _Cell.of(p, dtype)
    )


def gru(
    x: ArrayLike,
    parameters: GRUParameters,
    state: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, Array]:
    """Run a layer over a batch of sequences; lengths and `reverse` mean what they mean in `quadgate.cell.lstm`.

    Args:
        x: `[N, T, C]`.
        parameters: those of the layer.
        state: the starting `h [N, H]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.
        dtype: what everything is computed in.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the final `h [N, H]`.

    Raises:
        InputError: an array whose shape does not fit, or a length outside 0 to T.

    >>> outputs, h = gru(np.ones((2, 4, 1)), GRUParameters(np.ones((3, 1, 2)), np.ones((3, 2, 2))), lengths=[4, 2])
    >>> outputs.shape, bool(outputs[1, 2:].any()), bool((h[1] == outputs[1, 1]).all())
    ((2, 4, 2), False, True)
    """
    x, lengths = checked_batch(x, lengths, parameters.inputs, parameters.reverse, dtype)
    N, T, _ = x.shape
    h = checked_array("state", state, (N, parameters.units), dtype)
    steps, h = _forward(x, lengths, h, _Cell.of(parameters, dtype))
    outputs = np.zeros((N, T, parameters.units), dtype)
    for t, step in enumerate(steps):
        outputs[:, t] = step.h
    outputs[~valid_steps(lengths, T)] = 0
    if parameters.reverse:
        outputs = take_steps(outputs, reversed_steps(lengths, T))
    return outputs, h


def gru_backward(
    x: ArrayLike,
    parameters: GRUParameters,
    d_outputs: ArrayLike | None = None,
    d_state: ArrayLike | None = None,
    state: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, Array, GRUParameters]:
    """Carry the gradient of a scalar loss back through `gru`, which is run again for it.

    Args:
        x: as in `gru`, and so are `parameters`, `state`, `lengths` and `dtype`.
        parameters: those of the layer.
        d_outputs: `[N, T, H]`, the gradient of the loss with respect to the outputs; zero where there is none.
        d_state: `[N, H]`, the same for the final state.
        state: the starting state.
        lengths: `[N]`.
        dtype: what everything is computed in.

    Returns:
        The gradients with respect to `x`, the starting state, and each array of the parameters, the last in a
        `GRUParameters`.

    Raises:
        InputError: as in `gru`.

    >>> parameters = GRUParameters(np.ones((3, 1, 2)), np.ones((3, 2, 2)))
    >>> dx, dh, gradient = gru_backward(np.ones((2, 4, 1)), parameters, d_state=np.ones((2, 2)), lengths=[4, 2])
    >>> dx.shape, bool(dx[1, 2:].any()), gradient.w_h.shape
    ((2, 4, 1), False, (3, 2, 2))
    """
    p = parameters
    cell = _Cell.of(p, dtype)
    x, lengths = checked_batch(x, lengths, p.inputs, p.reverse, dtype)
    N, T, _ = x.shape
    h = checked_array("state", state, (N, p.units), dtype)
    d_h = checked_array("d_state", d_state, (N, p.units), dtype)
    d_outputs = checked_array("d_outputs", d_outputs, (N, T, p.units), dtype)
    if p.reverse:
        d_outputs = take_steps(d_outputs, reversed_steps(lengths, T))

    d_x = np.zeros_like(x)
    d_w_x, d_w_h, d_b_x, d_b_h = (np.zeros_like(array) for array in (cell.w_x, cell.w_h, cell.b_x, cell.b_h))
    valid = valid_steps(lengths, T)[:, :, None]
    steps, _ = _forward(x, lengths, h, cell)
    for t, step in reversed(list(enumerate(steps))):
        # A case that has ended lets the gradient of its state through and adds nothing of its own.
        alive = valid[:, t]
        d_step = _step_backward(step, np.where(alive, d_h + d_outputs[:, t], 0), cell)
        d_h = np.where(alive, d_step.h_before, d_h)
        d_x[:, t] = sum(d @ w.T for d, w in zip(d_step.of_x, cell.w_x, strict=True))
        for gate, (of_x, of_h, fed_back) in enumerate(zip(d_step.of_x, d_step.of_h, d_step.fed_back, strict=True)):
            d_w_x[gate] += step.x.T @ of_x
            d_w_h[gate] += fed_back.T @ of_h
            d_b_x[gate] += of_x.sum(axis=0)
            d_b_h[gate] += of_h.sum(axis=0)

    if p.reverse:
        d_x = take_steps(d_x, reversed_steps(lengths, T))
    gradient = replace(
        p,
        w_x=d_w_x,
        w_h=d_w_h,
        b_x=None if p.b_x is None else d_b_x,
        b_h=None if p.b_h is None else d_b_h,
    )
    return d_x, d_h, gradient


class _Cell(NamedTuple):
    """The parameters in one dtype, with zeros for a bias that is not there."""

    w_x: Array
    w_h: Array
    b_x: Array
    b_h: Array
    reset_after: bool
    gate: Activation
    candidate: Activation

    @classmethod
    def of(cls, p: GRUParameters, dtype: DTypeLike) -> _Cell:
        return cls(
            p.w_x.astype(dtype),
            p.w_h.astype(dtype),
            checked_array("b_x", p.b_x, (3, p.units), dtype),
            checked_array("b_h", p.b_h, (3, p.units), dtype),
            p.reset_after,
            activation(p.activations.gate),
            activation(p.activations.cell),
        )


class _StepGradient(NamedTuple):
    """For z, r, n: the gradients of what x and h bring to each, and what `U` was multiplied with; and that of h."""

    of_x: tuple[Array, Array, Array]
    of_h: tuple[Array, Array, Array]
    fed_back: tuple[Array, Array, Array]
    h_before: Array


def _step(x: Array, h: Array, cell: _Cell) -> GRUStep:
    (w_z, w_r, w_n), (u_z, u_r, u_n) = cell.w_x, cell.w_h
    (b_xz, b_xr, b_xn), (b_hz, b_hr, b_hn) = cell.b_x, cell.b_h
    z = cell.gate.function(x @ w_z + b_xz + h @ u_z + b_hz)
    r = cell.gate.function(x @ w_r + b_xr + h @ u_r + b_hr)
    if cell.reset_after:
        u_h = h @ u_n + b_hn
        n = cell.candidate.function(x @ w_n + b_xn + r * u_h)
    else:
        u_h = (r * h) @ u_n + b_hn
        n = cell.candidate.function(x @ w_n + b_xn + u_h)
    return GRUStep(x, h, z, r, u_h, n, z * h + (1 - z) * n)


def _step_backward(step: GRUStep, d_h: Array, cell: _Cell) -> _StepGradient:
    u_z, u_r, u_n = cell.w_h
    h = step.h_before
    d_n = d_h * (1 - step.z) * cell.candidate.slope(step.n)
    d_z = d_h * (h - step.n) * cell.gate.slope(step.z)
    if cell.reset_after:
        d_u_h, fed_back = d_n * step.r, h
        d_r = d_n * step.u_h * cell.gate.slope(step.r)
        d_through_n = d_u_h @ u_n.T
    else:
        d_u_h, fed_back = d_n, step.r * h
        d_reset = d_n @ u_n.T
        d_r = d_reset * h * cell.gate.slope(step.r)
        d_through_n = d_reset * step.r
    d_h_before = d_h * step.z + d_z @ u_z.T + d_r @ u_r.T + d_through_n
    return _StepGradient((d_z, d_r, d_n), (d_z, d_r, d_u_h), (h, h, fed_back), d_h_before)


def _forward(x: Array, lengths: NDArray[np.int64], h: Array, cell: _Cell) -> tuple[list[GRUStep], Array]:
    valid = valid_steps(lengths, x.shape[1])[:, :, None]
    steps = []
    for t in range(x.shape[1]):
        step = _step(x[:, t], h, cell)
        h = np.where(valid[:, t], step.h, h)
        steps.append(step)
    return steps, h
