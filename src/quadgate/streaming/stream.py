"""One stream, or many in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.streaming.engine import Engine
from quadgate.streaming.state import StreamState

if TYPE_CHECKING:
    from quadgate.model import Ensemble, Model

Array = NDArray[Any]


class Stream:
    """A series that never ends: each step takes one sample and gives the answer to all of them so far.

    The answer has the bits of `model.run` over the same samples, wherever the compiled kernels run. A step costs the
    same for ever. One thread at a time may use a stream. Of an ensemble whose networks read patches, the samples of a
    patch that is not full count as `run` counts them, filled up with zeros.

    Args:
        model: its layers read forward.
        output: as in `Model.run`: `logits` or `probabilities` `[K]`, or the top layer's `outputs` `[F]`; by default the
            logits, or the outputs of a model without a head.

    Raises:
        InputError: the model has a layer that reads backwards, or `output` is not known.

    >>> from quadgate.model import Network, Model
    >>> network = Network(inputs=2, units=3, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> x = np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 1.0]])
    >>> stream = model.stream()
    >>> answers = [stream.step(sample) for sample in x]
    >>> bool((answers[-1] == model.run(x[None])[0][0]).all())
    True
    """

    def __init__(self, model: Model | Ensemble, output: str | None = None) -> None:
        self._engine = Engine(model, 1, output, many=False)
        self._steps = self._engine.steps
        self._shape = (self._engine.width,)

    def step(self, x_t: ArrayLike, out: Array | None = None) -> Array:
        """Take one sample `[C]` and return the answer `[K]`, in `out` where that is given (float32, dense).

        Raises:
            InputError: another shape, or a number that is not finite; the stream is as it was before.
        """
        if out is None:
            out = np.empty(self._shape, np.float32)
        return out if self._steps.step(x_t, out) else self._engine.advance(x_t, out, steps=False)

    def run(self, chunk: ArrayLike, out: Array | None = None) -> Array:
        """Take samples `[T, C]` and return the answers after each, `[T, K]`.

        Raises:
            InputError: as `step`, and then no sample of the chunk was taken.
        """
        chunk = self._engine.samples(chunk, steps=True)
        if out is None:
            out = np.empty((len(chunk), *self._shape), np.float32)
        return self._engine.advance(chunk, out, steps=True)

    def reset(self) -> None:
        """Forget everything: the next sample is the first."""
        self._engine.reset()

    @property
    def state(self) -> StreamState:
        """A copy of what the stream remembers. Assigned to, it goes on from there.

        Raises:
            InputError: what is assigned is the state of another model.
        """
        return self._engine.state

    @state.setter
    def state(self, state: StreamState) -> None:
        self._engine.restore(state)


class Streams:
    """N streams that take their samples together, each as if it were alone; see `Stream`.

    >>> from quadgate.model import Network, Model
    >>> network = Network(inputs=2, units=3, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> streams = model.streams(1000)
    >>> streams.step(np.ones((1000, 2))).shape
    (1000, 2)
    >>> streams.reset([3, 5])
    """

    def __init__(self, model: Model | Ensemble, streams: int, output: str | None = None) -> None:
        self._engine = Engine(model, streams, output, many=True)
        self._steps = self._engine.steps
        self._shape = (streams, self._engine.width)

    def __len__(self) -> int:
        return self._engine.streams

    def step(self, x_t: ArrayLike, out: Array | None = None) -> Array:
        """Take one sample of each stream `[N, C]` and return their answers `[N, K]`.

        Raises:
            InputError: another shape, or a number that is not finite; no stream has taken its sample then.
        """
        if out is None:
            out = np.empty(self._shape, np.float32)
        return out if self._steps.step(x_t, out) else self._engine.advance(x_t, out, steps=False)

    def run(self, chunk: ArrayLike, out: Array | None = None) -> Array:
        """Take samples `[N, T, C]` and return the answers after each, `[N, T, K]`.

        Raises:
            InputError: as `step`.
        """
        chunk = self._engine.samples(chunk, steps=True)
        if out is None:
            out = np.empty((*chunk.shape[:2], self._engine.width), np.float32)
        return self._engine.advance(chunk, out, steps=True)

    def reset(self, which: ArrayLike | None = None) -> None:
        """Forget everything, in all streams, or in those of the numbers or the mask `which`."""
        self._engine.reset(slice(None) if which is None else np.asarray(which))

    @property
    def state(self) -> StreamState:
        """As `Stream.state`, of all streams."""
        return self._engine.state

    @state.setter
    def state(self, state: StreamState) -> None:
        self._engine.restore(state)
