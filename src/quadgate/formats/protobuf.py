"""Protocol buffers on the wire, read without a schema: numbered fields of a few kinds.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

from quadgate.errors import FileFormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Buffer = bytes | memoryview


def varint(data: Buffer, at: int, place: str) -> tuple[int, int]:
    """Return the unsigned varint that starts at `at`, and the place after it.

    Raises:
        FileFormatError: the data ends within it, or it is longer than 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise FileFormatError(f"{place}: ends within a number at byte {at}, expected more bytes")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise FileFormatError(f"{place}: found a number of more than 10 bytes before byte {at}")


def fields(data: Buffer, place: str) -> Iterator[tuple[int, int | Buffer]]:
    """Yield each field's number and its value: an int for varints and fixed sizes, the bytes for all else.

    Raises:
        FileFormatError: the data ends within a field or holds a kind of field that no longer exists.

    >>> list(fields(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69]), "example"))
    [(1, 150), (2, b'hi')]
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at, place)
            yield number, value
            continue
        if kind == BYTES:
            size, at = varint(data, at, place)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise FileFormatError(f"{place}: found a field of kind {kind} before byte {at}, expected 0, 1, 2 or 5")
        if size > len(data) - at:
            raise FileFormatError(f"{place}: field {number} has {size} bytes, found {len(data) - at} up to the end")
        part = data[at : at + size]
        at += size
        yield number, part if kind == BYTES else int.from_bytes(part, "little")


def signed(value: int) -> int:
    """Return a varint as the int64 that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def text(value: int | Buffer, place: str) -> str:
    """Return a field's bytes as UTF-8 text.

    Raises:
        FileFormatError: the field holds a number, or its bytes are no UTF-8.
    """
    try:
        return bytes(message(value, place)).decode()
    except UnicodeDecodeError:
        raise FileFormatError(f"{place}: found bytes that are not UTF-8, expected text") from None


def message(value: int | Buffer, place: str) -> Buffer:
    """Return a field's bytes.

    Raises:
        FileFormatError: the field holds a number.
    """
    if isinstance(value, int):
        raise FileFormatError(f"{place}: found a number, expected bytes")
    return value


def number(value: int | Buffer, place: str) -> int:
    """Return a field's number.

    Raises:
        FileFormatError: the field holds bytes.
    """
    if not isinstance(value, int):
        raise FileFormatError(f"{place}: found bytes, expected a number")
    return value


def write_varint(value: int) -> bytes:
    """Return an unsigned number, seven bits to a byte.

    >>> write_varint(150).hex()
    '9601'
    """
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def write_field(number: int, value: int | bytes) -> bytes:
    """Return a field: a varint, or bytes with their length before them.

    >>> list(fields(write_field(1, 150) + write_field(2, b"hi"), "example"))
    [(1, 150), (2, b'hi')]
    """
    if isinstance(value, int):
        return write_varint(number << 3 | VARINT) + write_varint(value)
    return write_varint(number << 3 | BYTES) + write_varint(len(value)) + value


def write_fixed32(number: int, value: int) -> bytes:
    """Return a field of four bytes."""
    return write_varint(number << 3 | FIXED32) + value.to_bytes(4, "little")
