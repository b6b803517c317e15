"""Version 1 of the TensorFlow 1 checkpoint, the default up to 0.11: names, shapes and numbers in one table.

Sources: tensorflow/core/util/saved_tensor_slice.proto and tensorflow/core/framework/tensor.proto at v1.15.0.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, fields, message, number, text, varint
from quadgate.formats.tensorflow_checkpoint.slices import Slice, read_slice, resolve
from quadgate.formats.tensorflow_checkpoint.table import entries
from quadgate.formats.tensorflow_checkpoint.tensors import (
    DTYPES,
    UNREAD,
    Contents,
    checked_name,
    known_dtype,
    read_shape,
    result_dtype,
)
from quadgate.model.variables import Array, Stored

FLOATS: dict[int, tuple[int, np.dtype[Any]]] = {
    1: (5, np.dtype("<f4")),
    2: (6, np.dtype("<f8")),
    8: (9, np.dtype("<c8")),
    18: (12, np.dtype("<c16")),
}
"""The field of a TensorProto in which each dtype's numbers lie, where each has a fixed size."""

VARINTS = {3: 7, 4: 7, 5: 7, 6: 7, 17: 7, 9: 10, 10: 11, 19: 13, 14: 13}
"""The field in which they lie as varints; halves and bfloat16 as their bits."""


@dataclass(frozen=True)
class Described:
    """What the first record says about a tensor."""

    shape: tuple[int, ...]
    dtype: int


def read_single_file(path: Path) -> Contents:
    """Read a checkpoint of version 1; all blocks are checked now, numbers are read when they are used.

    Raises:
        FileFormatError: the file is damaged or its numbers do not fill the shapes that it names.
    """
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    described: dict[str, Described] | None = None
    parts: dict[str, list[tuple[Slice, Buffer]]] = {}
    for key, value in entries(data, str(path)):
        place = f"{path}: {ascii(key[:100].decode('utf-8', 'backslashreplace'))[1:-1]}"
        if described is None:
            if key:
                raise FileFormatError(f"{place}: found first, expected the list of tensors")
            described = _read_list(value, f"{path}: list of tensors")
            continue
        name, part, tensor = _read_part(value, place)
        if name not in described:
            raise FileFormatError(f"{place}: the tensor {name!r} is not in the list of tensors")
        parts.setdefault(name, []).append((part, tensor))
    contents = Contents()
    for name, one in (described or {}).items():
        if one.dtype in UNREAD:
            contents.unread[name] = f"{UNREAD[one.dtype]}, no numbers"
        elif name not in parts:
            raise FileFormatError(f"{path}: {name}: is in the list of tensors, but has no numbers")
        else:
            contents.tensors[name] = _stored(f"{path}: {name}", one, parts[name])
    return contents


def _read_list(data: Buffer, place: str) -> dict[str, Described]:
    described = {}
    for field, meta in fields(data, place):
        for inner, tensor in fields(message(meta, place), place) if field == 1 else ():
            if inner != 1:
                continue
            name, dtype = "", 0
            shape: tuple[int, ...] = ()
            for index, value in fields(message(tensor, place), place):
                if index == 1:
                    name = text(value, place)
                elif index == 2:
                    shape = read_shape(message(value, place), place)
                elif index == 3:
                    dtype = number(value, place)
            described[checked_name(name, place)] = Described(shape, known_dtype(dtype, f"{place}: {name}"))
    return described


def _read_part(data: Buffer, place: str) -> tuple[str, Slice, Buffer]:
    name = ""
    part: Slice = ()
    tensor: Buffer = b""
    for field, saved in fields(data, place):
        for inner, value in fields(message(saved, place), place) if field == 2 else ():
            if inner == 1:
                name = text(value, place)
            elif inner == 2:
                part = read_slice(message(value, place), place)
            elif inner == 3:
                tensor = message(value, place)
    return name, part, tensor


def _stored(place: str, described: Described, parts: list[tuple[Slice, Buffer]]) -> Stored:
    """Describe a tensor; what its parts can hold is compared with its shape before any memory is taken."""
    places = [(resolve(part, described.shape, place), tensor) for part, tensor in parts]
    shapes = [tuple(s.stop - s.start for s in where) for where, _ in places]
    room = sum(len(tensor) for _, tensor in places)
    if sum(map(prod, shapes)) != prod(described.shape) or prod(described.shape) > room:
        raise FileFormatError(f"{place}: {room} bytes in {len(parts)} parts do not fill its shape {described.shape}")

    def read() -> Array:
        result = np.empty(described.shape, result_dtype(described.dtype))
        filled = np.zeros(described.shape, bool)
        for (where, tensor), shape in zip(places, shapes, strict=True):
            values = _values(tensor, described.dtype, place)
            if values.size != prod(shape):
                raise FileFormatError(f"{place}: found {values.size} numbers, expected {prod(shape)} for {shape}")
            result[where] = values.reshape(shape)
            filled[where] = True
        if not filled.all():
            raise FileFormatError(f"{place}: its parts overlap and leave numbers out")
        return result

    return Stored(described.shape, result_dtype(described.dtype), read)


def _values(tensor: Buffer, dtype: int, place: str) -> Array:
    """Return the numbers of a TensorProto."""
    wanted = FLOATS[dtype][0] if dtype in FLOATS else VARINTS.get(dtype)
    if wanted is None:
        raise FileFormatError(f"{place}: dtype {DTYPES[dtype]} is not read from a checkpoint of version 1")
    packed = b"".join(bytes(message(value, place)) for field, value in fields(tensor, place) if field == wanted)
    if dtype in FLOATS:
        stored = FLOATS[dtype][1]
        if len(packed) % stored.itemsize:
            raise FileFormatError(f"{place}: found {len(packed)} bytes, expected whole numbers of {stored.itemsize}")
        return np.frombuffer(packed, stored)
    numbers = []
    at = 0
    while at < len(packed):
        value, at = varint(packed, at, place)
        numbers.append(value)
    bits = np.array(numbers, np.uint64)
    if dtype == 14:
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.astype(np.uint16).view(np.float16) if dtype == 19 else bits.view(np.int64).astype(DTYPES[dtype])
