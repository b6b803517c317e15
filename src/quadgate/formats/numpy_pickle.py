"""Reads a pickled dictionary of NumPy arrays without running anything from the file.

Source: `numpy/core/src/multiarray/methods.c` (`array_reduce`, `array_setstate`) and `descriptor.c`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import FileFormatError
from quadgate.formats.pickles import Global, load, shown
from quadgate.formats.torch_names import build_named
from quadgate.layouts import Settings
from quadgate.model import Model, Variables

Array = NDArray[Any]

_NDARRAY = Global("numpy", "ndarray")
_KINDS = "?bhilqBHILQefdFD"


def read_model(path: Path, settings: Settings) -> Model:
    """Read the recurrent layers of a pickled dictionary of arrays, which have PyTorch's names.

    Raises:
        FileFormatError: the pickle is damaged, asks for code to be run, or holds no LSTM or GRU.
    """
    return build_named(Variables(read(path)), path, settings)


def read(path: Path) -> dict[str, Array]:
    """Read the arrays of a pickle by their dotted path.

    Raises:
        FileFormatError: the pickle is damaged, asks for code to be run, or holds arrays of objects.
    """
    with path.open("rb") as stream:
        content = load(stream, str(path), _CONSTRUCTORS)
    arrays: dict[str, Array] = {}
    seen: set[int] = set()
    waiting = [("", content)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, _Unfinished):
            arrays[name] = value.array(path, name)
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend(reversed([(f"{name}.{key}" if name else str(key), part) for key, part in parts]))
    return arrays


class _Dtype:
    """`numpy.dtype(name, ...)` and the byte order that its state adds."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(name) if isinstance(name, str) and len(name) < 8 else np.dtype(object)
        if self.dtype.char not in _KINDS:
            raise ValueError(f"an array of dtype {shown(name)}, expected numbers")

    def set_state(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Unfinished:
    """An array between `_reconstruct`, which makes it empty, and its state, which brings shape, dtype and bytes."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if kind != _NDARRAY:
            raise ValueError(f"an array of class {shown(kind)}, expected {_NDARRAY}")
        self.state: tuple[Any, ...] = ()

    def set_state(self, state: Any) -> None:
        self.state = tuple(state)

    def array(self, path: Path, name: str) -> Array:
        match self.state:
            case (_, tuple(shape), _Dtype() as kind, bool(fortran), str() | bytes() as data):
                content = data.encode("latin1") if isinstance(data, str) else data
            case _:
                raise FileFormatError(f"{path}: array {name!r} has no shape, dtype and bytes")
        if not all(isinstance(size, int) and 0 <= size < 2**63 for size in shape):
            raise FileFormatError(f"{path}: array {name!r} has shape {shown(shape)}")
        if math.prod(shape) * kind.dtype.itemsize != len(content):
            found = f"{len(content)} bytes for shape {shown(shape)} of {kind.dtype}"
            raise FileFormatError(f"{path}: array {name!r} has {found}, expected as many as the shape needs")
        return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _scalar(kind: Any, data: Any) -> Any:
    if not isinstance(kind, _Dtype) or not isinstance(data, bytes) or len(data) != kind.dtype.itemsize:
        raise ValueError("a number without dtype or bytes")
    return np.frombuffer(data, kind.dtype)[0]


_CONSTRUCTORS = {
    Global("numpy", "dtype"): _Dtype,
    **{
        Global(module, name): function
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, function in (("_reconstruct", _Unfinished), ("scalar", _scalar))
    },
}
