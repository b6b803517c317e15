"""Frames of many streams that wait at one moment are computed together."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.serving.measures import Measures
from quadgate.streaming import SharedStreams

Array = NDArray[Any]


class Batching:
    """Gathers what arrives in one turn of the event loop; nothing waits for more to come."""

    def __init__(self, streams: SharedStreams, measures: Measures) -> None:
        self._streams, self._measures = streams, measures
        self._waiting: list[tuple[int, Array, asyncio.Future[Array]]] = []

    def submit(self, place: int, samples: Array) -> asyncio.Future[Array]:
        """Return the answers `[T, K]` to samples `[T, C]` of a stream, which has one frame under way at most."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Array] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((place, samples, answer))
        return answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[int, str], list[tuple[int, Array, asyncio.Future[Array]]]] = {}
        for one in waiting:
            groups.setdefault((len(one[1]), one[1].dtype.name), []).append(one)
        for group in groups.values():
            places, samples, futures = zip(*group, strict=True)
            self._measures.together.observe(len(group))
            try:
                answers = self._streams.run(places, np.stack(samples))
            except Exception as error:  # of the computation: the streams hear of it, the server goes on
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            for future, answer in zip(futures, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
