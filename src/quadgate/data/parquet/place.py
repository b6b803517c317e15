"""Where a set of Parquet files lies: a local folder, or a folder behind any URL that fsspec knows."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadgate.data.folders import natural
from quadgate.dependencies import require
from quadgate.errors import FileFormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDINGS = (".parquet", ".pq")
TOGETHER = 16  # files whose ends are read at a time: behind a URL the wait is longer than the work
TAIL = 8  # bytes at a file's end: the size of the footer before it, and four letters


@dataclass(frozen=True)
class Place:
    """A folder, by its path or URL; pickled as that alone, so that every process opens its own files."""

    url: str

    @property
    def folder(self) -> Path | None:
        """The local folder, or None where the place is elsewhere."""
        if "://" not in self.url:
            return Path(self.url)
        return Path(self.url.removeprefix("file://")) if self.url.startswith("file://") else None

    def names(self) -> list[str]:
        """Return the names of the Parquet files, `part2` before `part10`.

        Raises:
            InputError: there is no such folder, or no Parquet file in it.
        """
        if self.folder is not None:
            if not self.folder.is_dir():
                raise InputError(f"{self.url}: found no such folder, expected one with Parquet files")
            found = [path.name for path in self.folder.iterdir()]
        else:
            system, root = _system(self.url)
            try:
                found = [str(path).rsplit("/", 1)[-1] for path in system.ls(root, detail=False)]
            except OSError as error:
                raise InputError(f"{self.url}: cannot be listed ({_line(error)})") from error
        names = [name for name in found if name.lower().endswith(ENDINGS) and name[0] not in "._"]
        if not names:
            raise InputError(f"{self.url}: found no Parquet file, expected at least one")
        return sorted(names, key=lambda name: natural(Path(name)))

    @contextmanager
    def opened(self, name: str, what: str = "") -> Iterator[Any]:
        """Give the file as pyarrow reads it; messages call what is read from it `what`.

        Raises:
            FileFormatError: what is read from it is damaged.
            InputError: it cannot be read.
        """
        arrow = require("pyarrow", f"{self.url} (Parquet) cannot be read", "train,parquet")
        parquet = require("pyarrow.parquet", f"{self.url} (Parquet) cannot be read", "train,parquet")
        try:
            if self.folder is not None:
                with parquet.ParquetFile(self.folder / name) as file:
                    yield file
            else:
                system, root = _system(self.url)
                with system.open(f"{root}/{name}", "rb") as stream, parquet.ParquetFile(stream) as file:
                    yield file
        except (arrow.ArrowException, EOFError) as error:
            raise FileFormatError(f"{what or name}: damaged, or no Parquet: {_line(error)}") from error
        except OSError as error:  # pyarrow's word for a damaged page, too
            raise FileFormatError(f"{what or name}: cannot be read ({_line(error)})") from error

    def ends(self, names: list[str]) -> list[tuple[Any, str] | FileFormatError]:
        """Return of each file what pyarrow knows from its end and a hash of it, or what is wrong with the file."""
        with ThreadPoolExecutor(TOGETHER) as pool:
            return list(pool.map(self._end, names))

    def read_text(self, name: str) -> str | None:
        """Return what a small file of the folder holds, or None where it is not there."""
        try:
            if self.folder is not None:
                return (self.folder / name).read_text(encoding="utf-8")
            system, root = _system(self.url)
            return str(system.cat_file(f"{root}/{name}").decode())
        except (OSError, ValueError):
            return None

    def write_text(self, name: str, text: str) -> bool:
        """Write a small file whole or not at all; return whether the folder can be written to."""
        from quadgate.model.atomic import write_atomically

        try:
            if self.folder is not None:
                with write_atomically(self.folder / name) as beside:
                    beside.write_text(text, encoding="utf-8")
            else:
                system, root = _system(self.url)
                system.pipe_file(f"{root}/{name}", text.encode())  # stores of objects show it when it is whole
        except (OSError, NotImplementedError):
            return False
        return True

    def _end(self, name: str) -> tuple[Any, str] | FileFormatError:
        try:
            with self.opened(name) as file:
                metadata = file.metadata
            return metadata, self._hash_of_end(name)
        except FileFormatError as error:
            return error

    def _hash_of_end(self, name: str) -> str:
        """Hash name, size and footer, which holds where every page lies, and its least and greatest value."""
        if self.folder is not None:
            stream = (self.folder / name).open("rb")
        else:
            system, root = _system(self.url)
            stream = system.open(f"{root}/{name}", "rb")
        with stream:
            size = stream.seek(0, 2)
            stream.seek(size - TAIL)
            footer = int.from_bytes(stream.read(4), "little")
            stream.seek(max(0, size - TAIL - footer))
            return hashlib.sha256(f"{name}\n{size}\n".encode() + stream.read(footer)).hexdigest()


def _system(url: str) -> tuple[Any, str]:
    # Not kept here: fsspec keeps its own for each process, since what talks to a network does not outlive a fork.
    core = require("fsspec.core", f"{url} cannot be read", "train,parquet")
    try:
        system, root = core.url_to_fs(url)
    except ImportError as error:  # the text names the package of this kind of URL
        raise InputError(f"{url}: {_line(error)}") from error
    except ValueError as error:
        raise InputError(f"{url}: found no URL that fsspec knows ({_line(error)})") from error
    return system, root.rstrip("/")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
