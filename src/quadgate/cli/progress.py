"""What a command is doing, said on standard error once it has taken more than two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer

QUIET = 2.0  # seconds after which every further step is announced


def announcer() -> Callable[[str], None]:
    """Return what announces a step."""
    started = time.monotonic()

    def tell(step: str) -> None:
        if time.monotonic() - started > QUIET:
            typer.echo(f"{step} ...", err=True)

    return tell
