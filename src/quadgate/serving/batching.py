"""Frames of many streams that wait at one moment are computed together."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quadgate.serving.measures import Measures
from quadgate.streaming import SharedStreams

Array = NDArray[Any]


class Frame(NamedTuple):
    """Samples `[T, C]` of one message, dense: their bytes and the type of a number."""

    data: bytes
    dtype: str


class Batching:
    """Gathers what arrives in one turn of the event loop; nothing waits for more to come."""

    def __init__(self, streams: SharedStreams, measures: Measures) -> None:
        self._streams, self._measures = streams, measures
        self._waiting: list[tuple[int, Frame, asyncio.Future[Array]]] = []

    def submit(self, place: int, frame: Frame) -> asyncio.Future[Array]:
        """Return the answers `[T, K]` to the samples of a stream, which has one frame under way at most.

        The answer is an InputError where they are refused.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Array] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((place, frame, answer))
        return answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[int, str], list[tuple[int, Frame, asyncio.Future[Array]]]] = {}
        for one in waiting:
            groups.setdefault((len(one[1].data), one[1].dtype), []).append(one)
        for (_, dtype), group in groups.items():
            places = [place for place, _, _ in group]
            self._measures.together.observe(len(group))
            samples = np.frombuffer(b"".join([frame.data for _, frame, _ in group]), dtype)
            try:
                answers, refused = self._streams.run(places, samples.reshape(len(group), -1, self._streams.inputs))
            except Exception as error:  # of the computation: the streams hear of it, the server goes on
                for _, _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for row, (_, _, future) in enumerate(group):
                if future.done():
                    continue
                if row in refused:
                    future.set_exception(refused[row])
                else:
                    future.set_result(answers[row])
