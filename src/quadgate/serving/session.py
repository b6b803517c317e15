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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from quadgate.errors import InputError, QuadgateError
from quadgate.serving.batching import Batching
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

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until the client leaves, is idle for too long, or the server stops; then hand out the state."""
        stop = asyncio.create_task(stopping.wait())
        receive: asyncio.Task[Any] | None = None
        try:
            while True:
                receive = asyncio.create_task(self._socket.receive())
                done, _ = await asyncio.wait(
                    {receive, stop}, timeout=self._settings.idle, return_when=asyncio.FIRST_COMPLETED
                )
                if receive in done:
                    message = receive.result()
                    if message["type"] == "websocket.disconnect":
                        return
                    await self._answer(message)
                elif stop in done:
                    await self._hand_out("the server stops", 1001)
                    return
                else:
                    await self._hand_out(f"no message for {self._settings.idle:g} s", 1000)
                    return
        except (WebSocketDisconnect, RuntimeError, OSError):
            return
        finally:
            stop.cancel()
            if receive is not None and not receive.done():
                receive.cancel()

    async def _answer(self, message: dict[str, Any]) -> None:
        begin = time.perf_counter()
        data, text = message.get("bytes"), message.get("text")
        try:
            if data is not None:
                answers = await self._step(self._frame(data))
                await self._socket.send_bytes(answers.astype("<f4", copy=False).tobytes())
            else:
                await self._socket.send_text(json.dumps(await self._command(str(text))))
        except QuadgateError as error:
            self._measures.frames.labels("refused").inc()
            await self._socket.send_text(json.dumps({"error": str(error)}))
            return
        self._measures.frame_seconds.observe(time.perf_counter() - begin)

    def _frame(self, data: bytes) -> Array:
        C = self._streams.inputs
        if not data or len(data) % (4 * C):
            raise InputError(f"frame: found {len(data)} bytes, expected samples of {4 * C} bytes: {C} float32 each")
        return np.frombuffer(data, "<f4").reshape(-1, C)

    async def _step(self, samples: Any) -> Array:
        checked = self._streams.check(samples)
        if len(checked) > self._settings.steps:
            raise InputError(f"frame: found {len(checked)} samples, expected at most {self._settings.steps}")
        answers = await self._batching.submit(self._place, checked)
        self._steps += len(checked)
        self._measures.frames.labels("answered").inc()
        self._measures.samples.inc(len(checked))
        return answers

    async def _command(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise InputError("message: found no JSON, expected an object or binary samples") from None
        if isinstance(found, dict) and len(found) == 1:
            (command, value), *_ = found.items()
            if command == "samples":
                return {"answers": (await self._step(value)).tolist()}
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
