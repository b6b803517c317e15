"""Snappy's raw format, in which a table's blocks may be packed.

Source: github.com/google/snappy, format_description.txt.
"""

from __future__ import annotations

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, varint

LARGEST_RATIO = 32  # three bytes copy at most 64


def unpack(data: Buffer, place: str) -> bytes:
    """Return the unpacked bytes.

    Raises:
        FileFormatError: the data ends early, copies from before its start, or is not as long as it says; a length that
            the data cannot reach is refused before anything is unpacked.

    >>> unpack(bytes([6, 0x00, 0x61, 0x05, 0x01]), "example")
    b'aaaaaa'
    """
    length, at = varint(data, 0, place)
    if length > LARGEST_RATIO * len(data):
        raise FileFormatError(f"{place}: {len(data)} packed bytes cannot hold the {length} bytes that they announce")
    result = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, size = tag & 3, (tag >> 2) + 1
        extra = (size - 60 if size > 60 else 0) if kind == 0 else (1, 2, 4)[kind - 1]
        if at + extra > len(data):
            raise FileFormatError(f"{place}: packed data ends within an element at byte {at}")
        number = int.from_bytes(data[at : at + extra], "little")
        at += extra
        if kind == 0:
            size = number + 1 if extra else size
            if at + size > len(data):
                raise FileFormatError(f"{place}: packed data ends within {size} literal bytes at byte {at}")
            result += data[at : at + size]
            at += size
        else:
            if kind == 1:
                size, number = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | number
            if not 0 < number <= len(result):
                raise FileFormatError(f"{place}: packed data copies from {number} bytes back, found {len(result)}")
            pattern = bytes(result[-number:][:size])
            result += (pattern * (size // len(pattern) + 1))[:size]
        if len(result) > length:
            break
    if len(result) != length:
        raise FileFormatError(f"{place}: unpacks to {len(result)} bytes or more, expected {length}")
    return bytes(result)
