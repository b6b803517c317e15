"""One client's stream over a WebSocket.

The server first says what it takes, in JSON. Then each message of the client has one answer, in order:

    binary: float32 little-endian, [T, C]        binary: float32 little-endian, [T, K]
    {"samples": [[...], ...]}                    {"answers": [[...], ...]}
    {"reset": true}                              {"reset": true}
    {"state": true}                              {"state": base64 of a StreamState, "steps": N}
    {"restore": base64}                          {"restored": true}
    anything else                                {"error": why}, and the stream is as it was before

Before the server closes a stream of its own accord it sends {"closing": why, "state": ..., "steps": N}, from which a
stream of any process goes on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from quadgate.errors import InputError, QuadgateError
from quadgate.serving.batching import Batching, Frame
from quadgate.serving.measures import Measures
from quadgate.serving.settings import Settings
from quadgate.streaming import SharedStreams, StreamState

Array = NDArray[Any]


class Session:
    """A stream in its place, from the first message to the last."""

    def __init__(
        self,
        socket: WebSocket,
        place: int,
        streams: SharedStreams,
        batching: Batching,
        measures: Measures,
        settings: Settings,
    ) -> None:
        self._socket, self._place, self._streams = socket, place, streams
        self._batching, self._measures, self._settings = batching, measures, settings
        self._steps = 0
        self._waiting, self._ending = False, ("", 0)
        self._heard = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until the client leaves, is idle for too long, or the server stops; then hand out the state."""
        self._task, loop = asyncio.current_task(), asyncio.get_running_loop()
        stop = loop.create_task(self._end_at(stopping))
        self._heard = loop.time()
        self._timer = loop.call_later(self._settings.idle, self._look)
        try:
            while not self._ending[1]:
                message = await self._receive()
                if message is None:
                    break
                if message["type"] == "websocket.disconnect":
                    return
                await self._answer(message)
                self._heard = loop.time()
            await self._hand_out(*self._ending)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return
        finally:
            stop.cancel()
            self._timer.cancel()

    async def _receive(self) -> MutableMapping[str, Any] | None:
        """Wait for a message; None where the stream was ended meanwhile."""
        self._waiting = True
        try:
            return await self._socket.receive()
        except asyncio.CancelledError:
            if not self._ending[1] or self._task is None or self._task.uncancel():
                raise  # by somebody else
            return None
        finally:
            self._waiting = False

    def _end(self, why: str, code: int) -> None:
        """End the stream: at once where it waits for a message, else after the answer under way."""
        if not self._ending[1] and self._task is not None:
            self._ending = (why, code)
            if self._waiting:
                self._task.cancel()

    async def _end_at(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._end("the server stops", 1001)

    def _look(self) -> None:
        """One timer for many messages: it asks when the last one was answered."""
        loop, idle = asyncio.get_running_loop(), self._settings.idle
        left = self._heard + idle - loop.time()
        if not self._waiting:
            left = idle
        if left > 0:
            self._timer = loop.call_later(left, self._look)
        else:
            self._end(f"no message for {idle:g} s", 1000)

    async def _answer(self, message: MutableMapping[str, Any]) -> None:
        begin = time.perf_counter()
        data, text = message.get("bytes"), message.get("text")
        try:
            if data is not None:
                answers = await self._step(Frame(data, "<f4"))
                await self._socket.send_bytes(answers.astype("<f4", copy=False).tobytes())
            else:
                await self._socket.send_text(json.dumps(await self._command(str(text))))
        except QuadgateError as error:
            self._measures.frames.labels("refused").inc()
            await self._socket.send_text(json.dumps({"error": str(error)}))
            return
        self._measures.frame_seconds.observe(time.perf_counter() - begin)

    async def _step(self, frame: Frame) -> Array:
        C, size = self._streams.inputs, np.dtype(frame.dtype).itemsize
        steps, left = divmod(len(frame.data), size * C)
        if left or not steps:
            raise InputError(
                f"frame: found {len(frame.data)} bytes, expected samples of {size * C} bytes: {C} float{8 * size} each"
            )
        if steps > self._settings.steps:
            raise InputError(f"frame: found {steps} samples, expected at most {self._settings.steps}")
        answers = await self._batching.submit(self._place, frame)
        self._steps += steps
        self._measures.answered.inc()
        self._measures.samples.inc(steps)
        return answers

    async def _command(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise InputError("message: found no JSON, expected an object or binary samples") from None
        if isinstance(found, dict) and len(found) == 1:
            (command, value), *_ = found.items()
            if command == "samples":
                samples = self._streams.check(value)
                return {"answers": (await self._step(Frame(samples.tobytes(), samples.dtype.str))).tolist()}
            if command == "reset" and value is True:
                self._streams.reset(self._place)
                self._steps = 0
                return {"reset": True}
            if command == "state" and value is True:
                return self._state()
            if command == "restore":
                self._restore(value)
                return {"restored": True}
        raise InputError("message: expected one of samples, reset: true, state: true, restore")

    def _restore(self, value: Any) -> None:
        try:
            data = base64.b64decode(str(value), validate=True)
        except (binascii.Error, ValueError):
            raise InputError("restore: expected the base64 text that 'state' gave") from None
        self._streams.restore(self._place, StreamState.from_bytes(data, "restore"))

    def _state(self) -> dict[str, Any]:
        data = self._streams.state(self._place).to_bytes()
        return {"state": base64.b64encode(data).decode(), "steps": self._steps}

    async def _hand_out(self, why: str, code: int) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.send_text(json.dumps({"closing": why, **self._state()}))
            await self._socket.close(code, why)
