"""The tensors of a safetensors file: described at once, read when they are used."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.model.variables import Array, Stored, widen_bfloat16

# safetensors' names of the dtypes that NumPy has
DTYPES = {
    f"{kind}{8 * size}": np.dtype(f"{kind.lower()}{size}") for kind in "FIU" for size in (1, 2, 4, 8)[kind == "F" :]
}
DTYPES["BOOL"] = np.dtype("?")


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Stored]]:
    """Return the metadata of a safetensors file and its tensors; bfloat16 is widened to float32 when it is read.

    Raises:
        FileFormatError: the file is damaged, or a tensor is of a type that NumPy has not.
    """
    from safetensors import SafetensorError, safe_open

    try:
        file: Any = safe_open(path, framework="np")
        return file.metadata() or {}, {name: _stored(file, name, path) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileFormatError(f"{path}: damaged or not a safetensors file: {one_line(error)}") from None


def _stored(file: Any, name: str, path: Path) -> Stored:
    part = file.get_slice(name)
    kind, shape = part.get_dtype(), tuple(part.get_shape())
    if kind == "BF16":
        return Stored(shape, np.dtype(np.float32), lambda: _widened(path, name, shape))
    if kind not in DTYPES:
        raise FileFormatError(f"{path}: tensor {name}: found dtype {kind}, expected one of {', '.join(DTYPES)}, BF16")
    return Stored(shape, DTYPES[kind], lambda: file.get_tensor(name))


def _widened(path: Path, name: str, shape: tuple[int, ...]) -> Array:
    """Read a bfloat16 tensor, for which the library needs PyTorch; it has checked the header that this relies on."""
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        start, end = json.loads(file.read(size))[name]["data_offsets"]
        file.seek(8 + size + start)
        words = np.frombuffer(file.read(end - start), "<u2")
    return widen_bfloat16(words).reshape(shape)


def one_line(error: Exception) -> str:
    """Return the text of another library's error on one line."""
    return " ".join(str(error).split())
