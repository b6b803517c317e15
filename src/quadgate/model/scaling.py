"""The scaling of channels that belongs to a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scaling:
    """`(x - mean) / scale` for each channel, as it was fitted on the training part.

    Attributes:
        mean: `[C]`, kept as float64.
        scale: `[C]`, kept as float64, above zero.

    Raises:
        InputError: the two are not vectors of one length, or a number is not finite, or a scale is not above zero.

    >>> Scaling(mean=[1.0, 0.0], scale=[2.0, 1.0]).apply(np.array([[3.0, 5.0]]))
    array([[1., 5.]], dtype=float32)
    """

    mean: Array
    scale: Array

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise InputError(f"scaling: found mean {self.mean.shape} and scale {self.scale.shape}, expected [C] both")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise InputError("scaling: found a number that is not finite or a scale that is not above zero")

    def apply(self, x: Array) -> Array:
        """Return the scaled series `[..., C]`, computed in float64 and rounded once to float32."""
        return ((x - self.mean) / self.scale).astype(np.float32)
