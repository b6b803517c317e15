"""Layers and batches with different numbers in every gate, for the tests of the kernels."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from quadgate.cell import LSTMParameters


@dataclass(frozen=True)
class Problem:
    """A layer, a batch, a starting state, and what a loss hands back."""

    x: np.ndarray
    parameters: LSTMParameters
    state: tuple[np.ndarray, np.ndarray]
    lengths: np.ndarray | None
    d_outputs: np.ndarray
    d_state: tuple[np.ndarray, np.ndarray]


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


def arrays_of(parameters: LSTMParameters) -> dict[str, np.ndarray]:
    """The arrays of a layer, or of its gradient, by name."""
    found = {field.name: getattr(parameters, field.name) for field in fields(parameters)}
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def cases_of(one: Problem, places) -> Problem:
    """The batch of the named cases alone."""
    return replace(
        one,
        x=one.x[places],
        state=(one.state[0][places], one.state[1][places]),
        lengths=None if one.lengths is None else one.lengths[places],
        d_outputs=one.d_outputs[places],
        d_state=(one.d_state[0][places], one.d_state[1][places]),
    )
