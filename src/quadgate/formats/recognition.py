"""How a file of each format is told: by what is in it, and by its name only where that says nothing."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = "model.safetensors"


def run_folder(path: Path, _: bytes) -> Path | None:
    """A folder that holds `model.safetensors`."""
    return path / WEIGHTS if (path / WEIGHTS).is_file() else None


def safetensors(path: Path, start: bytes) -> Path | None:
    """A file of that ending, or one that begins with a length and a JSON object."""
    return path if path.is_file() and (path.suffix == ".safetensors" or start[8:9] == b"{") else None


def tensorflow_checkpoint(path: Path, _: bytes) -> Path | None:
    """A checkpoint's prefix, one of its files, or a folder whose `checkpoint` file names the latest one."""
    from quadgate.formats.tensorflow_checkpoint import find_checkpoint

    return find_checkpoint(path)
