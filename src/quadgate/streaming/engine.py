"""The network and the memory of N streams, below both kinds of stream."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.kernels import explain_choice
from quadgate.kernels.choice import computed_in
from quadgate.streaming.numpy_steps import NumpySteps, StepByStep
from quadgate.streaming.state import StreamState

if TYPE_CHECKING:
    from quadgate.model import Ensemble, Model

Array = NDArray[Any]

_NEEDS_ALL = (
    "so the answer after a step would need steps that have not come; expected forward layers alone: give whole series "
    "to model.run, or train with --preset stream"
)


class Engine:
    """Packed weights and the state of N streams.

    Attributes:
        width: K, the numbers of an answer.
        layers: the state: by layer, arrays `[N, ...]`.
        carried: `[N, W]` float64, what the pooling has gathered.
        steps: what reads samples: `step(x, out)` and `run(x, out)`, see `NumpySteps`.

    Raises:
        InputError: a layer reads backwards, the layers are not one chain, or `output` is not known.
    """

    def __init__(self, model: Model | Ensemble, streams: int, output: str | None, many: bool) -> None:
        from quadgate.model import Ensemble

        if streams < 1:
            raise InputError(f"streams: found {streams}, expected at least 1")
        check_streams(model)
        self.model, self._many = model, many
        self.streams, self.inputs = streams, model.inputs
        if isinstance(model, Ensemble):
            self._read_with_all(model, output)
        else:
            self._read_with_one(model, output)

    def _read_with_all(self, ensemble: Ensemble, output: str | None) -> None:
        from quadgate.streaming.together import Together

        together = Together(ensemble, self.streams, ensemble.choose(output))
        self.width, self.layers = int(ensemble.classes or 0), together.layers
        self.carried = np.zeros((self.streams, 0))
        self.steps: Any = NumpySteps(
            self.streams, self.inputs, self.width, ensemble.scaling, self._many, together.answers
        )

    def _read_with_one(self, model: Model, output: str | None) -> None:
        streams, many = self.streams, self._many
        parameters = [layer[0] for layer in model.layers]
        head, probabilities = model.head_for(output)
        self.width = parameters[-1].state_width if head is None else head.classes
        self.layers = [_zeros(one, streams) for one in parameters]
        self.carried = np.zeros((streams, 0 if head is None else head.carried_size))
        scaling = model.scaling
        if explain_choice().implementation == "compiled":
            from quadgate.kernels.cpu import PackedGRU, PackedLSTM, _native

            packed = [PackedLSTM(one) if isinstance(one, LSTMParameters) else PackedGRU(one) for one in parameters]
            self.steps = _native.Stream(
                [(one.native, *arrays) for one, arrays in zip(packed, self.layers, strict=True)],
                None if scaling is None else scaling.mean,
                None if scaling is None else scaling.scale,
                None if head is None else head.native,
                self.carried if self.carried.size else None,
                probabilities,
                many,
            )
        else:
            answers = StepByStep(parameters, self.layers, head, self.carried, probabilities).answers
            self.steps = NumpySteps(streams, self.inputs, self.width, scaling, many, answers)

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
        import hashlib  # here: it loads OpenSSL, and many streams never hand out their state

        from quadgate.model import Ensemble

        model = self.model
        if isinstance(model, Ensemble):
            described: Any = (model.patches, [(one.model.cells, one.model.head) for one in model.members])
        else:
            described = (model.cells, model.head)
        total = hashlib.sha256(repr(described).encode())
        for name in model.variables:
            array = model.variables[name]
            total.update(f"{name} {array.dtype} {array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        if model.scaling is not None:
            total.update(model.scaling.mean.tobytes() + model.scaling.scale.tobytes())
        return total.hexdigest()[:32]


def check_streams(model: Model | Ensemble) -> None:
    """Refuse a network whose answer after a step would need later ones: layers that read backwards, convolutions.

    Raises:
        InputError: names the layer, and says what to do.
    """
    from quadgate.model import Ensemble

    if isinstance(model, Ensemble):
        for number, member in enumerate(model.members):
            if member.convolutions is not None:
                ahead = sum(kernel.shape[0] // 2 for kernel in member.convolutions.kernels)
                raise InputError(f"network {number}: its convolutions look {ahead} steps ahead, {_NEEDS_ALL}")
    for cells in (model.recurrent if isinstance(model, Ensemble) else model).cells:
        if len(cells) > 1 or cells[0].reverse:
            how = "in both directions" if len(cells) > 1 else "backwards"
            raise InputError(f"{cells[0].name}: reads {how}, {_NEEDS_ALL}")


def _zeros(one: LSTMParameters | GRUParameters, streams: int) -> tuple[Array, ...]:
    widths = (one.units, one.state_width) if isinstance(one, LSTMParameters) else (one.units,)
    return tuple(np.zeros((streams, width), computed_in(one)) for width in widths)
