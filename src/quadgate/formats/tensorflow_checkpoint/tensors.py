"""What both versions of the checkpoint say about a tensor: its type and its shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, fields, message, number, signed
from quadgate.model.variables import Array, Stored, widen_bfloat16

BFLOAT16 = 14
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("i1"),
    8: np.dtype("<c8"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    BFLOAT16: np.dtype("<u2"),
    17: np.dtype("<u2"),
    18: np.dtype("<c16"),
    19: np.dtype("<f2"),
    22: np.dtype("<u4"),
    23: np.dtype("<u8"),
}
"""TensorFlow's numbers for the dtypes that are read; a bfloat16 is kept as the 16 bits that it is stored in."""

UNREAD = {7: "text", 20: "a resource", 21: "a variant"}
LARGEST_RANK = 64
LARGEST_COUNT = 1 << 62


@dataclass
class Contents:
    """The tensors of a checkpoint: those that are numbers, and why the others are not read.

    `objects` tells that TensorFlow 2 wrote it, by the objects that hold the variables.
    """

    tensors: dict[str, Stored] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    objects: bool = False


def known_dtype(code: int, place: str) -> int:
    """Return the dtype's number, without the mark of a reference.

    Raises:
        FileFormatError: the number is not one of TensorFlow's.
    """
    code = code - 100 if code > 100 else code
    if code not in DTYPES and code not in UNREAD:
        raise FileFormatError(f"{place}: found dtype {code}, which TensorFlow 1 does not have")
    return code


def checked_name(name: str, place: str) -> str:
    """Return a variable's name, which is text that can be printed on one line.

    Raises:
        FileFormatError: it is not.
    """
    if not name.isprintable():
        raise FileFormatError(f"{place}: found the name {name[:100]!a}, expected text that can be printed")
    return name


def result_dtype(code: int) -> np.dtype[Any]:
    """Return the dtype in which the numbers are handed out: native byte order, float32 for bfloat16."""
    return np.dtype(np.float32) if code == BFLOAT16 else DTYPES[code].newbyteorder("=")


def decode(raw: Array, code: int, shape: tuple[int, ...], big_endian: bool = False) -> Array:
    """Return a tensor's bytes as an array; a view of them where their order is the machine's."""
    stored = DTYPES[code].newbyteorder(">") if big_endian else DTYPES[code]
    values = np.frombuffer(raw, stored)
    if code == BFLOAT16:
        values = widen_bfloat16(values)
    return values.astype(result_dtype(code), copy=False).reshape(shape)


def read_shape(data: Buffer, place: str) -> tuple[int, ...]:
    """Read a TensorShapeProto.

    Raises:
        FileFormatError: a size is below zero or not known, or there are more numbers than any file holds.
    """
    shape: list[int] = []
    count = 1
    for index, value in fields(data, place):
        if index == 3 and value:
            raise FileFormatError(f"{place}: found a shape of unknown rank, expected sizes")
        if index == 2:
            size = 0
            for inner, n in fields(message(value, place), place):
                if inner == 1:
                    size = signed(number(n, place))
            if size < 0:
                raise FileFormatError(f"{place}: found the size {size} in a shape, expected 0 or more")
            shape.append(size)
            count *= max(size, 1)
            if len(shape) > LARGEST_RANK or count > LARGEST_COUNT:
                raise FileFormatError(f"{place}: found shape {tuple(shape[:4])}..., more than any file holds")
    return tuple(shape)
