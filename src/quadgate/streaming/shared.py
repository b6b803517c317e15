"""Streams that come and go, whose samples do not come together: what is there is computed in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.errors import InputError
from quadgate.streaming.engine import Engine
from quadgate.streaming.state import StreamState

if TYPE_CHECKING:
    from quadgate.model import Ensemble, Model

Array = NDArray[Any]

MOST_TOGETHER = 32


class SharedStreams:
    """Up to N streams in numbered places; any of them may take samples in one call, and has the bits it has alone.

    >>> from quadgate.model import Network, Model
    >>> network = Network(inputs=2, units=3, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> shared = SharedStreams(model, 10)
    >>> a, b = shared.open(), shared.open()
    >>> answers, refused = shared.run([b, a], np.ones((2, 4, 2)))
    >>> answers.shape, refused
    ((2, 4, 2), {})
    """

    def __init__(self, model: Model | Ensemble, streams: int, output: str | None = None) -> None:
        self._all = Engine(model, streams, output, many=True)
        self.width, self.inputs = self._all.width, self._all.inputs
        # What the compiled step asks of a sample, so that one that it refuses does not reach it among others.
        scaling, most = model.scaling, np.full(self.inputs, 0.999999 * np.finfo(np.float32).max, np.float64)
        self._least = -most if scaling is None else scaling.mean - most * scaling.scale
        self._most = most if scaling is None else scaling.mean + most * scaling.scale
        sizes = [2**k for k in range(MOST_TOGETHER.bit_length())]
        self._engines = {size: Engine(model, size, output, many=True) for size in sizes}
        self._free = list(range(streams))[::-1]

    def __len__(self) -> int:
        return self._all.streams - len(self._free)

    def open(self) -> int | None:
        """Return a place for a new stream, or None where all are taken."""
        if not self._free:
            return None
        place = self._free.pop()
        self._all.reset([place])
        return place

    def close(self, place: int) -> None:
        """Give a place back."""
        self._free.append(place)

    def check(self, x: ArrayLike) -> Array:
        """Return samples `[T, C]` of one stream as `run` takes them.

        Raises:
            InputError: another shape, or a number that is not finite once it is scaled; says where.
        """
        try:
            given = np.asarray(x)
        except ValueError:
            raise InputError("x: found lists of unequal lengths, expected numbers in an array") from None
        array: Array = self._engines[1].samples(given[None], steps=True)[0]
        good = (array >= self._least) & (array <= self._most)
        if not good.all():
            t, k = (int(i) for i in np.argwhere(~good)[0])
            raise InputError(
                f"x: found {array[t, k]:g} at step {t}, channel {k}, expected finite numbers within float32; nothing "
                "was read: fill or drop the sample"
            )
        return array

    def run(self, places: Sequence[int], chunk: Array) -> tuple[Array, dict[int, InputError]]:
        """Take samples `[M, T, C]` of the streams in these places, each once.

        Returns the answers `[M, T, K]`, and by its row the error of each stream whose samples were refused: it is as it
        was before, and its answers mean nothing.
        """
        chunk = np.asarray(chunk)
        answers, refused = np.empty((*chunk.shape[:2], self.width), np.float32), {}
        first = 0
        while first < len(places):
            size = min(MOST_TOGETHER, 1 << ((len(places) - first).bit_length() - 1))
            rows = range(first, first + size)
            try:
                self._run(places[first : first + size], chunk[first : first + size], answers[first : first + size])
            except InputError:
                for row in rows:  # nothing was read; whose samples were they?
                    try:
                        self._run(places[row : row + 1], self.check(chunk[row])[None], answers[row : row + 1])
                    except InputError as error:
                        refused[row] = error
            first += size
        return answers, refused

    def _run(self, places: Sequence[int], chunk: Array, answers: Array) -> None:
        part, rows = self._engines[len(places)], list(places)
        for mine, one in zip(self._all.arrays, part.arrays, strict=True):
            one[...] = mine[rows]
        part.advance(chunk, answers, steps=True)
        for mine, one in zip(self._all.arrays, part.arrays, strict=True):
            mine[rows] = one

    def reset(self, place: int) -> None:
        """Forget everything of one stream."""
        self._all.reset([place])

    def state(self, place: int) -> StreamState:
        """Return the state of one stream, which `model.stream()` takes too."""
        layers = tuple(tuple(array[[place]] for array in layer) for layer in self._all.layers)
        return StreamState(layers, self._all.carried[[place]], self._all.digest)

    def restore(self, place: int, state: StreamState) -> None:
        """Go on from a state.

        Raises:
            InputError: it is of another model, or not of one stream.
        """
        self._engines[1].restore(state)
        for mine, one in zip(self._all.arrays, self._engines[1].arrays, strict=True):
            mine[[place]] = one
