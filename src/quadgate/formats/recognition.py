"""How a file of each format is told: by what is in it, and by its name only where that says nothing."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

ZIP = b"PK\x03\x04"
HDF5 = b"\x89HDF\r\n\x1a\n"
TORCH_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
WEIGHTS = "model.safetensors"


def run_folder(path: Path, _: bytes) -> Path | None:
    """A folder that holds `model.safetensors`."""
    return path / WEIGHTS if (path / WEIGHTS).is_file() else None


def safetensors(path: Path, start: bytes) -> Path | None:
    """A file of that ending, or one that begins with a length and a JSON object."""
    return path if path.is_file() and (path.suffix == ".safetensors" or start[8:9] == b"{") else None


def onnx(path: Path, start: bytes) -> Path | None:
    """A file of that ending, or one that begins as a ModelProto: its version, then who wrote it or a graph."""
    model = start[:1] == b"\x08" and start[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42")
    return path if path.is_file() and (path.suffix == ".onnx" or model) else None


def flax(path: Path, start: bytes) -> Path | None:
    """A file that ends in `.msgpack`, or an npz archive."""
    archive = path.suffix == ".npz" and start[:4] == b"PK\x03\x04"
    return path if path.is_file() and (path.suffix == ".msgpack" or archive) else None


def equinox(path: Path, _: bytes) -> Path | None:
    """A file that ends in `.eqx`."""
    return path if path.is_file() and path.suffix == ".eqx" else None


def tflite(path: Path, start: bytes) -> Path | None:
    """A FlatBuffer that names itself."""
    return path if start[4:8] == b"TFL3" else None


def tensorflow_checkpoint(path: Path, _: bytes) -> Path | None:
    """A checkpoint's prefix, one of its files, or a folder whose `checkpoint` file names the latest one."""
    from quadgate.formats.tensorflow_checkpoint import find_checkpoint

    return find_checkpoint(path)


def tensorflow_graph(path: Path, start: bytes) -> Path | None:
    """The folder of a SavedModel or its `saved_model.pb`; a frozen graph, by its ending and its first field."""
    if path.name == "saved_model.pb" and path.is_file():
        return path.parent
    if (path / "saved_model.pb").is_file():
        return path
    return path if path.suffix == ".pb" and start[:1] in (b"\x0a", b"\x12", b"\x22") else None


def torch_file(path: Path, start: bytes) -> Path | None:
    """A zip archive with an entry `NAME/data.pkl`, or the pickle that files of torch before 1.6 begin with."""
    if start.startswith(TORCH_PICKLE) or any(re.fullmatch(r"[^/]+/data\.pkl", name) for name in entries(path, start)):
        return path
    return path if start[:4] == ZIP and path.suffix in (".pt", ".pth", ".jit", ".bin", ".ckpt") else None


def keras_file(path: Path, start: bytes) -> Path | None:
    """An HDF5 file, or a zip archive with the settings and the weights of Keras 3."""
    if start[:8] == HDF5 or {"config.json", "model.weights.h5"} <= set(entries(path, start)):
        return path
    return path if start[:4] == ZIP and path.suffix == ".keras" else None


def pickle(path: Path, start: bytes) -> Path | None:
    """A pickle: of protocol 2 or later, or of that ending."""
    return path if start[:1] == b"\x80" or (start and path.suffix in (".pkl", ".pickle")) else None


def entries(path: Path, start: bytes) -> list[str]:
    """Return the names in a folder or a zip archive; none of a file that is neither, or is damaged."""
    if path.is_dir():
        return [entry.name for entry in path.iterdir()]
    if start[:4] != ZIP:
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, struct.error, OSError):
        return []
