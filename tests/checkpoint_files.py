"""Writes TensorFlow 1 checkpoints, and damaged ones, byte by byte: what a reader has to face is built here."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from quadgate.formats.tensorflow_checkpoint.crc32c import crc32c, masked
from quadgate.formats.tensorflow_checkpoint.slices import Extent, slice_key
from quadgate.formats.tensorflow_checkpoint.table import MAGIC

CODES = {
    "f4": 1,
    "f8": 2,
    "i4": 3,
    "u1": 4,
    "i2": 5,
    "i1": 6,
    "i8": 9,
    "b1": 10,
    "f2": 19,
    "u2": 17,
    "u4": 22,
    "u8": 23,
}
BFLOAT16 = 14
TEXT = 7


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    result = b""
    while value > 0x7F:
        result += bytes([value & 0x7F | 0x80])
        value >>= 7
    return result + bytes([value])


def number(index: int, value: int) -> bytes:
    return varint(index << 3) + varint(value)


def message(index: int, data: bytes) -> bytes:
    return varint(index << 3 | 2) + varint(len(data)) + data


def fixed32(index: int, value: int) -> bytes:
    return varint(index << 3 | 5) + struct.pack("<I", value)


def block(body: bytes, packing: int = 0) -> bytes:
    """A block as it is stored, with its packing and checksum."""
    stored = body + bytes([packing])
    return stored + struct.pack("<I", masked(crc32c(stored)))


def block_body(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    body, restarts, before = b"", [], b""
    for count, (key, value) in enumerate(items):
        shared = 0
        if count % 16 == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return body + b"".join(struct.pack("<I", r) for r in restarts) + struct.pack("<I", len(restarts))


def snappy_literals(data: bytes) -> bytes:
    """Snappy's format with nothing repeated."""
    packed = varint(len(data))
    for at in range(0, len(data), 60):
        part = data[at : at + 60]
        packed += bytes([len(part) - 1 << 2]) + part
    return packed


def table(items: Sequence[tuple[bytes, bytes]], per_block: int = 5, snappy: bool = False) -> bytes:
    """A whole table; every second block is packed where `snappy` asks for it."""
    data, index = b"", []
    for count, at in enumerate(range(0, len(items), per_block)):
        body = block_body(items[at : at + per_block])
        packing = int(snappy and count % 2 == 0)
        body = snappy_literals(body) if packing else body
        index.append((items[min(at + per_block, len(items)) - 1][0] + b"\x00", varint(len(data)) + varint(len(body))))
        data += block(body, packing)
    return finish(data, index)


def finish(data: bytes, index: list[tuple[bytes, bytes]]) -> bytes:
    """Add the index block and the footer to blocks."""
    empty, places = block_body([]), block_body(index)
    meta = varint(len(data)) + varint(len(empty))
    data += block(empty)
    footer = meta + varint(len(data)) + varint(len(places))
    return data + block(places) + footer.ljust(40, b"\x00") + MAGIC


def shape(sizes: Iterable[int]) -> bytes:
    return b"".join(message(2, number(1, size)) for size in sizes)


def header(shards: int = 1, big_endian: bool = False, consumer: int = 0) -> bytes:
    return (
        number(1, shards)
        + (number(2, 1) if big_endian else b"")
        + message(3, number(1, 1) + (number(2, consumer) if consumer else b""))
    )


def entry(code: int, sizes: Iterable[int], raw: bytes, offset: int = 0, shard: int = 0, **changed: int) -> bytes:
    return (
        number(1, changed.get("code", code))
        + message(2, shape(sizes))
        + number(3, shard)
        + number(4, changed.get("offset", offset))
        + number(5, changed.get("size", len(raw)))
        + fixed32(6, changed.get("checksum", masked(crc32c(raw))))
    )


def code_of(array: np.ndarray) -> int:
    return CODES[array.dtype.str[1:]]


def write_bundle(
    prefix: Path,
    arrays: dict[str, np.ndarray],
    *,
    shards: int = 1,
    snappy: bool = False,
    big_endian: bool = False,
    rows_per_slice: dict[str, int] | None = None,
    text: dict[str, bytes] | None = None,
    extra: dict[bytes, bytes] | None = None,
) -> None:
    """Write a checkpoint of version 2, its tensors spread over the shards, some cut into slices of rows."""
    files = [b""] * shards
    items = {b"": header(shards, big_endian)}

    def place(key: bytes, array: np.ndarray) -> None:
        shard = len(items) % shards
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder(">") if big_endian else array.dtype).tobytes()
        items[key] = entry(code_of(array), array.shape, raw, len(files[shard]), shard)
        files[shard] += raw

    for name, array in arrays.items():
        step = (rows_per_slice or {}).get(name)
        if step is None:
            place(name.encode(), array)
            continue
        slices = b""
        for start in range(0, len(array), step):
            part = array[start : start + step]
            extents = (Extent(start, len(part)), *(Extent(0, -1) for _ in array.shape[1:]))
            slices += message(
                7, message(1, number(1, start) + number(2, len(part))) + message(1, b"") * (array.ndim - 1)
            )
            place(slice_key(name, extents), part)
        items[name.encode()] = number(1, code_of(array)) + message(2, shape(array.shape)) + slices
    for name, raw in (text or {}).items():
        items[name.encode()] = entry(TEXT, (), raw, len(files[0]))
        files[0] += raw
    items |= extra or {}
    for shard, data in enumerate(files):
        Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}").write_bytes(data)
    Path(f"{prefix}.index").write_bytes(table(sorted(items.items()), snappy=snappy))


def write_single_file(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a checkpoint of version 1."""
    path.write_bytes(table(single_file_items(arrays)))


def single_file_items(arrays: dict[str, np.ndarray]) -> list[tuple[bytes, bytes]]:
    """What a checkpoint of version 1 lists, each array as one slice."""
    metas, items = b"", {}
    for name, array in arrays.items():
        whole = message(1, b"") * array.ndim
        sizes = message(2, shape(array.shape))
        metas += message(1, message(1, name.encode()) + sizes + number(3, code_of(array)) + message(4, whole))
        if array.dtype.kind == "f" and array.dtype.itemsize > 2:
            tensor = message(5 if array.dtype == np.float32 else 6, array.tobytes())
        elif array.dtype == np.float16:
            tensor = message(13, b"".join(varint(int(bits)) for bits in array.view(np.uint16).ravel()))
        else:
            tensor = message(10 if array.dtype == np.int64 else 7, b"".join(varint(int(n)) for n in array.ravel()))
        key = slice_key(name, tuple(Extent(0, -1) for _ in array.shape))
        items[key] = message(2, message(1, name.encode()) + message(2, whole) + message(3, tensor))
    return [(b"", message(1, metas)), *sorted(items.items())]


def cell_arrays(
    scope: str = "rnn/basic_lstm_cell", inputs: int = 3, units: int = 2, seed: int = 0
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        f"{scope}/kernel": random.normal(size=(inputs + units, 4 * units)).astype(np.float32),
        f"{scope}/bias": random.normal(size=4 * units).astype(np.float32),
    }
