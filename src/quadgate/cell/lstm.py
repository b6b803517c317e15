"""The LSTM in NumPy: one step, a sequence, and the way back. Every fast implementation is judged by this file.

A step takes the input `x [N, C]` and the state, `c [N, H]` and `h [N, H]`, to the next state. It is one matrix product,
cut into four gates:

    z = [x, h] @ kernel + bias                          [N, 4H]
    z_i, z_j, z_f, z_o = the four quarters of z
    i = sigmoid(z_i)      what is let in
    j = tanh(z_j)         the candidate: what there is to let in
    f = sigmoid(z_f + forget_bias)                      what is kept
    o = sigmoid(z_o)      what is shown
    c' = f * c + i * j
    h' = o * tanh(c')

The options that a framework may add, at the place where each acts:

    peepholes          z_i + p_i * c,  z_f + forget_bias + p_f * c,  z_o + p_o * c'     (o looks at the new, clipped c')
    input_clip         each z, with all that was added to it, is limited before its function
    cell_clip          c' is limited
    projection         h' = (o * tanh(c')) @ projection,  so h is [N, P]
    projection_clip    the projected h' is limited

Sources: Hochreiter and Schmidhuber (1997); Gers, Schmidhuber and Cummins (2000) for the forget gate; Gers and
Schmidhuber (2000) for peepholes; Sak, Senior and Beaufays (2014) for the projection. Order and details are those of
TensorFlow 1's `BasicLSTMCell` and `LSTMCell`; the input clip is that of ONNX.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from quadgate.cell.activations import Activation, activation
from quadgate.cell.batch import checked_array, checked_batch, reversed_steps, take_steps, valid_steps
from quadgate.cell.parameters import LSTMParameters

Array = NDArray[Any]
State = tuple[Array, Array]


class Step(NamedTuple):
    """All that one step computes.

    `i, j, f, o`, the new state `c` and `tanh_c = tanh(c)` are `[N, H]`, the new `h` is `[N, P]`. `xh [N, C+P]` and
    `c_before` are what the step started from. The rest is what the functions and the limits were given: `z [N, 4H]`,
    `c_open` before `cell_clip`, `shown = o * tanh(c)` before the projection, `h_open` before `projection_clip`.
    """

    xh: Array
    c_before: Array
    z: Array
    i: Array
    j: Array
    f: Array
    o: Array
    c_open: Array
    c: Array
    tanh_c: Array
    shown: Array
    h_open: Array
    h: Array


def lstm_step(
    x: ArrayLike, c: ArrayLike, h: ArrayLike, parameters: LSTMParameters, dtype: DTypeLike = np.float64
) -> Step:
    """Take one step.

    Args:
        x: `[N, C]`.
        c: `[N, H]`.
        h: `[N, P]`; P is H where there is no projection.
        parameters: those of the layer.
        dtype: what everything is computed in.

    Raises:
        InputError: an array whose shape does not fit.

    >>> step = lstm_step([[1.0]], [[0.5]], [[0.0]], LSTMParameters.from_kernel(np.zeros((2, 4)), np.zeros(4)))
    >>> f = 1 / (1 + np.exp(-1.0))  # with weights of zero, only the forget bias of 1 reaches a gate
    >>> bool(np.isclose(step.c, f * 0.5)), bool(np.isclose(step.h, 0.5 * np.tanh(f * 0.5)))
    (True, True)
    """
    p = parameters
    N = len(np.asarray(x))
    return _step(
        checked_array("x", x, (N, p.inputs), dtype),
        checked_array("c", c, (N, p.units), dtype),
        checked_array("h", h, (N, p.state_width), dtype),
        _Cell.of(p, dtype),
    )


def lstm(
    x: ArrayLike,
    parameters: LSTMParameters,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, State]:
    """Run a layer over a batch of sequences.

    Past the end of a case its outputs are zero and its state is carried, so that the final state is that of its last
    step; a case of length 0 ends as it started. What stands in the padding has no influence. A reversed layer reads
    each case from its own last step to its first, and its output at t belongs to the input at t.

    Args:
        x: `[N, T, C]`.
        parameters: those of the layer.
        state: the starting `c [N, H]` and `h [N, P]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.
        dtype: what everything is computed in.

    Returns:
        The outputs `[N, T, P]`, and the final `(c [N, H], h [N, P])`.

    Raises:
        InputError: an array whose shape does not fit, or a length outside 0 to T.

    >>> parameters = LSTMParameters.from_kernel(np.full((3, 8), 0.1), np.zeros(8))
    >>> outputs, (c, h) = lstm(np.ones((2, 4, 1)), parameters, lengths=[4, 2])
    >>> outputs.shape, bool(outputs[1, 2:].any()), bool((h[1] == outputs[1, 1]).all())
    ((2, 4, 2), False, True)
    """
    x, lengths, (c, h), cell = _prepared(x, state, lengths, parameters, dtype)
    steps, final = _forward(x, lengths, c, h, cell)
    outputs = np.zeros((*x.shape[:2], parameters.state_width), dtype)
    for t, step in enumerate(steps):
        outputs[:, t] = step.h
    outputs[~valid_steps(lengths, x.shape[1])] = 0
    if parameters.reverse:
        outputs = take_steps(outputs, reversed_steps(lengths, x.shape[1]))
    return outputs, final


def lstm_backward(
    x: ArrayLike,
    parameters: LSTMParameters,
    d_outputs: ArrayLike | None = None,
    d_state: tuple[ArrayLike, ArrayLike] | None = None,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, State, LSTMParameters]:
    """Carry the gradient of a scalar loss back through `lstm`, which is run again for it.

    Args:
        x: as in `lstm`, and so are `parameters`, `state`, `lengths` and `dtype`.
        parameters: those of the layer.
        d_outputs: `[N, T, P]`, the gradient of the loss with respect to the outputs; zero where there is none.
        d_state: the same for the final `c` and `h`.
        state: the starting state.
        lengths: `[N]`.
        dtype: what everything is computed in.

    Returns:
        The gradients with respect to `x`, the starting `(c, h)`, and each array of the parameters. The last are in an
        `LSTMParameters` whose other fields are those of `parameters`; both biases, where there are two, get the same.

    Raises:
        InputError: as in `lstm`.

    >>> parameters = LSTMParameters.from_kernel(np.full((3, 8), 0.1), np.zeros(8))
    >>> dx, _, gradient = lstm_backward(np.ones((2, 4, 1)), parameters, d_outputs=np.ones((2, 4, 2)), lengths=[4, 2])
    >>> dx.shape, bool(dx[1, 2:].any()), gradient.kernel.shape
    ((2, 4, 1), False, (3, 8))
    """
    p = parameters
    x, lengths, (c, h), cell = _prepared(x, state, lengths, p, dtype)
    N, T, C = x.shape
    d_outputs = checked_array("d_outputs", d_outputs, (N, T, p.state_width), dtype)
    d_c, d_h = _checked_state("d_state", d_state, N, p, dtype)
    if p.reverse:
        d_outputs = take_steps(d_outputs, reversed_steps(lengths, T))

    d_x = np.zeros_like(x)
    d_kernel, d_bias, d_peepholes = np.zeros_like(cell.kernel), np.zeros_like(cell.bias), np.zeros_like(cell.peepholes)
    d_projection = np.zeros((p.units, p.state_width), dtype)
    valid = valid_steps(lengths, T)[:, :, None]
    steps, _ = _forward(x, lengths, c, h, cell)
    for t, step in reversed(list(enumerate(steps))):
        # A case that has ended lets the gradient of its state through and adds nothing of its own.
        alive = valid[:, t]
        d_z, d_c_before, d_h_open = _step_backward(
            step, np.where(alive, d_c, 0), np.where(alive, d_h + d_outputs[:, t], 0), cell
        )
        d_xh = d_z @ cell.kernel.T
        d_x[:, t] = d_xh[:, :C]
        d_c = np.where(alive, d_c_before, d_c)
        d_h = np.where(alive, d_xh[:, C:], d_h)

        d_kernel += step.xh.T @ d_z
        d_bias += d_z.sum(axis=0)
        d_i, _, d_f, d_o = np.split(d_z, 4, axis=1)
        d_peepholes += [(d_i * step.c_before).sum(0), (d_f * step.c_before).sum(0), (d_o * step.c).sum(0)]
        d_projection += step.shown.T @ d_h_open

    if p.reverse:
        d_x = take_steps(d_x, reversed_steps(lengths, T))
    d_gates = d_kernel.reshape(-1, 4, p.units).swapaxes(0, 1)
    gradient = replace(
        p,
        w_x=d_gates[:, :C],
        w_h=d_gates[:, C:],
        b_x=None if p.b_x is None else d_bias.reshape(4, -1),
        b_h=None if p.b_h is None else d_bias.reshape(4, -1),
        peepholes=None if p.peepholes is None else d_peepholes,
        projection=None if p.projection is None else d_projection,
    )
    return d_x, (d_c, d_h), gradient


class _Cell(NamedTuple):
    """The parameters in one dtype, as the equations use them; what is not there is filled in to change nothing."""

    kernel: Array
    bias: Array
    forget_bias: float
    peepholes: Array
    projection: Array | None
    input_clip: float
    cell_clip: float
    projection_clip: float
    gate: Activation
    candidate: Activation
    output: Activation

    @classmethod
    def of(cls, p: LSTMParameters, dtype: DTypeLike) -> _Cell:
        b_x, b_h = (checked_array("bias", b, (4, p.units), dtype) for b in (p.b_x, p.b_h))
        return cls(
            kernel=p.kernel.astype(dtype),
            bias=(b_x + b_h).reshape(-1),
            forget_bias=p.forget_bias,
            peepholes=checked_array("peepholes", p.peepholes, (3, p.units), dtype),
            projection=None if p.projection is None else p.projection.astype(dtype),
            input_clip=_limit(p.input_clip),
            cell_clip=_limit(p.cell_clip),
            projection_clip=_limit(p.projection_clip),
            gate=activation(p.activations.gate),
            candidate=activation(p.activations.cell),
            output=activation(p.activations.output),
        )


def _step(x: Array, c: Array, h: Array, cell: _Cell) -> Step:
    p_i, p_f, p_o = cell.peepholes
    xh = np.concatenate([x, h], axis=1)
    z_i, z_j, z_f, z_o = np.split(xh @ cell.kernel + cell.bias, 4, axis=1)
    z_i = z_i + p_i * c
    z_f = z_f + cell.forget_bias + p_f * c
    i = cell.gate.function(_clip(z_i, cell.input_clip))
    j = cell.candidate.function(_clip(z_j, cell.input_clip))
    f = cell.gate.function(_clip(z_f, cell.input_clip))

    c_open = f * c + i * j
    c_new = _clip(c_open, cell.cell_clip)
    z_o = z_o + p_o * c_new
    o = cell.gate.function(_clip(z_o, cell.input_clip))
    tanh_c = cell.output.function(c_new)

    shown = o * tanh_c
    h_open = shown if cell.projection is None else shown @ cell.projection
    h_new = _clip(h_open, cell.projection_clip)
    z = np.concatenate([z_i, z_j, z_f, z_o], axis=1)
    return Step(xh, c, z, i, j, f, o, c_open, c_new, tanh_c, shown, h_open, h_new)


def _step_backward(step: Step, d_c: Array, d_h: Array, cell: _Cell) -> tuple[Array, Array, Array]:
    """Return the gradients of z `[N, 4H]`, of the cell state before the step, and of h before its clip."""
    p_i, p_f, p_o = cell.peepholes
    in_i, in_j, in_f, in_o = np.split(_within(step.z, cell.input_clip), 4, axis=1)

    d_h_open = d_h * _within(step.h_open, cell.projection_clip)
    d_shown = d_h_open if cell.projection is None else d_h_open @ cell.projection.T
    d_o = d_shown * step.tanh_c * cell.gate.slope(step.o) * in_o
    d_c = d_c + d_shown * step.o * cell.output.slope(step.tanh_c) + d_o * p_o

    d_c = d_c * _within(step.c_open, cell.cell_clip)
    d_i = d_c * step.j * cell.gate.slope(step.i) * in_i
    d_j = d_c * step.i * cell.candidate.slope(step.j) * in_j
    d_f = d_c * step.c_before * cell.gate.slope(step.f) * in_f
    d_c_before = d_c * step.f + d_i * p_i + d_f * p_f
    return np.concatenate([d_i, d_j, d_f, d_o], axis=1), d_c_before, d_h_open


def _forward(x: Array, lengths: NDArray[np.int64], c: Array, h: Array, cell: _Cell) -> tuple[list[Step], State]:
    """Take every step with every case; a case that has ended keeps its state, whatever its step came to."""
    valid = valid_steps(lengths, x.shape[1])[:, :, None]
    steps = []
    for t in range(x.shape[1]):
        step = _step(x[:, t], c, h, cell)
        c = np.where(valid[:, t], step.c, c)
        h = np.where(valid[:, t], step.h, h)
        steps.append(step)
    return steps, (c, h)


def _prepared(
    x: ArrayLike,
    state: tuple[ArrayLike, ArrayLike] | None,
    lengths: ArrayLike | None,
    p: LSTMParameters,
    dtype: DTypeLike,
) -> tuple[Array, NDArray[np.int64], State, _Cell]:
    """Check all input; return x with its padding zeroed and, for a reversed layer, in the order of reading."""
    x, lengths = checked_batch(x, lengths, p.inputs, p.reverse, dtype)
    return x, lengths, _checked_state("state", state, len(x), p, dtype), _Cell.of(p, dtype)


def _checked_state(
    name: str, state: tuple[ArrayLike, ArrayLike] | None, N: int, p: LSTMParameters, dtype: DTypeLike
) -> State:
    c, h = state or (None, None)
    return (
        checked_array(f"{name} c", c, (N, p.units), dtype),
        checked_array(f"{name} h", h, (N, p.state_width), dtype),
    )


def _limit(clip: float | None) -> float:
    return np.inf if clip is None else clip


def _clip(values: Array, limit: float) -> Array:
    return np.clip(values, -limit, limit)


def _within(values: Array, limit: float) -> Array:
    """Where a clip lets the gradient pass: within its limits, the limits included, as in TensorFlow."""
    return np.abs(values) <= limit
