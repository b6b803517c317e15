"""The steps of streams in NumPy, where the compiled kernels were not built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.kernels import gru, lstm
from quadgate.kernels.head import Head

if TYPE_CHECKING:
    from quadgate.model import Scaling

Array = NDArray[Any]


class NumpySteps:
    """As the compiled `Stream`: `step` and `run` return False, and do nothing, for what is not an array of samples.

    Args:
        streams: N.
        inputs: C.
        width: K.
        scaling: of the samples, or None.
        many: whether samples come with an axis of streams.
        answers: takes samples `[N, T, C]` in float32, scaled and finite, and returns the answers `[N, T, K]`.
    """

    def __init__(
        self,
        streams: int,
        inputs: int,
        width: int,
        scaling: Scaling | None,
        many: bool,
        answers: Callable[[Array], Array],
    ) -> None:
        self._streams, self._inputs, self._width, self._many = streams, inputs, width, many
        self._scaling, self._answers = scaling, answers

    def step(self, x: Any, out: Array) -> bool:
        """Read one sample of each stream and write the answers."""
        return self._advance(x, out, ())

    def run(self, x: Any, out: Array) -> bool:
        """Read a chunk of each stream and write the answers after each sample."""
        return self._advance(x, out, (-1,))

    def _advance(self, x: Any, out: Array, steps: tuple[int, ...]) -> bool:
        streams = (self._streams,) if self._many else ()
        if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64):
            return False
        if x.ndim != len(streams) + len(steps) + 1 or x.shape[-1] != self._inputs or x.shape[: len(streams)] != streams:
            return False
        expected = (*x.shape[:-1], self._width)
        if out.shape != expected or out.dtype != np.float32 or not out.flags.writeable or not out.flags.c_contiguous:
            raise InputError(f"out: expected a dense float32 array that can be written, of shape {expected}")
        values = x.reshape(self._streams, -1, self._inputs)
        with np.errstate(over="ignore"):
            scaled = values.astype(np.float32) if self._scaling is None else self._scaling.apply(values)
        self._check(values, scaled, bool(steps))
        out[...] = self._answers(scaled).reshape(expected)
        return True

    def _check(self, values: Array, scaled: Array, steps: bool) -> None:
        bad = np.argwhere(~np.isfinite(scaled))
        if len(bad):
            n, t, k = (int(i) for i in bad[0])
            place = (f" stream {n}," if self._many else "") + (f" step {t}," if steps else "")
            raise InputError(
                f"x: found {values[n, t, k]:g} at{place} channel {k}, expected finite numbers within float32; "
                "nothing was read: fill or drop the sample"
            )


class StepByStep:
    """One network: its layers, their state, and its head."""

    def __init__(
        self,
        parameters: Sequence[LSTMParameters | GRUParameters],
        layers: Sequence[tuple[Array, ...]],
        head: Head | None,
        carried: Array,
        probabilities: bool,
    ) -> None:
        self._parameters, self._layers = parameters, layers
        self._head, self._carried, self._probabilities = head, carried, probabilities

    def answers(self, values: Array) -> Array:
        """Take samples `[N, T, C]` and return the answer after each, `[N, T, K]`."""
        for one, state in zip(self._parameters, self._layers, strict=True):
            if isinstance(one, LSTMParameters):
                outputs, final = lstm(values, one, (state[0], state[1]))
            else:
                outputs, h = gru(values, one, state[0])
                final = (h,)  # type: ignore[assignment]
            for array, new in zip(state, final, strict=True):
                array[...] = new
            values = outputs.astype(np.float32)
        if self._head is None:
            return values
        answers = [self._head.step(values[:, t], self._carried, self._probabilities) for t in range(values.shape[1])]
        return np.stack(answers, axis=1) if answers else np.zeros((len(values), 0, self._head.classes), np.float32)
