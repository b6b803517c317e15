"""The sorted string table in which TensorFlow's checkpoints keep their keys.

A file of blocks, then an index block with the place of each, then a footer with the place of the index. Every block
is followed by one byte that tells whether it is packed, and by a checksum.

Sources: github.com/google/leveldb, doc/table_format.md; tensorflow/core/lib/io/{format,block}.cc at v1.15.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, varint
from quadgate.formats.tensorflow_checkpoint.crc32c import crc32c, masked
from quadgate.formats.tensorflow_checkpoint.snappy import unpack

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
TRAILER = 5
LARGEST_KEYS = 64  # keys share their beginnings; together they may be this many times as long as the file


class Handle(NamedTuple):
    """The place of a block, without its trailer."""

    offset: int
    size: int


def is_table(end: Buffer) -> bool:
    """Whether a file that ends in these bytes is a table."""
    return bytes(end[-len(MAGIC) :]) == MAGIC


def entries(data: Buffer, name: str) -> Iterator[tuple[bytes, Buffer]]:
    """Yield the keys of a table, in rising order, with their values.

    Raises:
        FileFormatError: the table is damaged: says in which block, what was found and expected.
    """
    if len(data) < FOOTER or not is_table(data):
        raise FileFormatError(f"{name}: ends in {bytes(data[-8:]).hex() or 'nothing'}, expected {MAGIC.hex()}: {_WHY}")
    body = data[: len(data) - FOOTER]
    footer = data[len(data) - FOOTER :]
    _, at = _handle(footer, 0, f"{name}: footer")
    index, _ = _handle(footer, at, f"{name}: footer")
    budget = LARGEST_KEYS * len(data)
    before, end = b"", 0
    first = True
    for _, value in _block(body, index, f"{name}: index block"):
        handle, _ = _handle(value, 0, f"{name}: index block")
        place = f"{name}: block at byte {handle.offset}"
        if handle.offset < end:
            raise FileFormatError(f"{place}: overlaps the one before, which ends at byte {end}")
        end = handle.offset + handle.size
        for key, item in _block(body, handle, place):
            budget -= len(key)
            if budget < 0:
                raise FileFormatError(f"{place}: its keys are more than {LARGEST_KEYS} times as long as the file")
            if not first and key <= before:
                raise FileFormatError(f"{place}: key {key[:60]!r} comes after {before[:60]!r}, expected rising keys")
            first, before = False, key
            yield key, item


_WHY = "not a TensorFlow table, or cut off"


def _handle(data: Buffer, at: int, place: str) -> tuple[Handle, int]:
    offset, at = varint(data, at, place)
    size, at = varint(data, at, place)
    return Handle(offset, size), at


def _block(body: Buffer, handle: Handle, place: str) -> Iterator[tuple[bytes, Buffer]]:
    """Check and unpack a block, and yield its entries."""
    stored = handle.size + 1
    if handle.offset + handle.size + TRAILER > len(body):
        raise FileFormatError(f"{place}: {handle.size} bytes reach past the end at byte {len(body)}")
    data = body[handle.offset : handle.offset + stored]
    found = int.from_bytes(body[handle.offset + stored : handle.offset + stored + 4], "little")
    expected = masked(crc32c(data))
    if found != expected:
        raise FileFormatError(f"{place}: damaged: found checksum {found:08x}, expected {expected:08x}")
    kind = data[-1]
    data = data[:-1]
    if kind not in (0, 1):
        raise FileFormatError(f"{place}: found packing {kind}, expected 0 (none) or 1 (Snappy)")
    if kind == 1:
        data = unpack(data, place)
    restarts = int.from_bytes(data[-4:], "little") if len(data) >= 4 else -1
    last = len(data) - 4 * (restarts + 1)
    if restarts < 0 or last < 0:
        raise FileFormatError(f"{place}: found {len(data)} bytes with {restarts} restarts, expected room for them")
    at, key = 0, b""
    while at < last:
        shared, at = varint(data, at, place)
        fresh, at = varint(data, at, place)
        size, at = varint(data, at, place)
        if shared > len(key) or fresh + size > last - at:
            raise FileFormatError(f"{place}: an entry before byte {at} reaches past the block or the key before it")
        key = key[:shared] + bytes(data[at : at + fresh])
        at += fresh
        yield key, data[at : at + size]
        at += size
