"""One door for every form of data: decide what a source is, read it, and tell how it was read."""

from __future__ import annotations

from pathlib import Path

from quadgate.data.archive import read_archive
from quadgate.data.sequences import Dataset


def read(source: str | Path) -> Dataset:
    """Read a data set of the archive by name."""
    return read_archive(str(source))
