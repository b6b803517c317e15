"""`quadgate serve`: a model behind HTTP and WebSocket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from quadgate.errors import InputError


def serve(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a model of any format.")],
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine QUADGATE_TOKEN must be set.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    name: Annotated[str, typer.Option(help="The model's name in addresses.")] = "model",
    sessions: Annotated[int, typer.Option(help="Streams at one time, at most.")] = 1000,
    idle: Annotated[float, typer.Option(help="Seconds without a message after which a stream is closed.")] = 300.0,
    body: Annotated[int, typer.Option(help="MiB of a request or a message, at most.")] = 16,
) -> None:
    """Serve predictions over the Open Inference Protocol and streams over WebSocket, with a live page."""
    from quadgate import serving
    from quadgate.formats import load

    if not name.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"--name: found {name!r}, expected letters, digits, - and _")
    token = os.environ.get("QUADGATE_TOKEN") or None
    settings = serving.Settings(host, port, token, name, body * 2**20, sessions, idle)
    model = load(run)

    def started(address: str) -> None:
        typer.echo(f"{model.source}: listening at {address}, Ctrl-C stops")
        typer.echo(f"page      {address}/")
        typer.echo(f"infer     {address}/v2/models/{name}/infer")
        typer.echo(f"stream    {address.replace('http', 'ws', 1)}/v2/models/{name}/stream")
        typer.echo(f"metrics   {address}/metrics")

    serving.serve(model, settings, started)
