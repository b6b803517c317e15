"""Files that are there whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and put what was written in the place of `path` when the block ends.

    The temporary file lies in the same folder, which is made where it is missing, and reaches the disk before it is
    renamed: a reader, or a machine that loses power, finds the old content or the new one and never a part. When the
    block raises, the temporary file is removed and `path` stays as it was. Of several files that belong together,
    write the one that a reader looks for last.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with write_atomically(folder / "note.txt") as beside:
    ...     _ = beside.write_text("whole")
    >>> [(file.name, file.read_text()) for file in folder.iterdir()]
    [('note.txt', 'whole')]
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named before it is there, since Ctrl-C may come as soon as it is.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        if path.exists():
            beside.chmod(path.stat().st_mode & 0o777)
        yield beside
        _flush(beside)
        beside.replace(path)
        _flush(path.parent)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename == str(beside):
            error.filename = str(path)  # the one that the caller knows
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_atomically` was writing in `folder`, and in folders of it, when its process was killed."""
    for beside in folder.rglob(".*.part"):
        beside.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Ask the operating system to write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
