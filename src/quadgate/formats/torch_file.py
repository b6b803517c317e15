"""Reads what `torch.save` and `torch.jit.save` write, without torch and without running anything from the file.

A `.pt` file is a zip archive: `NAME/data.pkl` describes the objects, `NAME/data/KEY` holds each storage as raw bytes.
Files of torch before 1.6 are a row of pickles followed by the storages. Source: `torch/serialization.py` and
`torch/csrc/jit/serialization`.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import FileFormatError
from quadgate.formats.pickles import Global, Inert, load, shown
from quadgate.formats.torch_names import build_named
from quadgate.layouts import Settings
from quadgate.model import Model, Stored, Variables
from quadgate.model.variables import widen_bfloat16

Array = NDArray[Any]

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_DIMENSIONS = 64
_BFLOAT16 = "bfloat16"
_MEMBERS = ("_parameters", "_buffers", "_modules")
_SECOND_COPIES = ("_flat_weights",)  # nn.LSTM lists its parameters again for cuDNN
_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}


@dataclass(frozen=True)
class TorchFile:
    """The tensors of a file by their dotted path, memory-mapped where they lie, and what is told of each module.

    Attributes:
        tensors: path -> array, as in `lstm.weight_ih_l0`; a dictionary around a state dict lengthens the path.
        modules: path -> class name and the plain attributes of each module, for files that hold whole modules.
    """

    tensors: Variables
    modules: dict[str, tuple[str, dict[str, Any]]]


def read_model(path: Path, settings: Settings) -> Model:
    """Read the recurrent layers of a file of `torch.save` or `torch.jit.save`.

    Raises:
        FileFormatError: the file is damaged, asks for code to be run, or holds no LSTM or GRU.
    """
    return build_named(read(path).tensors, path, settings)


def read(path: Path) -> TorchFile:
    """Read a state dict, a checkpoint around one, a pickled module or a TorchScript archive.

    Raises:
        FileFormatError: the file is damaged, of another format, or asks for code to be run.
    """
    with path.open("rb") as stream:
        zipped = stream.read(4) == _ZIP_MAGIC
    return _collect(_read_archive(path) if zipped else _read_legacy(path))


def _read_archive(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
        raise FileFormatError(f"{path}: zip archive damaged: {error}") from error
    roots = [name[: -len("data.pkl")] for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise FileFormatError(f"{path}: found {len(roots)} entries NAME/data.pkl in the zip archive, expected 1")
    root = roots[0]
    order: Literal["<", ">"] = ">" if _content(path, entries.get(root + "byteorder")) == b"big" else "<"
    storages: dict[str, Array] = {}

    def storage(identity: Any) -> Array:
        kind, key, count = _storage_identity(path, identity)
        if key not in storages:
            entry = entries.get(f"{root}data/{key}")
            if entry is None:
                raise FileFormatError(f"{path}: storage {key!r} is missing from the archive")
            storages[key] = _map(path, _dtype(path, kind, order), *_span(path, entry), count, key)
        return storages[key]

    pickle = _content(path, entries[root + "data.pkl"])
    return load(io.BytesIO(pickle), f"{path}:{root}data.pkl", _constructors(path), storage)


def _content(path: Path, entry: zipfile.ZipInfo | None) -> bytes:
    if entry is None:
        return b""
    start, size = _span(path, entry)
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(size)


def _span(path: Path, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of an entry lie in the file; torch stores them without compression."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise FileFormatError(f"{path}: {entry.filename} is compressed, expected the plain storage that torch writes")
    with path.open("rb") as stream:
        offset = max(entry.header_offset, 0)  # negative in a damaged archive
        stream.seek(offset)
        header = stream.read(30)
        if len(header) < 30 or header[:4] != _ZIP_MAGIC:
            raise FileFormatError(f"{path}: no entry header at byte {offset} for {entry.filename}")
        name_size, extra_size = struct.unpack("<HH", header[26:30])
        start = offset + 30 + name_size + extra_size
        size = stream.seek(0, io.SEEK_END)
    if start + entry.file_size > size:
        raise FileFormatError(
            f"{path}: {entry.filename} ends at byte {start + entry.file_size}, the file has {size}; it was cut short"
        )
    return start, entry.file_size


def _read_legacy(path: Path) -> Any:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(1) != b"\x80":
            stream.seek(0)
            found = stream.read(8)
            raise FileFormatError(
                f"{path}: starts with {found!r}, expected a file of torch.save (zip archive or pickle)"
            )
        stream.seek(0)
        storages: dict[str, _Deferred] = {}

        def storage(identity: Any) -> _Deferred | Global:
            if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
                return _class(path, identity[1])  # with the source of its class, which is left alone
            kind, key, count = _storage_identity(path, identity)
            return storages.setdefault(key, _Deferred(kind, count))

        magic = load(stream, str(path), {})
        if magic != _LEGACY_MAGIC:
            raise FileFormatError(f"{path}: an ordinary pickle, expected a file of torch.save")
        load(stream, str(path), {})
        load(stream, str(path), {})
        content = load(stream, str(path), _constructors(path), storage)
        keys = load(stream, str(path), {})
        for key in keys if isinstance(keys, list) else []:
            if not isinstance(key, str) or key not in storages:
                raise FileFormatError(f"{path}: storage {shown(key)} is listed and not used")
            count = int.from_bytes(stream.read(8), "little", signed=True)
            storages[key].map(path, stream.tell(), size, count, key)
            stream.seek(storages[key].end)
    return content


@dataclass
class _Deferred:
    """A storage of the old format, whose bytes come after all the pickles."""

    kind: str
    count: int
    array: Array | None = None
    end: int = 0

    def map(self, path: Path, start: int, file_size: int, count: int, key: str) -> None:
        dtype = _dtype(path, self.kind, "<")
        self.end = start + count * dtype.itemsize
        if count < 0 or self.end > file_size:
            raise FileFormatError(
                f"{path}: storage {key!r} has {count} elements, the file ends before; it was cut short"
            )
        self.array = _map(path, dtype, start, count * dtype.itemsize, self.count, key)


def _storage_identity(path: Path, identity: Any) -> tuple[str, str, int]:
    """The class name, key and length of `('storage', class, key, device, length[, view])`."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        raise FileFormatError(f"{path}: found persistent id {shown(identity)}, expected a storage")
    kind, key, count = identity[1], identity[2], identity[4]
    if not isinstance(kind, Global) or not isinstance(key, str) or not _is_size(count):
        raise FileFormatError(f"{path}: found storage {shown(identity)}, expected class, key, device and length")
    if len(identity) > 5 and identity[5] is not None:
        raise FileFormatError(f"{path}: storage {key!r} is a view of another, as torch wrote before 0.4; save it again")
    return kind.name, key, count


