"""What stands before every request: who asks, from which page, and how much is sent."""

from __future__ import annotations

import hmac
import json
from urllib.parse import urlsplit

from quadgate.serving.lingering import App, Message, Receive, Send
from quadgate.serving.settings import Settings

OPEN = ("/", "/v2/health/live", "/v2/health/ready")
LOCAL = ("localhost", "127.0.0.1", "::1")


class TooLargeError(Exception):
    """A body is larger than the limit."""


class Guard:
    """An ASGI layer. Without a token only pages of this machine may ask, so that no web site reaches a local server."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, send, *refusal)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        if int(headers.get("content-length") or 0) > self._settings.body:
            await _refuse(scope, send, 413, self._too_large)
            return
        started, taken = False, 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._settings.body:
                raise TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, limited, watched)
        except TooLargeError:
            if not started:
                await _refuse(scope, send, 413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"body: found more than {self._settings.body:,} bytes, expected less"

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        if self._settings.token:
            if scope["type"] == "http" and scope["path"] in OPEN:
                return None
            given = headers.get("authorization", "").removeprefix("Bearer ")
            for word in headers.get("sec-websocket-protocol", "").split(","):
                if word.strip().startswith("bearer."):
                    given = word.strip().removeprefix("bearer.")
            if not hmac.compare_digest(given.encode(), self._settings.token.encode()):
                return 401, "token: found none or another, expected 'Authorization: Bearer TOKEN'"
            return None
        host = urlsplit(f"//{headers.get('host', '')}").hostname
        origin = urlsplit(headers.get("origin", "")).hostname
        if host not in LOCAL or (headers.get("origin") and origin not in LOCAL):
            return 403, "host: found another one than this machine, and this server has no token"
        return None


async def _refuse(scope: Message, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": text})
        return
    body = json.dumps({"error": text}).encode()
    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
