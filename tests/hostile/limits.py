"""What a hostile file may cost: a second of processor time and 200 MB of memory, measured, not asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quadgate.errors import FileFormatError

SECONDS = 1.0
BYTES = 200_000_000
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@contextmanager
def limits(what: str = "it") -> Iterator[None]:
    """Fail where the block takes longer, children included, or where the process grows by more, even for a moment."""
    start = _seconds()
    before = _peak(reset=True)
    try:
        yield
    finally:
        spent, grown = _seconds() - start, _peak() - before
    assert spent < SECONDS, f"{what} took {spent:.2f} s"
    assert grown < BYTES, f"{what} took {grown / 1e6:.0f} MB"


def refused(path: Path, match: str | None = None) -> str:
    """Load a file that must be refused, within the limits, and return the one line of the refusal."""
    import quadgate

    with limits(path.name), pytest.raises(FileFormatError, match=match) as caught:
        list(quadgate.load(path).variables.values())
    text = str(caught.value)
    assert "\n" not in text
    assert str(path.parent) in text
    return text


def _seconds() -> float:
    return sum(os.times()[:4])


def _peak(reset: bool = False) -> int:
    """The most memory that the process held at once, since the last reset, in bytes. Linux alone can forget a peak."""
    if reset:
        RESET.write_text("5")
    return 1000 * int(re.search(r"VmHWM:\s+(\d+)", STATUS.read_text())[1])
