"""The addresses of the server."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse

from quadgate.errors import InputError, QuadgateError
from quadgate.model import Ensemble, Model
from quadgate.serving.batching import Batching
from quadgate.serving.guard import Guard
from quadgate.serving.inference import infer, model_metadata, server_metadata
from quadgate.serving.lingering import Lingering
from quadgate.serving.measures import Measures
from quadgate.serving.session import Session
from quadgate.serving.settings import Settings
from quadgate.serving.watching import Watch
from quadgate.streaming import SharedStreams


def make_app(model: Model | Ensemble, settings: Settings | None = None) -> FastAPI:
    """Return the application of a model; its `state.stopping` is the event that ends every stream."""
    settings = settings or Settings()
    app = FastAPI(title="quadgate", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.stopping, app.state.measures = asyncio.Event(), Measures()
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Lingering)  # the outermost, so that it holds what the guard answers too
    _add_health(app)
    _add_inference(app, model, settings)
    _add_streams(app, model, settings)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(files("quadgate.serving").joinpath("page.html").read_text(encoding="utf-8"))

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(app.state.measures.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v2")
    def server() -> dict[str, Any]:
        return server_metadata()

    @app.get("/v2/health/live")
    def live() -> dict[str, Any]:
        return {"live": True}

    @app.get("/v2/health/ready")
    def ready() -> Response:
        stopping = app.state.stopping.is_set()
        return JSONResponse({"ready": not stopping}, 503 if stopping else 200)


def _add_inference(app: FastAPI, model: Model | Ensemble, settings: Settings) -> None:
    base = f"/v2/models/{settings.name}"

    @app.get(base)
    @app.get(f"{base}/versions/1")
    def metadata() -> dict[str, Any]:
        return model_metadata(model, settings.name)

    @app.get(f"{base}/ready")
    @app.get(f"{base}/versions/1/ready")
    def model_ready() -> dict[str, Any]:
        return {"name": settings.name, "ready": True}

    @app.post(f"{base}/infer")
    @app.post(f"{base}/versions/1/infer")
    async def answer(request: Request) -> Response:
        header = request.headers.get("inference-header-content-length")
        try:
            size = None if header is None else int(header) if header.isdecimal() else -1
            body = await request.body()
            if size is not None and not 0 <= size <= len(body):
                raise InputError(f"Inference-Header-Content-Length: found {header!r}, expected that of the JSON")
            reply, length = await asyncio.to_thread(infer, model, settings.name, body, size)
        except QuadgateError as error:
            app.state.measures.requests.labels("refused").inc()
            return JSONResponse({"error": str(error)}, 400)
        app.state.measures.requests.labels("answered").inc()
        if length is None:
            return Response(reply, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(length)}
        return Response(reply, media_type="application/octet-stream", headers=headers)


def _add_streams(app: FastAPI, model: Model | Ensemble, settings: Settings) -> None:
    base, measures = f"/v2/models/{settings.name}", app.state.measures
    output = "outputs" if model.classes is None else "probabilities"
    why_not, streams, batching = "", None, None
    try:
        streams = SharedStreams(model, settings.sessions, output)
        batching = Batching(streams, measures)
    except InputError as error:
        why_not = str(error)
    app.state.streams = streams
    about = {
        "model": settings.name,
        "channels": model.inputs,
        "channel_names": model.channels,
        "output": output,
        "labels": model.labels,
        "mean": None if model.scaling is None else model.scaling.mean.tolist(),
        "scale": None if model.scaling is None else model.scaling.scale.tolist(),
        "stream": why_not or True,
    }

    @app.get(f"{base}/stream")
    @app.get("/about")
    def told() -> dict[str, Any]:
        return about

    @app.websocket(f"{base}/stream")
    async def stream(socket: WebSocket) -> None:
        await _accept(socket)
        place = None if streams is None or app.state.stopping.is_set() else streams.open()
        if streams is None or batching is None or place is None:
            full = f"sessions: found {settings.sessions} open, expected a place; come back later"
            await socket.send_json({"error": why_not or full})
            await socket.close(1013 if not why_not else 1003)
            return
        measures.sessions.inc()
        try:
            await socket.send_json(about)
            await Session(socket, place, streams, batching, measures, settings).run(app.state.stopping)
        finally:
            streams.close(place)
            measures.sessions.dec()

    @app.websocket("/watch")
    async def watch(socket: WebSocket) -> None:
        await _accept(socket)
        if why_not or isinstance(model, Ensemble):
            more = f"an ensemble has no one network whose gates to draw; its stream is {base}/stream"
            await socket.send_json({"error": why_not or more})
            await socket.close(1003)
            return
        await Watch(model, output).run(socket)


async def _accept(socket: WebSocket) -> None:
    """Browsers send a token as a subprotocol beside `quadgate`, and want one of theirs named."""
    offered = [one.strip() for one in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept("quadgate" if "quadgate" in offered else None)
