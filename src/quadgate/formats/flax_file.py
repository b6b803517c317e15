"""Parameters of Flax (linen and nnx) and Haiku: MessagePack as `flax.serialization` writes it, and npz archives.

A file holds named arrays and nothing of the network: which layer follows which is assumed where nothing else fits.
Sources: google/flax@18f8f31 flax/serialization.py, flax/linen/recurrent.py, flax/nnx/nn/recurrent.py.
"""

from __future__ import annotations

import re
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.dependencies import require
from quadgate.errors import FileFormatError
from quadgate.layouts import LAYOUTS, Settings
from quadgate.model import Model
from quadgate.model.build import Dense, Found, build
from quadgate.model.variables import Array

ROWS = ("flax.linen.LSTMCell", "flax.nnx.LSTMCell", "flax.nnx.OptimizedLSTMCell", "flax.linen.GRUCell")
ARRAY, SCALAR = 1, 3
LARGEST = 2 << 30
BACKWARD = re.compile(r"backward|reverse")


def read_model(path: Path, settings: Settings) -> Model:
    """Read the LSTMs and GRUs among the parameters of a `.msgpack` or `.npz` file.

    Raises:
        FileFormatError: the file is damaged, or has no recurrent layer under the names of Flax or Haiku.
        MissingDependencyError: the package msgpack is not installed.
    """
    arrays = _read_npz(path) if zipfile.is_zipfile(path) else _read_msgpack(path)
    arrays = {name.removesuffix("/value"): array for name, array in arrays.items() if array.dtype.kind == "f"}
    found = [*_cells(arrays), *_haiku(arrays)]
    if not found:
        names = ", ".join(list(arrays)[:3]) or "none"
        raise FileFormatError(f"{path}: found no LSTM or GRU of Flax or Haiku among its arrays ({names}, ...)")
    found.sort(key=lambda one: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", one.group)])
    used = {name for one in found for name in one.tensors.values()}
    dense = [
        Dense(name, name.removesuffix("kernel") + "bias" if name.removesuffix("kernel") + "bias" in arrays else None)
        for name, array in arrays.items()
        if name.endswith("/kernel") and array.ndim == 2 and name not in used
    ]
    return build(arrays, found, source=str(path), settings=settings, dense=dense)


def _cells(arrays: dict[str, Array]) -> list[Found]:
    """The cells whose tensors are all there, under a scope of their own."""
    found = []
    for name in ROWS:
        row = LAYOUTS[name]
        first = row.name_of(row.tensors[0])
        for scope in [one.removesuffix(first) for one in arrays if one.endswith(f"/{first}") or one == first]:
            tensors = {row.name_of(tensor): scope + row.name_of(tensor) for tensor in row.tensors}
            if all(variable in arrays for variable in tensors.values()):
                found.append(_found(scope, name, tensors))
    return found


def _haiku(arrays: dict[str, Array]) -> list[Found]:
    """`SCOPE/lstm/linear/{w,b}`, a kernel of four gates and more rows than units."""
    found = []
    for name, array in arrays.items():
        scope = name.removesuffix("w")
        if re.search(r"lstm(_\d+)?/linear/w$", name) and array.ndim == 2 and 4 * array.shape[0] > array.shape[1]:
            found.append(_found(scope, "haiku.LSTM", {"w": name, "b": f"{scope}b"}))
    return [one for one in found if one.tensors["b"] in arrays]


def _found(scope: str, layout: str, tensors: dict[str, str]) -> Found:
    reverse = bool(BACKWARD.search(scope))
    group = BACKWARD.sub("forward", scope) if "backward" in scope else scope.replace("_reverse", "")
    return Found(scope.strip("/") or layout, layout, tensors, Settings(reverse=reverse), group=group)


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > 16 * path.stat().st_size + (1 << 24):
            raise FileFormatError(f"{path}: claims {claimed} bytes, far more than it holds")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileFormatError:
        raise
    except Exception as error:  # NumPy and zipfile raise errors of many kinds for a damaged archive
        raise FileFormatError(f"{path}: npz archive damaged: {' '.join(str(error).split())}") from None


def _read_msgpack(path: Path) -> dict[str, Array]:
    msgpack = require("msgpack", f"{path} (Flax) cannot be read", "flax")
    if path.stat().st_size > LARGEST:
        raise FileFormatError(f"{path}: found {path.stat().st_size} bytes, expected at most {LARGEST}")
    try:
        tree = msgpack.unpackb(path.read_bytes(), ext_hook=_array, strict_map_key=False)
    except (ValueError, TypeError, KeyError, OverflowError, msgpack.UnpackException) as error:
        raise FileFormatError(f"{path}: damaged or no MessagePack: {' '.join(str(error).split())}") from None
    arrays: dict[str, Array] = {}
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            if "__msgpack_chunked_array__" in value:
                raise FileFormatError(f"{path}: {name} is an array in chunks, as of over 1 GB; save it as npz")
            waiting += [(f"{name}/{key}" if name else str(key), part) for key, part in reversed(value.items())]
        elif isinstance(value, np.ndarray):
            arrays[name] = value
    return arrays


def _array(code: int, data: bytes) -> Any:
    """An array: its shape, the name of its dtype and its bytes, packed once more."""
    import msgpack

    if code not in (ARRAY, SCALAR):
        return None
    shape, kind, raw = msgpack.unpackb(data)
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind == "bfloat16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(shape)
    dtype = np.dtype(kind)
    if dtype.kind not in "biufc" or prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"found {len(raw)} bytes for an array of shape {shape} and dtype {kind}")
    return np.frombuffer(raw, dtype).reshape(shape)
