"""An answer reaches a client that is still sending."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

BYTES = 64 * 2**20  # discarded after an answer, at most
SECONDS = 10.0


class Lingering:
    """An ASGI layer that sends an answer at once, then reads what is left of the request before it ends the response.

    The end of a response may close the connection. A socket that is closed on unread bytes is reset, and the client
    loses the answer, or meets a broken pipe before it looks for one. What is discarded is bounded in bytes and seconds.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold the end of its answer until the request is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        unread = any(key.lower() in (b"content-length", b"transfer-encoding") for key, _ in scope["headers"])

        async def read() -> Message:
            nonlocal unread
            message = await receive()
            unread = bool(message.get("more_body"))
            return message

        async def answer(message: Message) -> None:
            if unread and message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await discard()
                message = {"type": "http.response.body"}
            await send(message)

        async def discard() -> None:
            taken = 0
            try:
                async with asyncio.timeout(SECONDS):
                    while unread and taken <= BYTES:
                        taken += len((await read()).get("body", b""))
            except TimeoutError:
                return

        await self._app(scope, read, answer)
