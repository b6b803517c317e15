"""A run keeps to the number of threads it was begun with: torch adds some sums up in an order that depends on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from quadgate.errors import FileFormatError
from quadgate.model.atomic import write_atomically
from quadgate.training.workers import Workers

THREADS = "threads.json"


@contextmanager
def recorded_threads(checkpoints: Path | None) -> Iterator[None]:
    """Train on as many threads as the run in `checkpoints` was begun with, or write down how many they are.

    Of several processes each takes as many as the first. Afterwards torch has as many as before.

    Raises:
        FileFormatError: the record is damaged.
    """
    before = torch.get_num_threads()

    def recorded() -> bytes:
        if checkpoints is None:
            return str(before).encode()
        file = checkpoints / THREADS
        if file.exists():
            return str(_read(file)).encode()
        with write_atomically(file) as beside:
            beside.write_text(json.dumps({"threads": before}) + "\n", encoding="utf-8")
        return str(before).encode()

    threads = int(Workers.here().told(recorded))
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read(file: Path) -> int:
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        threads = json.loads(text)["threads"]
    except (ValueError, KeyError, TypeError):
        threads = None
    if not isinstance(threads, int) or threads < 1:
        raise FileFormatError(
            f'{file}: found {text[:40]!r}, expected {{"threads": N}}; write it so, or give another --out to begin anew'
        )
    return threads
