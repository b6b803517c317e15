"""Writes version 2 of the TensorFlow 1 checkpoint: a table of places, and one data file of raw numbers.

Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc at v1.15.0; github.com/google/leveldb, doc/table_format.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from quadgate.errors import InputError
from quadgate.formats.protobuf import write_field, write_fixed32, write_varint
from quadgate.formats.tensorflow_checkpoint.crc32c import crc32c, masked
from quadgate.formats.tensorflow_checkpoint.table import FOOTER, MAGIC
from quadgate.formats.tensorflow_checkpoint.tensors import BFLOAT16, DTYPES
from quadgate.model import write_atomically
from quadgate.model.variables import Array

BLOCK = 4096
CODES = {dtype.newbyteorder("="): code for code, dtype in DTYPES.items() if code != BFLOAT16}


def write_bundle(prefix: Path, arrays: Mapping[str, Array]) -> None:
    """Write a checkpoint of named arrays; the index, which a reader looks for, is written last.

    Raises:
        InputError: TensorFlow 1 has no name for the dtype of one.
    """
    offset = 0
    header = write_field(1, 1) + write_field(3, write_field(1, 1))  # one data file, little-endian, version 1
    items = [(b"", header)]
    with write_atomically(Path(f"{prefix}.data-00000-of-00001")) as beside, beside.open("wb") as file:
        for name in sorted(arrays, key=str.encode):
            array = arrays[name]
            if array.dtype.newbyteorder("=") not in CODES:
                raise InputError(f"{prefix}: {name} is {array.dtype}, which a checkpoint cannot hold")
            code = CODES[array.dtype.newbyteorder("=")]
            raw = np.ascontiguousarray(array, DTYPES[code]).tobytes()
            shape = b"".join(write_field(2, write_field(1, size)) for size in array.shape)
            place = write_field(4, offset) + write_field(5, len(raw))
            entry = write_field(1, code) + write_field(2, shape) + place + write_fixed32(6, masked(crc32c(raw)))
            items.append((name.encode(), entry))
            offset += file.write(raw)
    with write_atomically(Path(f"{prefix}.index")) as beside:
        beside.write_bytes(_table(items))


def _table(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a sorted table of blocks, their index, and the footer."""
    written = bytearray()
    index: list[tuple[bytes, bytes]] = []
    waiting: list[tuple[bytes, bytes]] = []
    size = 0

    def add(block: list[tuple[bytes, bytes]]) -> bytes:
        """Append a block with its packing (none) and checksum; return its place."""
        body = _block(block) + b"\x00"
        handle = write_varint(len(written)) + write_varint(len(body) - 1)
        written.extend(body + masked(crc32c(body)).to_bytes(4, "little"))
        return handle

    for key, value in items:
        waiting.append((key, value))
        size += len(key) + len(value)
        if size >= BLOCK:
            index.append((key, add(waiting)))
            waiting, size = [], 0
    if waiting:
        index.append((waiting[-1][0], add(waiting)))
    handles = add([]) + add(index)
    return bytes(written) + handles.ljust(FOOTER - len(MAGIC), b"\x00") + MAGIC


def _block(items: list[tuple[bytes, bytes]]) -> bytes:
    """Return entries with whole keys, and the place of each as one to start from."""
    body = bytearray()
    starts = []
    for key, value in items:
        starts.append(len(body))
        body += write_varint(0) + write_varint(len(key)) + write_varint(len(value)) + key + value
    starts = starts or [0]
    return bytes(body) + b"".join(start.to_bytes(4, "little") for start in [*starts, len(starts)])
