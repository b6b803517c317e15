"""Reads an HDF5 file through h5py in a child process with limits: its library cannot promise to survive a hostile file.

The child sends the names, shapes, attributes and places of the datasets; arrays that lie in one piece are memory-mapped
here and read when used, others (chunked, compressed) are sent.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.dependencies import missing
from quadgate.errors import FileFormatError

Array = NDArray[Any]

_CHILD = Path(__file__).with_name("hdf5_child.py")
_SECONDS = 600


@dataclass(frozen=True)
class Hdf5File:
    """The datasets of a file by path, and the attributes of every group and dataset that has any.

    Attributes:
        arrays: `model_weights/lstm/lstm/kernel:0` -> array, in the order of the file.
        attributes: path -> name -> text, number or list of them; the root's path is "".
    """

    arrays: dict[str, Array]
    attributes: dict[str, dict[str, Any]]


def read(path: Path, start: int = 0, size: int | None = None) -> Hdf5File:
    """Read an HDF5 file, or the HDF5 file that fills `size` bytes of another file from byte `start`.

    Raises:
        FileFormatError: the file is damaged, takes too much memory or time, or has links that lead out of it.
        MissingDependencyError: h5py is not installed.
    """
    if find_spec("h5py") is None:
        raise missing("h5py", f"{path} (HDF5) cannot be read", "hdf5")
    whole = path.stat().st_size
    size = whole - start if size is None else size
    command = [sys.executable, "-I", str(_CHILD), str(path), str(start), str(size)]
    try:
        child = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise FileFormatError(f"{path}: HDF5 took more than {_SECONDS} s to read, expected far less") from None
    told, _, content = child.stdout.partition(b"\n")
    if child.returncode != 0:
        reason = child.stderr.decode(errors="replace").strip().splitlines()
        why = reason[-1] if reason else f"the HDF5 library ended with signal {-child.returncode}"
        raise FileFormatError(f"{path}: not readable as HDF5: {why}")
    listing = json.loads(told)
    arrays = {}
    for name, kind, shape, offset in listing["arrays"]:
        dtype, count = np.dtype(kind), math.prod(shape)
        if offset is None:
            arrays[name] = np.frombuffer(content[: count * dtype.itemsize], dtype).reshape(shape)
            content = content[count * dtype.itemsize :]
        elif offset < 0 or offset + count * dtype.itemsize > size:
            raise FileFormatError(f"{path}: dataset {name!r} of shape {tuple(shape)} reaches beyond the file's end")
        else:
            place = start + offset
            arrays[name] = np.memmap(path, dtype, "r", place, tuple(shape)) if count else np.zeros(shape, dtype)
    return Hdf5File(arrays, listing["attributes"])
