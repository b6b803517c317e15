"""What a command is doing, said on standard error once it has taken more than two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

EVERY = 5.0  # seconds between two lines of a log
QUIET = 2.0  # seconds after which every further step is announced


def announcer() -> Callable[[str], None]:
    """Return what announces a step."""
    started = time.monotonic()

    def tell(step: str) -> None:
        if time.monotonic() - started > QUIET:
            typer.echo(f"{step} ...", err=True)

    return tell


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what is told how much of how much is done: a bar in a terminal, elsewhere a line every few seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = shown.add_task(what, total=None)
    last = time.monotonic()

    def tell(done: int, planned: int) -> None:
        nonlocal last
        shown.update(task, completed=done, total=planned)
        if not console.is_terminal and time.monotonic() - last > EVERY:
            last = time.monotonic()
            typer.echo(f"{what}: {done:,} of {planned:,}", err=True)

    with shown:
        yield tell