def _is_size(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < 2**63


def _class(path: Path, of: Any) -> Global:
    if not isinstance(of, Global):
        raise FileFormatError(f"{path}: found {shown(of)}, expected the class of a module")
    return of


def _dtype(path: Path, kind: str, order: Literal["<", ">"]) -> np.dtype[Any]:
    if kind not in _DTYPES:
        raise FileFormatError(f"{path}: storage of {kind}, expected one of {', '.join(_DTYPES)}")
    name = _DTYPES[kind]
    return (
        np.dtype((order + "u2", [(_BFLOAT16, order + "u2")]))
        if name == _BFLOAT16
        else np.dtype(name).newbyteorder(order)
    )


def _map(path: Path, dtype: np.dtype[Any], start: int, size: int, count: int, key: str) -> Array:
    if count < 0 or count * dtype.itemsize > size:
        raise FileFormatError(f"{path}: storage {key!r} should have {count} elements, found {size // dtype.itemsize}")
    if count == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r", start, (count,))


def _constructors(path: Path) -> dict[Global, Callable[..., Any]]:
    def tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        return _Tensor(str(path), storage, offset, tuple(shape), tuple(strides))

    return {
        Global("torch._utils", "_rebuild_tensor_v2"): tensor,
        Global("torch._utils", "_rebuild_tensor"): tensor,
        Global("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        Global("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: data,
        Global("torch.nn.parameter", "Parameter"): lambda data, *_: data,
        Global("torch", "Size"): lambda sizes: tuple(sizes),
        Global("torch", "device"): lambda *device: ":".join(map(shown, device)),
        **{
            Global("torch.jit._pickle", f"build_{kind}list"): lambda items: list(items)
            for kind in ("int", "double", "bool", "tensor")
        },
        Global("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
    }


@dataclass(frozen=True, eq=False)
class _Tensor:
    file: str
    storage: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, name: str) -> Array | Stored:
        """The view of the storage that the tensor is; refused where it would reach beyond."""
        storage = self.storage.array if isinstance(self.storage, _Deferred) else self.storage
        if not isinstance(storage, np.ndarray):
            raise FileFormatError(f"{self.file}: tensor {name!r} has no storage")
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or len(self.shape) > _MAX_DIMENSIONS or not all(map(_is_size, numbers)):
            found = f"shape {shown(self.shape)} and strides {shown(self.strides)}"
            raise FileFormatError(f"{self.file}: tensor {name!r} has {found}")
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if 0 in self.shape:
            return _plain(storage[:0].reshape(self.shape))
        if last >= storage.size or math.prod(self.shape) > storage.size:
            reach = f"reaches element {last} of a storage of {storage.size}"
            raise FileFormatError(f"{self.file}: tensor {name!r} of shape {self.shape} {reach}")
        strides = [stride * storage.itemsize for stride in self.strides]
        return _plain(np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, strides, writeable=False))


def _plain(array: Array) -> Array | Stored:
    """Widen bfloat16, which NumPy has not, to float32 when it is used."""
    if array.dtype.names != (_BFLOAT16,):
        return array
    return Stored(
        array.shape,
        np.dtype(np.float32),
        lambda: widen_bfloat16(array[_BFLOAT16]),
    )


def _collect(content: Any) -> TorchFile:
    tensors: dict[str, Array | Stored] = {}
    modules: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, value in _walk(content):
        if isinstance(value, _Tensor):
            tensors[name] = value.array(name)
        else:
            attributes = {k: v for k, v in _attributes(value).items() if isinstance(v, (bool, int, float, str))}
            modules[name] = (str(value.of), attributes)
    return TorchFile(Variables(tensors), modules)


def _walk(content: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor and module with its dotted path; a thing that two paths lead to is named by the first."""
    seen: set[int] = set()
    waiting = [("", content)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, _Tensor):
            yield name, value
        elif isinstance(value, (dict, list, tuple, Inert)):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, Inert):
                yield name, value
            parts = [(f"{name}.{key}" if name else str(key), part) for key, part in _parts(value)]
            waiting.extend(reversed(parts))


def _parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, Inert):
        return list(_attributes(value).items())
    return list(enumerate(value))


def _attributes(module: Inert) -> dict[Any, Any]:
    """A module's attributes, with its parameters, buffers and modules as attributes too, as Python shows them."""
    state = module.state if isinstance(module.state, dict) else {}
    own = {key: value for key, value in state.items() if key not in (*_MEMBERS, *_SECOND_COPIES)}
    for group in _MEMBERS:
        members = state.get(group)
        own |= members if isinstance(members, dict) else {}
    return own
