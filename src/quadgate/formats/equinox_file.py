"""Parameters of Equinox, as `equinox.tree_serialise_leaves` writes them: NumPy's `.npy` records, one after the other.

The records have no names, so layers are told by shapes that no other module of Equinox writes side by side: `[4H, C]`,
`[4H, H]` and the bias of an LSTMCell, `[3H, C]`, `[3H, H]` and the two biases of a GRUCell. A line of settings before
them, which Equinox's documentation recommends, is passed over.

Source: patrick-kidger/equinox@9336d82 equinox/_serialisation.py, equinox/nn/_rnn.py; numpy/lib/format.py.
"""

from __future__ import annotations

import io
import mmap
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.layouts import Settings, find
from quadgate.model import Model
from quadgate.model.build import Dense, Found, build
from quadgate.model.variables import Array, Stored, widen_bfloat16

npy: Any = np.lib.format  # its stubs leave arguments out
MAGIC = b"\x93NUMPY"
LARGEST_LINE = 1 << 20
LARGEST_HEADER = 10_000
CELLS = {4: "equinox.nn.LSTMCell", 3: "equinox.nn.GRUCell"}


def read_model(path: Path, settings: Settings) -> Model:
    """Read the LSTM and GRU cells of an `.eqx` file.

    Raises:
        FileFormatError: the file is damaged, or no two of its arrays are a cell's.
    """
    arrays = _read(path)
    names = list(arrays)
    found, dense = [], []
    at = 0
    while at < len(names):
        cell = _cell(names[at:], [arrays[name].shape for name in names[at : at + 4]])
        if cell is not None:
            found.append(cell)
            at += len(cell.tensors)
            continue
        shapes = [arrays[name].shape for name in names[at : at + 2]]
        if len(shapes) == 2 and len(shapes[0]) == 2 and shapes[1] == shapes[0][:1]:
            dense.append(Dense(names[at], names[at + 1], transposed=True))
        at += 1
    if not found:
        first = ", ".join(str(one.shape) for one in list(arrays.values())[:3]) or "none"
        raise FileFormatError(
            f"{path}: found no LSTMCell or GRUCell of Equinox among its {len(arrays)} arrays (shapes {first}, ...), "
            "expected [4H, C] and [4H, H], or [3H, C] and [3H, H], one after the other"
        )
    return build(arrays, found, source=str(path), settings=settings, dense=dense)


def _cell(names: list[str], shapes: list[tuple[int, ...]]) -> Found | None:
    """Take the first arrays for a cell's, where their shapes are those."""
    if len(shapes) < 2 or len(shapes[0]) != 2 or len(shapes[1]) != 2 or not shapes[1][1]:
        return None
    (rows, _), (same, H) = shapes[:2]
    layout = CELLS.get(rows // H, "")
    if rows != same or rows % H or not layout:
        return None
    biases = [(rows,)] if rows == 4 * H else [(rows,), (H,)]
    count = 2 + (len(biases) if shapes[2 : 2 + len(biases)] == biases else 0)
    tensors = [find(layout).name_of(tensor) for tensor in find(layout).tensors][:count]
    return Found(f"cell_{names[0]}", layout, dict(zip(tensors, names, strict=False)), Settings(), group=names[0])


def _read(path: Path) -> dict[str, Stored]:
    size = path.stat().st_size
    if not size:
        raise FileFormatError(f"{path}: found an empty file, expected the arrays of Equinox")
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    at = 0
    if bytes(data[:1]) == b"{":
        at = bytes(data[:LARGEST_LINE]).find(b"\n") + 1
    arrays: dict[str, Stored] = {}
    while at < size:
        place = f"{path}: array {len(arrays)} at byte {at}"
        shape, fortran, dtype, start = _header(data, at, place)
        end = start + prod(shape) * dtype.itemsize
        if end > size:
            raise FileFormatError(f"{place}: its {end - start} bytes reach past the end of the file, which has {size}")
        given = np.dtype(np.float32) if dtype == np.dtype("V2") else dtype.newbyteorder("=")
        arrays[f"leaf_{len(arrays)}"] = Stored(shape, given, _reader(data[start:end], dtype, shape, fortran))
        at = end
    return arrays


def _reader(raw: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> Any:
    def read() -> Array:
        array: Array = np.frombuffer(raw, "<u2" if dtype == np.dtype("V2") else dtype)
        array = widen_bfloat16(array) if dtype == np.dtype("V2") else array.astype(dtype.newbyteorder("="), copy=False)
        return array.reshape(shape, order="F" if fortran else "C")

    return read


def _header(data: memoryview, at: int, place: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read the header of a record: shape, whether in Fortran's order, dtype, and where its numbers begin."""
    part = bytes(data[at : at + LARGEST_HEADER + 12])
    if not part.startswith(MAGIC):
        raise FileFormatError(f"{place}: found {part[:6]!r}, expected an array of NumPy")
    stream = io.BytesIO(part)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=LARGEST_HEADER)
    except Exception as error:  # NumPy raises errors of many kinds for a damaged header
        raise FileFormatError(f"{place}: damaged: {' '.join(str(error).split())[:200]}") from None
    if dtype.hasobject or dtype.kind not in "biufcV" or (dtype.kind == "V" and dtype != np.dtype("V2")):
        raise FileFormatError(f"{place}: found dtype {dtype}, expected numbers")
    if len(shape) > 32 or any(one < 0 for one in shape):
        raise FileFormatError(f"{place}: found shape {shape[:4]}, expected up to 32 sizes of 0 or more")
    return tuple(int(one) for one in shape), bool(fortran), dtype, at + stream.tell()
