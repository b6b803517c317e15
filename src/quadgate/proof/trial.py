"""Recurrent layers side by side: run by the float64 reference on inputs that show every difference.

A wrong gate order, a lost bias or a missing transpose passes a careless test: one step from a state of zero never looks
at the forget gate, and small inputs stay where every gate is a straight line. So a trial starts from a random state,
takes several steps over cases of unequal lengths, and scales the inputs of some cases until the gates saturate, and the
cell state of one until the clips act.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters, gru, lstm

Array = NDArray[Any]
Parameters = LSTMParameters | GRUParameters

STEPS = 7
LENGTHS = (7, 3, 5, 1, 6)
REACHES = (0.5, 1.0, 3.0, 1.0, 6.0)  # the size of the input's part of a pre-activation, for each case
TOLERANCE = 1e-5  # float32 numbers, folded biases and seven steps of feedback stay well below it


@dataclass(frozen=True, eq=False)
class Trial:
    """What every layer of the same sizes is given.

    Attributes:
        x: `[N, T, C]`.
        lengths: `[N]`, unequal.
        c: `[N, H]`, the starting cell state; a GRU has none and does not look at it.
        h: `[N, P]`, the starting output.
    """

    x: Array
    lengths: Array
    c: Array
    h: Array

    @classmethod
    def of(cls, *layers: Parameters, seed: int = 0) -> Trial:
        """Draw a trial for layers of the same sizes: it brings their gates out of their linear zone.

        >>> trial = Trial.of(LSTMParameters.from_kernel(np.ones((5, 8)), None))
        >>> trial.x.shape, trial.lengths.tolist(), trial.c.shape
        ((5, 7, 3), [7, 3, 5, 1, 6], (5, 2))
        """
        rng = np.random.default_rng(seed)
        C, H, N = layers[0].inputs, layers[0].units, len(LENGTHS)
        spread = max(_spread(layer) for layer in layers)
        scales = np.clip(np.array(REACHES) / spread, 1.0, 100.0) if spread > 0 else np.ones(N)
        c = rng.normal(size=(N, H))
        clips = [layer.cell_clip for layer in layers if isinstance(layer, LSTMParameters) and layer.cell_clip]
        c[-1] *= 2 * max([0.5, *clips])
        return cls(
            x=scales[:, None, None] * rng.normal(size=(N, STEPS, C)),
            lengths=np.array(LENGTHS),
            c=c,
            h=rng.uniform(-1, 1, size=(N, layers[0].w_h.shape[1])),
        )

    def __str__(self) -> str:
        N, T, C = self.x.shape
        return (
            f"{N} cases of {T} steps or fewer, {C} inputs of up to {np.abs(self.x).max():.1f}, "
            "from a random state, in float64"
        )


@dataclass(frozen=True)
class Difference:
    """The largest absolute differences of two layers on the same trial, and the size of the numbers compared."""

    outputs: float
    state: float
    size: float = 1.0

    @property
    def largest(self) -> float:
        """The larger of both; NaN where either is."""
        return float(np.maximum(self.outputs, self.state))

    def within(self, tolerance: float = TOLERANCE) -> bool:
        """Whether the layers agree; numbers above 1 are compared relative to their size. NaN agrees with nothing."""
        return bool(self.largest <= tolerance * max(1.0, self.size))


def run(parameters: Parameters, trial: Trial) -> tuple[Array, Array]:
    """Run a layer on a trial; return its outputs `[N, T, P]` and its final state, c and h side by side."""
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(parameters, GRUParameters):
            return gru(trial.x, parameters, trial.h, trial.lengths)
        outputs, (c, h) = lstm(trial.x, parameters, (trial.c, trial.h), trial.lengths)
    return outputs, np.concatenate([c, h], axis=1)


def comparable(a: Parameters, b: Parameters) -> bool:
    """Whether both are the same kind of cell with the same sizes C, H and P."""
    return sizes(a) == sizes(b)


def sizes(layer: Parameters) -> tuple[str, int, int, int]:
    """The kind of a layer and its sizes C, H and P."""
    kind = "gru" if isinstance(layer, GRUParameters) else "lstm"
    return kind, layer.inputs, layer.units, int(layer.w_h.shape[1])


def compare(a: Parameters, b: Parameters, seed: int = 0) -> Difference:
    """Run two layers of the same sizes on the same trial.

    Only what they compute is compared, so where a bias is kept (with the input, with the state, added while running)
    makes no difference.

    Returns:
        The largest differences; of infinite size where the layers are not `comparable`.

    >>> kernel, bias = np.arange(20.0).reshape(5, 4) / 20, np.ones(4)
    >>> added = LSTMParameters.from_kernel(kernel, bias, forget_bias=1.0)
    >>> stored = LSTMParameters.from_kernel(kernel, bias + [0, 0, 1, 0], forget_bias=0.0)
    >>> lost = LSTMParameters.from_kernel(kernel, bias, forget_bias=0.0)
    >>> compare(added, stored).within(), compare(added, lost).within()
    (True, False)
    """
    if not comparable(a, b):
        return Difference(np.inf, np.inf)
    trial = Trial.of(a, b, seed=seed)
    return difference(run(a, trial), run(b, trial))


def difference(a: tuple[Array, Array], b: tuple[Array, Array]) -> Difference:
    """Compare the outputs and the final states of two runs of the same trial."""
    with np.errstate(invalid="ignore"):
        outputs, state = (float(np.max(np.abs(one - other), initial=0.0)) for one, other in zip(a, b, strict=True))
    return Difference(outputs, state, float(np.max(np.abs(a[1]), initial=0.0)))


def _spread(layer: Parameters) -> float:
    """The size of a pre-activation where the inputs are of size one."""
    return float(np.sqrt(np.mean(np.square(layer.w_x, dtype=np.float64)) * layer.inputs))
