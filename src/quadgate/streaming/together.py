"""Streams of an ensemble: a buffer where its networks read patches, and every network's own state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.streaming.engine import Engine

if TYPE_CHECKING:
    from quadgate.model import Ensemble

Array = NDArray[Any]


class Together:
    """What N streams of an ensemble remember.

    A patch that is full is read for good. One that is not is read with zeros in the place of what has not come, as
    `Ensemble.run` reads the end of a series, and then the networks go back to where they were.

    Attributes:
        layers: the state of every layer of every member; what pooling has gathered, `(carried [N, W],)`; and of
            patches `(buffer [N, length * C], filled [N])`, the samples of the patch that has begun.
    """

    def __init__(self, ensemble: Ensemble, streams: int, output: str) -> None:
        self._ensemble, self._output, self._patches = ensemble, output, ensemble.patches
        asked = ensemble.asked_of_members(output)
        self._engines = [Engine(member.model, streams, asked, many=True) for member in ensemble.members]
        self._networks = [array for engine in self._engines for array in engine.arrays]
        self.layers: list[tuple[Array, ...]] = []
        for engine in self._engines:
            self.layers += [*engine.layers, *([(engine.carried,)] if engine.carried.size else [])]
        if self._patches.length > 1:
            self._buffer = np.zeros((streams, self._patches.length * ensemble.inputs), np.float32)
            self._filled = np.zeros(streams, np.int64)
            self.layers.append((self._buffer, self._filled))

    def answers(self, values: Array) -> Array:
        """Take samples `[N, T, C]` and return the answer after each, `[N, T, K]`."""
        N, T, _ = values.shape
        found = np.empty((N, T, int(self._ensemble.classes or 0)), np.float32)
        for t in range(T):
            found[:, t] = self._ask(values[:, t]) if self._patches.length == 1 else self._ask_of_patch(values[:, t])
        return found

    def _ask(self, read: Array) -> Array:
        """Give every network what it reads at one of its steps, `[N, length * C]`."""
        read = np.ascontiguousarray(read)
        empty = np.empty((len(self._engines), len(read), self._engines[0].width), np.float32)
        answers = [engine.advance(read, out, steps=False) for engine, out in zip(self._engines, empty, strict=True)]
        return self._ensemble.together(answers, self._output)

    def _ask_of_patch(self, sample: Array) -> Array:
        length, stride = self._patches.length, self._patches.stride
        steps = self._buffer.reshape(len(sample), length, -1)
        steps[np.arange(len(sample)), self._filled] = sample
        self._filled += 1
        full = self._filled == length
        before = [] if full.all() else [array.copy() for array in self._networks]
        answer = self._ask(self._buffer)
        for array, old in zip(self._networks, before, strict=bool(before)):
            array[~full] = old[~full]
        steps[full] = np.concatenate([steps[full, stride:], np.zeros_like(steps[full, :stride])], axis=1)
        self._filled[full] = length - stride
        return answer
