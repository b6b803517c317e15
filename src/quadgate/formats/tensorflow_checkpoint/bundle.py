"""Version 2 of the TensorFlow 1 checkpoint, the default from 0.12: a table of places, and shards of raw numbers.

Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc and tensorflow/core/protobuf/tensor_bundle.proto at
v1.15.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.formats.protobuf import Buffer, fields, message, number, signed, varint
from quadgate.formats.tensorflow_checkpoint.crc32c import crc32c, masked
from quadgate.formats.tensorflow_checkpoint.objects import OBJECTS, named_by_objects
from quadgate.formats.tensorflow_checkpoint.slices import Slice, read_slice, resolve, slice_key
from quadgate.formats.tensorflow_checkpoint.table import entries
from quadgate.formats.tensorflow_checkpoint.tensors import (
    DTYPES,
    UNREAD,
    Contents,
    checked_name,
    decode,
    known_dtype,
    read_shape,
    result_dtype,
)
from quadgate.model.variables import Array, Stored

LARGEST_INDEX = 1 << 30
LARGEST_TEXT = 1 << 26
TEXT = 7


@dataclass(frozen=True)
class Header:
    """How many data files there are, and the byte order of their numbers."""

    shards: int
    big_endian: bool


@dataclass(frozen=True)
class Entry:
    """Where a tensor, or a slice of one, lies; a tensor that is cut into slices has no place of its own."""

    dtype: int
    shape: tuple[int, ...]
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    slices: tuple[Slice, ...] = ()


def read_bundle(prefix: Path) -> Contents:
    """Read the index of the checkpoint `PREFIX.index`; numbers are read, and checked, when they are used.

    Raises:
        FileFormatError: the index is damaged, or a place that it names does not exist.
    """
    index = Path(f"{prefix}.index")
    size = index.stat().st_size
    if size > LARGEST_INDEX:
        raise FileFormatError(f"{index}: found {size} bytes, expected at most {LARGEST_INDEX}")
    header: Header | None = None
    found: dict[bytes, Entry] = {}
    for key, value in entries(index.read_bytes(), str(index)):
        place = f"{index}: {_printable(key)}"
        if header is None:
            if key:
                raise FileFormatError(f"{index}: found {_printable(key)} first, expected the header of a bundle")
            header = _read_header(value, f"{index}: header")
        else:
            found[key] = _read_entry(value, place)
    if header is None:
        raise FileFormatError(f"{index}: found no entries, expected the header of a bundle")
    shards = _Shards(prefix, header)
    shards.check(found)
    contents = Contents()
    for key, entry in found.items():
        if key.startswith(b"\x00"):
            continue  # a slice, which is read through its whole
        name = _name(key, str(index))
        if entry.dtype in UNREAD:
            contents.unread[name] = f"{UNREAD[entry.dtype]}, no numbers"
        elif entry.slices:
            contents.tensors[name] = shards.assembled(name, entry, found)
        else:
            contents.tensors[name] = shards.stored(name, entry)
    listed = found.get(OBJECTS.encode())
    if listed is not None and listed.dtype == TEXT and not listed.slices:
        named_by_objects(contents, shards.text(listed), f"{index}: {OBJECTS}")
    return contents


class _Shards:
    """The data files of one checkpoint."""

    def __init__(self, prefix: Path, header: Header) -> None:
        self.prefix = prefix
        self.header = header

    def path(self, shard: int) -> Path:
        return Path(f"{self.prefix}.data-{shard:05d}-of-{self.header.shards:05d}")

    def check(self, found: dict[bytes, Entry]) -> None:
        """Refuse places outside the files and places that overlap."""
        sizes: dict[int, int] = {}
        end, shard, before = 0, -1, b""
        places = ((e.shard, e.offset, key, e) for key, e in found.items() if not e.slices and e.size)
        for _, _, key, entry in sorted(places, key=lambda item: item[:3]):
            place = f"{self.prefix}.index: {_printable(key)}"
            if entry.shard >= self.header.shards:
                raise FileFormatError(f"{place}: found data file {entry.shard} of {self.header.shards}")
            path = self.path(entry.shard)
            if entry.shard not in sizes:
                if not path.is_file():
                    raise FileFormatError(f"{path}: not found, expected beside the index, which names it")
                sizes[entry.shard] = path.stat().st_size
            if entry.offset + entry.size > sizes[entry.shard]:
                raise FileFormatError(
                    f"{place}: its bytes {entry.offset} to {entry.offset + entry.size} reach past the end of "
                    f"{path.name}, which has {sizes[entry.shard]}: cut off, or of another checkpoint"
                )
            if entry.shard == shard and entry.offset < end:
                raise FileFormatError(f"{place}: its bytes from {entry.offset} overlap those of {_printable(before)}")
            end, shard, before = entry.offset + entry.size, entry.shard, key

    def stored(self, name: str, entry: Entry) -> Stored:
        def read() -> Array:
            return decode(self.raw(name, entry), entry.dtype, entry.shape, self.header.big_endian)

        return Stored(entry.shape, result_dtype(entry.dtype), read)

    def raw(self, name: str, entry: Entry) -> Array:
        """Map the bytes of an entry into memory and check them."""
        if not entry.size:
            return np.zeros(0, np.uint8)
        path = self.path(entry.shard)
        raw: Array = np.memmap(path, np.uint8, "r", entry.offset, (entry.size,))
        checksum = masked(crc32c(raw.data))
        if checksum != entry.checksum:
            raise FileFormatError(
                f"{path}: {name}: damaged: found checksum {checksum:08x}, expected {entry.checksum:08x}"
            )
        return raw

    def text(self, entry: Entry) -> bytes:
        """Read a tensor of one text: its length, a checksum of that, and the bytes."""
        place = f"{self.path(entry.shard)}: {OBJECTS}"
        if not 0 < entry.size <= LARGEST_TEXT:
            raise FileFormatError(f"{place}: found {entry.size} bytes, expected 1 to {LARGEST_TEXT}")
        with self.path(entry.shard).open("rb") as file:
            file.seek(entry.offset)
            raw = file.read(entry.size)
        size, at = varint(raw, 0, place)
        if at + 4 + size != len(raw):
            raise FileFormatError(f"{place}: found {len(raw)} bytes, expected {at + 4 + size}")
        return raw[at + 4 :]

    def assembled(self, name: str, whole: Entry, found: dict[bytes, Entry]) -> Stored:
        """Describe a variable that was saved in slices."""
        place = f"{self.prefix}.index: {name}"
        parts: list[tuple[tuple[slice, ...], Entry]] = []
        for part in whole.slices:
            entry = found.get(slice_key(name, part))
            if entry is None or entry.slices:
                raise FileFormatError(f"{place}: its slice {_extents(part)} is missing")
            where = resolve(part, whole.shape, place)
            if entry.shape != tuple(s.stop - s.start for s in where) or entry.dtype != whole.dtype:
                raise FileFormatError(f"{place}: its slice {_extents(part)} has shape {entry.shape} or another dtype")
            parts.append((where, entry))
        if sum(prod(entry.shape) for _, entry in parts) != prod(whole.shape):
            raise FileFormatError(f"{place}: its {len(parts)} slices do not fill its shape {whole.shape}")

        def read() -> Array:
            result = np.empty(whole.shape, result_dtype(whole.dtype))
            filled = np.zeros(whole.shape, bool)
            for where, entry in parts:
                raw = self.raw(name, entry)
                result[where] = decode(raw, entry.dtype, entry.shape, self.header.big_endian)
                filled[where] = True
            if not filled.all():
                raise FileFormatError(f"{place}: its slices overlap and leave numbers out")
            return result

        return Stored(whole.shape, result_dtype(whole.dtype), read)


def _read_header(data: Buffer, place: str) -> Header:
    shards, big_endian = 0, False
    for field, value in fields(data, place):
        if field == 1:
            shards = number(value, place)
        elif field == 2:
            big_endian = number(value, place) == 1
        elif field == 3:
            for inner, n in fields(message(value, place), place):
                if inner == 2 and number(n, place) > 1:
                    raise FileFormatError(f"{place}: needs a reader of bundle version {n!r}, this one reads version 1")
    if not 1 <= shards <= 99999:
        raise FileFormatError(f"{place}: found {shards} data files, expected 1 to 99999")
    return Header(shards, big_endian)


def _read_entry(data: Buffer, place: str) -> Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    slices: list[Slice] = []
    for field, value in fields(data, place):
        if field == 2:
            shape = read_shape(message(value, place), place)
        elif field == 7:
            slices.append(read_slice(message(value, place), place))
        elif field in numbers:
            numbers[field] = signed(number(value, place))
    dtype = known_dtype(numbers[1], place)
    entry = Entry(dtype, shape, numbers[3], numbers[4], numbers[5], numbers[6], tuple(slices))
    if min(entry.shard, entry.offset, entry.size) < 0:
        raise FileFormatError(f"{place}: found a place below zero: file {entry.shard}, byte {entry.offset}")
    if dtype in DTYPES and not slices and entry.size != prod(shape) * DTYPES[dtype].itemsize:
        raise FileFormatError(
            f"{place}: found {entry.size} bytes, expected {prod(shape) * DTYPES[dtype].itemsize} for shape {shape}"
        )
    return entry


def _name(key: bytes, place: str) -> str:
    try:
        return checked_name(key.decode(), place)
    except UnicodeDecodeError:
        raise FileFormatError(f"{place}: found the name {_printable(key)}, expected UTF-8") from None


def _printable(key: bytes) -> str:
    return ascii(key[:100].decode("utf-8", "backslashreplace"))[1:-1]


def _extents(part: Slice) -> str:
    return "x".join(f"{start}+{length}" for start, length in part)
