"""Layers and batches with different numbers in every gate, for the tests of the kernels."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np

from quadgate import cell
from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.kernels import cpu


@dataclass(frozen=True)
class Problem:
    """A layer, a batch, a starting state, and what a loss hands back."""

    x: np.ndarray
    parameters: LSTMParameters | GRUParameters
    state: tuple[np.ndarray, ...]  # c and h, or h alone
    lengths: np.ndarray | None
    d_outputs: np.ndarray
    d_state: tuple[np.ndarray, ...]


def problem(N, T, C, H, dtype=np.float32, lengths=None, scale=1.0, seed=3, projection=None, peepholes=False, **options):
    rng = np.random.default_rng(seed)
    P = projection or H

    def draw(*shape, size=1.0):
        return (rng.standard_normal(shape) * size * scale).astype(dtype)

    parameters = LSTMParameters(
        w_x=draw(4, C, H, size=1 / np.sqrt(C)),
        w_h=draw(4, P, H, size=1 / np.sqrt(P)),
        b_x=draw(4, H, size=0.5),
        forget_bias=0.75,
        projection=draw(H, P, size=1 / np.sqrt(H)) if projection else None,
        peepholes=draw(3, H, size=0.5) if peepholes else None,
        **options,
    )
    return Problem(
        x=rng.standard_normal((N, T, C)).astype(dtype),
        parameters=parameters,
        state=(rng.standard_normal((N, H)).astype(dtype), rng.standard_normal((N, P)).astype(dtype)),
        lengths=None if lengths is None else np.asarray(lengths, np.int64),
        d_outputs=rng.standard_normal((N, T, P)).astype(dtype),
        d_state=(rng.standard_normal((N, H)).astype(dtype), rng.standard_normal((N, P)).astype(dtype)),
    )


def gru_problem(N, T, C, H, dtype=np.float32, lengths=None, scale=1.0, seed=3, **options):
    rng = np.random.default_rng(seed)

    def draw(*shape, size=1.0):
        return (rng.standard_normal(shape) * size).astype(dtype)

    parameters = GRUParameters(
        w_x=draw(3, C, H, size=scale / np.sqrt(C)),
        w_h=draw(3, H, H, size=scale / np.sqrt(H)),
        b_x=draw(3, H, size=scale / 2),
        b_h=draw(3, H, size=scale / 2),
        **options,
    )
    return Problem(
        x=draw(N, T, C),
        parameters=parameters,
        state=(draw(N, H),),
        lengths=None if lengths is None else np.asarray(lengths, np.int64),
        d_outputs=draw(N, T, H),
        d_state=(draw(N, H),),
    )


PROBLEMS = {
    "LSTM": problem,
    "GRU": partial(gru_problem, reset_after=True),
    "GRU, reset before": partial(gru_problem, reset_after=False),
}


def _called(function_of_lstm, function_of_gru, one, *before, **options):
    """Call with the state in the form that the layer has it."""
    if isinstance(one.parameters, LSTMParameters):
        return function_of_lstm(one.x, one.parameters, *before, one.state, one.lengths, **options)
    return function_of_gru(one.x, one.parameters, *before, one.state[0], one.lengths, **options)


def _flat(results):
    return [part for result in results for part in (result if isinstance(result, tuple) else (result,))]


def forward(one: Problem, lstm=cpu.lstm_forward, gru=cpu.gru_forward, **options) -> list[np.ndarray]:
    """The outputs and each part of the final state."""
    return _flat(_called(lstm, gru, one, **options))


def backward(one: Problem, lstm=cpu.lstm_backward, gru=cpu.gru_backward, **options) -> dict[str, np.ndarray]:
    """The gradients by name: of x, of each part of the starting state, of each array."""
    d_state = one.d_state if len(one.d_state) > 1 else one.d_state[0]
    d_x, d_start, gradient = _called(lstm, gru, one, one.d_outputs, d_state, **options)
    parts = _flat([d_start])
    return {"x": d_x, **dict(zip("ch"[-len(parts) :], parts, strict=True)), **arrays_of(gradient)}


def judged_forward(one: Problem, **options) -> list[np.ndarray]:
    """What the reference in float64 finds."""
    return forward(one, cell.lstm, cell.gru, **options)


def judged_backward(one: Problem, **options) -> dict[str, np.ndarray]:
    """What the reference in float64 finds."""
    return backward(one, cell.lstm_backward, cell.gru_backward, **options)


def arrays_of(parameters: LSTMParameters | GRUParameters) -> dict[str, np.ndarray]:
    """The arrays of a layer, or of its gradient, by name."""
    found = {field.name: getattr(parameters, field.name) for field in fields(parameters)}
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def cases_of(one: Problem, places) -> Problem:
    """The batch of the named cases alone."""
    return replace(
        one,
        x=one.x[places],
        state=tuple(part[places] for part in one.state),
        lengths=None if one.lengths is None else one.lengths[places],
        d_outputs=one.d_outputs[places],
        d_state=tuple(part[places] for part in one.d_state),
    )
