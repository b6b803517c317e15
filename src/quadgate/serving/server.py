"""Run the application until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from quadgate.errors import InputError
from quadgate.serving.app import make_app
from quadgate.serving.settings import Settings

if TYPE_CHECKING:
    from quadgate.model import Ensemble, Model

GRACE = 10  # seconds in which streams take their states


def serve(model: Model | Ensemble, settings: Settings, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then every stream is handed its state before the server ends.

    Args:
        model: what is served.
        settings: see `Settings`.
        started: called with the address once it listens.

    Raises:
        InputError: the address is taken or not of this machine.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(model, settings, started))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop in C, which takes half the time of Python's, where there is one: not on Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(model: Model | Ensemble, settings: Settings, started: Callable[[str], None]) -> None:
    app = make_app(model, settings)
    config = uvicorn.Config(
        app,
        ws_max_size=settings.body,
        ws_ping_interval=None,
        ws_per_message_deflate=False,  # samples do not shrink, and squeezing them takes longer than their answer
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    server.stopping, server.open_streams = app.state.stopping, lambda: len(app.state.streams or ())
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise InputError(f"{settings.host}:{settings.port}: {error.strerror}; expected a free port: --port") from None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    started(f"http://{host}:{listening.getsockname()[1]}")
    with listening:
        await server.serve([listening])


class _Server(uvicorn.Server):
    """Tells the streams to hand out their states when it is told to stop."""

    stopping: asyncio.Event
    open_streams: Callable[[], int]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopping.set()
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # the process ends by itself, with exit code 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stopping.set()
        deadline = asyncio.get_running_loop().time() + GRACE
        while self.open_streams() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)  # in which they answer what they have and take their states
        await super().shutdown(sockets)
