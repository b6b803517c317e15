"""Keys of tensor slices: a variable's name and which part of it, in bytes that sort as the parts do.

Source: tensorflow/core/util/saved_tensor_slice_util.cc and tensorflow/core/lib/strings/ordered_code.cc at v1.15.0.
"""

from __future__ import annotations

from typing import NamedTuple

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, fields, message, number, signed

WHOLE = -1


class Extent(NamedTuple):
    """A range of one dimension; the whole of it has start 0 and length -1."""

    start: int
    length: int


Slice = tuple[Extent, ...]


def slice_key(name: str, part: Slice) -> bytes:
    """Return the key of a slice.

    >>> slice_key("w", (Extent(0, WHOLE),)).hex()
    '007700010101807f'
    """
    escaped = name.encode().replace(b"\x00", b"\x00\xff")  # UTF-8 has no byte ff, the other one to be escaped
    numbers = b"".join(_increasing(n) for extent in part for n in extent)
    rank = len(part).to_bytes(1, "big") if part else b""
    return b"\x00" + escaped + b"\x00\x01" + bytes([len(rank)]) + rank + numbers


def _increasing(n: int) -> bytes:
    """Write a signed number so that bytes sort as numbers do: the sign and the length lead."""
    size = 1
    while not -(1 << (7 * size - 1)) <= n < 1 << (7 * size - 1):
        size += 1
    lead = ((1 << size) - 1) << (7 * size)  # `size` ones, then a zero, then the number
    return ((n & ((1 << 8 * size) - 1)) ^ lead).to_bytes(size, "big")


def read_slice(data: Buffer, place: str) -> Slice:
    """Read a TensorSliceProto; a dimension whose length is absent is whole."""
    extents = []
    for field, value in fields(data, place):
        if field == 1:
            start, length = 0, WHOLE
            for inner, n in fields(message(value, place), place):
                if inner == 1:
                    start = signed(number(n, place))
                elif inner == 2:
                    length = signed(number(n, place))
            extents.append(Extent(start, length))
    return tuple(extents)


def resolve(part: Slice, shape: tuple[int, ...], place: str) -> tuple[slice, ...]:
    """Return the part as Python slices of an array of that shape.

    Raises:
        FileFormatError: another number of dimensions, or a range outside its dimension.
    """
    if len(part) != len(shape):
        raise FileFormatError(f"{place}: found a slice of {len(part)} dimensions, expected {len(shape)}")
    result = []
    for (start, length), size in zip(part, shape, strict=True):
        stop = size if length == WHOLE else start + length
        if not 0 <= start <= stop <= size:
            raise FileFormatError(f"{place}: found a slice from {start} to {stop}, expected it within 0 to {size}")
        result.append(slice(start, stop))
    return tuple(result)
