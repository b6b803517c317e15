"""The arrays of an ONNX file: within it, or in a file of raw numbers beside it."""

from __future__ import annotations

from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.model.variables import Array, Stored

PLAIN = {
    1: "f4",
    2: "u1",
    3: "i1",
    4: "u2",
    5: "i2",
    6: "i4",
    7: "i8",
    9: "?",
    10: "f2",
    11: "f8",
    12: "u4",
    13: "u8",
}
"""Element types that NumPy has, by their numbers in `TensorProto.DataType`."""
BFLOAT16 = 16
EXTERNAL = 1
MOST_DIMENSIONS = 32


def stored(tensor: Any, path: Path) -> Stored | None:
    """Describe a TensorProto, to be read when it is used; None for text, sparse and sub-byte numbers.

    Args:
        tensor: the message.
        path: the file that it is in.

    Raises:
        FileFormatError: its numbers are fewer or more than its shape asks for, or lie in a file outside the folder.
    """
    place = f"{path}: tensor {tensor.name or 'without a name'}"
    if tensor.data_type not in PLAIN and tensor.data_type != BFLOAT16:
        return None
    shape = tuple(tensor.dims)
    if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise FileFormatError(f"{place}: found shape {shape[:8]}, expected up to {MOST_DIMENSIONS} sizes of 0 or more")
    wide = np.dtype("<u2" if tensor.data_type == BFLOAT16 else PLAIN[tensor.data_type]).newbyteorder("<")
    given = np.dtype(np.float32) if tensor.data_type == BFLOAT16 else wide.newbyteorder("=")
    if tensor.data_location == EXTERNAL:
        part = _External(tensor, path, place, shape, wide)
        return Stored(shape, given, lambda: _widened(part.read(), given))
    found = len(tensor.raw_data) // wide.itemsize if tensor.HasField("raw_data") else _listed(tensor)
    if found != prod(shape) or (tensor.HasField("raw_data") and len(tensor.raw_data) % wide.itemsize):
        raise FileFormatError(f"{place}: found {found} numbers, expected {prod(shape)} for shape {shape}")
    return Stored(shape, given, lambda: _widened(_inside(tensor, shape, wide), given))


def _listed(tensor: Any) -> int:
    """How many numbers a tensor without raw bytes lists."""
    return max(len(tensor.float_data), len(tensor.int32_data), len(tensor.int64_data)) or max(
        len(tensor.double_data), len(tensor.uint64_data)
    )


def _inside(tensor: Any, shape: tuple[int, ...], wide: np.dtype[Any]) -> Array:
    if tensor.HasField("raw_data"):
        return np.frombuffer(tensor.raw_data, wide).reshape(shape)
    from onnx import numpy_helper

    array: Array = numpy_helper.to_array(tensor)
    return array.view(np.uint16) if tensor.data_type == BFLOAT16 else array


def _widened(array: Array, given: np.dtype[Any]) -> Array:
    """The array in the machine's byte order; bfloat16, which NumPy has not, as float32."""
    if given == np.float32 and array.dtype.kind == "u":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.astype(given, copy=False)


class _External:
    """The numbers of a tensor in a file beside the model; `location` may name no other folder."""

    def __init__(self, tensor: Any, path: Path, place: str, shape: tuple[int, ...], wide: np.dtype[Any]) -> None:
        told = {entry.key: entry.value for entry in tensor.external_data}
        name = PurePosixPath(told.get("location", "").replace("\\", "/"))
        if not name.name or name.is_absolute() or ".." in name.parts or ":" in str(name):
            raise FileFormatError(f"{place}: its numbers lie at {str(name)!r}, expected a file in its own folder")
        self.path = path.parent / name
        self.shape, self.wide = shape, wide
        size = prod(shape) * wide.itemsize
        self.offset = _number(told.get("offset", "0"), f"{place}: offset")
        if _number(told.get("length", str(size)), f"{place}: length") != size:
            raise FileFormatError(f"{place}: found {told['length']} bytes, expected {size} for shape {shape}")
        if not self.path.is_file() or not self.path.resolve().is_relative_to(path.parent.resolve()):
            raise FileFormatError(f"{place}: {self.path}: not found, expected the file that holds its numbers")
        if self.offset + size > self.path.stat().st_size:
            raise FileFormatError(
                f"{place}: its bytes {self.offset} to {self.offset + size} reach past the end of {self.path.name}"
            )

    def read(self) -> Array:
        if not prod(self.shape):
            return np.zeros(self.shape, self.wide)
        return np.memmap(self.path, self.wide, "r", self.offset, self.shape)


def _number(text: str, place: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FileFormatError(f"{place}: found {text[:30]!r}, expected a number of bytes")
    return int(text)
