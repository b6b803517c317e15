"""The network and the memory of N streams, below both kinds of stream."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.kernels import explain_choice
from quadgate.kernels.choice import computed_in
from quadgate.streaming.numpy_steps import NumpySteps
from quadgate.streaming.state import StreamState

if TYPE_CHECKING:
    from quadgate.model import Model

Array = NDArray[Any]


class Engine:
    """Packed weights and the state of N streams.

    Raises:
        InputError: a layer reads backwards, the layers are not one chain, or `output` is not known.
    """

    def __init__(self, model: Model, streams: int, output: str | None, many: bool) -> None:
        if streams < 1:
            raise InputError(f"streams: found {streams}, expected at least 1")
        self.model, self._many = model, many
        parameters = [_forward_only(layer, k) for k, layer in enumerate(model.layers)]
        head, self._probabilities = model.head_for(output)
        self.streams, self.inputs = streams, model.inputs
        self.width = parameters[-1].state_width if head is None else head.classes
        self.layers = [_zeros(one, streams) for one in parameters]
        self.carried = np.zeros((streams, 0 if head is None else head.carried_size))
        scaling = model.scaling
        if explain_choice().implementation == "compiled":
            from quadgate.kernels.cpu import PackedGRU, PackedLSTM, _native

            packed = [PackedLSTM(one) if isinstance(one, LSTMParameters) else PackedGRU(one) for one in parameters]
            self.steps: Any = _native.Stream(
                [(one.native, *arrays) for one, arrays in zip(packed, self.layers, strict=True)],
                None if scaling is None else scaling.mean,
                None if scaling is None else scaling.scale,
                None if head is None else head.native,
                self.carried if self.carried.size else None,
                self._probabilities,
                many,
            )
        else:
            self.steps = NumpySteps(
                parameters, self.layers, scaling, head, self.carried, self._probabilities, self.width, many
            )

    def samples(self, x: Any, steps: bool) -> Array:
        """Return samples in the form that a step takes: dense, in float32 or float64, `[N where many, T of steps, C]`.

        Raises:
            InputError: not numbers, or of another shape.
        """
        try:
            array = np.asarray(x)
        except ValueError:
            raise InputError("x: found lists of unequal lengths, expected numbers in an array") from None
        if array.dtype.kind not in "biuf":
            raise InputError(f"x: found dtype {array.dtype}, expected numbers")
        wanted = (*((self.streams,) if self._many else ()), *((None,) if steps else ()), self.inputs)
        if self.inputs == 1 and array.ndim == len(wanted) - 1:
            array = array[..., None]
        if array.ndim != len(wanted) or any(b not in (None, a) for a, b in zip(array.shape, wanted, strict=True)):
            shape = ", ".join("steps" if size is None else str(size) for size in wanted)
            raise InputError(f"x: found shape {array.shape}, expected ({shape}), {self.inputs} channels last")
        single = array.dtype == np.float32 or (array.dtype.kind in "biuf" and array.dtype.itemsize <= 2)
        return np.require(array, np.float32 if single else np.float64, ["C", "A"])

    def advance(self, x: Any, out: Array, steps: bool) -> Array:
        """Read samples and write the answers."""
        take = self.steps.run if steps else self.steps.step
        if not take(x, out) and not take(self.samples(x, steps), out):
            raise InputError("x: expected samples in an array")
        return out

    @property
    def arrays(self) -> list[Array]:
        """Every array of the state, each `[N, ...]`."""
        return [*(array for layer in self.layers for array in layer), self.carried]

    def reset(self, which: Any = slice(None)) -> None:
        """Forget everything, in all streams or in some."""
        for array in self.arrays:
            array[which] = 0

    @property
    def state(self) -> StreamState:
        """A copy of the state."""
        layers = tuple(tuple(array.copy() for array in layer) for layer in self.layers)
        return StreamState(layers, self.carried.copy(), self.digest)

    def restore(self, state: StreamState) -> None:
        """Go on from a state.

        Raises:
            InputError: it is of another model, or of another number of streams; nothing was changed.
        """
        if state.model != self.digest:
            raise InputError("state: found one of another model, expected one that this model's stream gave")
        mine = self.arrays
        given = [*(array for layer in state.layers for array in layer), state.carried]
        found, expected = ([(a.shape, a.dtype.name) for a in arrays] for arrays in (given, mine))
        if found != expected:
            raise InputError(f"state: found {found}, expected {expected}: as many streams and the same output")
        for array, one in zip(mine, given, strict=True):
            array[...] = one

    @cached_property
    def digest(self) -> str:
        """Tell models apart: a digest of everything that decides an answer."""
        model = self.model
        total = hashlib.sha256(repr((model.cells, model.head)).encode())
        for name in model.variables:
            array = model.variables[name]
            total.update(f"{name} {array.dtype} {array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        if model.scaling is not None:
            total.update(model.scaling.mean.tobytes() + model.scaling.scale.tobytes())
        return total.hexdigest()[:32]


def _forward_only(layer: tuple[LSTMParameters | GRUParameters, ...], k: int) -> LSTMParameters | GRUParameters:
    if len(layer) > 1 or layer[0].reverse:
        how = "in both directions" if len(layer) > 1 else "backwards"
        raise InputError(
            f"model: layer {k} reads {how}, so its answer needs the end of the series, which a stream has not; "
            "expected forward layers alone: give whole series to model.run"
        )
    return layer[0]


def _zeros(one: LSTMParameters | GRUParameters, streams: int) -> tuple[Array, ...]:
    widths = (one.units, one.state_width) if isinstance(one, LSTMParameters) else (one.units,)
    return tuple(np.zeros((streams, width), computed_in(one)) for width in widths)
