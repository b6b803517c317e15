"""Reads Keras files of any age: `.h5` with a model or weights (Keras 1 and 2, tf.keras), `.keras`, `.weights.h5`.

The result is a list of layers in the file's order, each with its class and settings where the file tells them, and its
arrays under the names of their roles (`kernel`, `recurrent_kernel`, `bias`, ...). Sources: `hdf5_format.py` of
TensorFlow 2.0, `legacy_h5_format.py` and `saving_lib.py` of Keras 3.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import FileFormatError
from quadgate.formats import hdf5
from quadgate.formats.keras_layers import KerasLayer, build_keras, snake_case
from quadgate.formats.tensorflow_checkpoint.structure import find_cells
from quadgate.formats.torch_names import build_named
from quadgate.formats.unread import find_unread
from quadgate.layouts import Settings
from quadgate.model import Found, Model, Variables, build
from quadgate.model.variables import widen_bfloat16

Array = NDArray[Any]

_ROLES = ("kernel", "recurrent_kernel", "bias")


@dataclass(frozen=True)
class KerasFile:
    """The layers with weights in the file's order, the settings as Keras writes them, its version ("" of Keras 1)."""

    layers: list[KerasLayer]
    config: Any
    version: str


def read_model(path: Path, settings: Settings) -> Model:
    """Read the recurrent layers of a Keras file, or of another HDF5 file with the names of TensorFlow or PyTorch.

    Raises:
        FileFormatError: the file is damaged, is none of Keras or holds no LSTM or GRU.
        MissingDependencyError: h5py is not installed.
    """
    file = None if _is_zip(path) else hdf5.read(path)
    if file is not None and not _is_of_keras(file):
        return _build_foreign(file, path, settings)
    whole = _read(path, file)
    return build_keras(whole.layers, whole.config, whole.version, path, settings)


def read(path: Path) -> KerasFile:
    """Read the layers of a Keras file.

    Raises:
        FileFormatError: the file is damaged or is none of Keras.
        MissingDependencyError: h5py is not installed.
    """
    return _read(path, None if _is_zip(path) else hdf5.read(path))


def _read(path: Path, file: hdf5.Hdf5File | None) -> KerasFile:
    if file is None:
        config, version, file = _read_zip(path)
    else:
        root = file.attributes.get("", {})
        config = _json(path, root.get("model_config"))
        version = str(root.get("keras_version") or file.attributes.get("model_weights", {}).get("keras_version") or "")
    if _by_place(file):
        return KerasFile(list(_by_position(file, list(_layer_configs(config)))), config, version or "3")
    configs = {layer_config.get("name", ""): (kind, layer_config) for kind, layer_config in _layer_configs(config)}
    return KerasFile(list(_by_name(path, file, configs)), config, version)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _by_place(file: hdf5.Hdf5File) -> bool:
    return any(name.startswith(("layers/", "_layer_checkpoint_dependencies/", "vars/")) for name in file.arrays)


def _is_of_keras(file: hdf5.Hdf5File) -> bool:
    listed = ("layer_names" in name for path in ("", "model_weights") for name in file.attributes.get(path, {}))
    return _by_place(file) or any(listed)


def _build_foreign(file: hdf5.Hdf5File, path: Path, settings: Settings) -> Model:
    """Read an HDF5 file that others wrote from TensorFlow or PyTorch, as ELMo's."""
    shapes = {name: array.shape for name, array in file.arrays.items()}
    found = find_cells(shapes)
    unread = find_unread(path, b"", [f"{name}.npy" for name in shapes])
    if unread is not None and not found:
        raise unread.refusal(path)
    if not found:
        return build_named(
            Variables({name.replace("/", "."): one for name, one in file.arrays.items()}), path, settings
        )
    return build(file.arrays, [_elmo(one) for one in found], source=str(path), settings=settings)


def _elmo(found: Found) -> Found:
    """Place a cell of a bidirectional language model: RNN_0 reads forwards, RNN_1 backwards, each a chain."""
    direction = re.match(r"RNN_([01])/", found.name)
    if direction is None:
        return found
    return replace(found, told=Settings(reverse=direction[1] == "1"), follows=False)


def _read_zip(path: Path) -> tuple[Any, str, hdf5.Hdf5File]:
    """The settings, the version and the weights of a `.keras` file, whose parts are stored without compression."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if "model.weights.h5" not in entries or "config.json" not in entries:
                raise FileFormatError(f"{path}: a zip archive without config.json and model.weights.h5, not of Keras")
            weights, config = entries["model.weights.h5"], entries["config.json"]
            if config.file_size > 100_000_000:
                raise FileFormatError(f"{path}: config.json claims {config.file_size} bytes, expected a short text")
            told = archive.read(config)
            about = entries.get("metadata.json")
            written = archive.read(about) if about is not None and about.file_size < 100_000 else b"{}"
    except FileFormatError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, struct.error, OSError) as error:
        raise FileFormatError(f"{path}: zip archive damaged: {error}") from error
    if weights.compress_type != zipfile.ZIP_STORED:
        raise FileFormatError(f"{path}: model.weights.h5 is compressed, expected it stored as Keras does")
    with path.open("rb") as stream:
        stream.seek(max(weights.header_offset, 0))
        header = stream.read(30)
    if len(header) < 30:
        raise FileFormatError(f"{path}: model.weights.h5 begins beyond the file's end; the file was cut short")
    name_size, extra_size = struct.unpack("<HH", header[26:30])
    start = max(weights.header_offset, 0) + 30 + name_size + extra_size
    size = min(weights.file_size, path.stat().st_size - start)
    metadata = _json(path, written)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return _json(path, told), str(version or "3"), hdf5.read(path, start, size)


def _json(path: Path, text: Any) -> Any:
    if text is None:
        return {}
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path}: the model's settings are no JSON: {error}") from error


def _layer_configs(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The class and settings of every layer, those of nested models among them, in order."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict) and isinstance(part.get("config"), (dict, list)):
            inner = part["config"]
            if isinstance(inner, list):  # Sequential of Keras 1
                waiting.extend(reversed(inner))
            elif isinstance(inner.get("layers"), list):
                waiting.extend(reversed(inner["layers"]))
            else:
                yield str(part.get("class_name", "")), inner


def _by_name(path: Path, file: hdf5.Hdf5File, configs: dict[str, tuple[str, dict[str, Any]]]) -> Iterator[KerasLayer]:
    """The layers of an `.h5` file: the attribute `weight_names` of each group gives order and names."""
    root = "model_weights" if "model_weights" in file.attributes else ""
    names = _listed(file.attributes.get(root, {}), "layer_names")
    if not names:
        raise FileFormatError(f"{path}: no attribute layer_names at {root or 'the root'}, expected a file of Keras")
    for name in names:
        group = f"{root}/{name}" if root else name
        cells: dict[str, dict[str, str]] = {}
        for weight in _listed(file.attributes.get(group, {}), "weight_names"):
            source = f"{group}/{weight}"
            if source not in file.arrays:
                raise FileFormatError(f"{path}: dataset {source} is listed and missing")
            cell, role = _cell_and_role(name, weight)
            cells.setdefault(cell, {})[role] = source
        kind, config = configs.get(name, ("", {}))
        for cell, sources in cells.items():
            arrays = {role: file.arrays[source] for role, source in sources.items()}
            yield KerasLayer(cell, kind, arrays, sources, config)


def _listed(attributes: dict[str, Any], name: str) -> list[str]:
    """A list attribute, which Keras cuts into numbered parts where it is long."""
    whole = attributes.get(name)
    parts = [whole] if whole is not None else []
    while (part := attributes.get(f"{name}{len(parts)}")) is not None:
        parts.append(part)
    return [str(item) for part in parts if isinstance(part, list) for item in part]


def _cell_and_role(layer: str, weight: str) -> tuple[str, str]:
    """Cut `bidirectional_1/forward_lstm_1/kernel:0` before `kernel`, and `lstm_1_W_i` of Keras 1 before `W_i`."""
    path, _, last = weight.removesuffix(":0").rpartition("/")
    old = None if path else re.fullmatch(r"(.+?)_([WUb](?:_[ifcozrh])?)", last)
    return (old[1], old[2]) if old else (path or layer, last)


def _by_position(file: hdf5.Hdf5File, configs: list[tuple[str, dict[str, Any]]]) -> Iterator[KerasLayer]:
    """The layers of `.weights.h5`, `layers/CLASS_INDEX/.../vars/POSITION`, joined to the settings by class and index.

    No name tells the arrays apart: two matrices are the kernels of a recurrent cell, a matrix and a vector those of a
    dense layer.
    """
    named: dict[str, tuple[str, dict[str, Any]]] = {}
    counts: dict[str, int] = {}
    for kind, config in configs:
        base = snake_case(kind)
        index = counts.get(base, 0)
        counts[base] = index + 1
        named[base if index == 0 else f"{base}_{index}"] = (kind, config)
    cells: dict[str, dict[int, str]] = {}
    for source in file.arrays:
        cell, _, position = source.rpartition("/vars/")
        if position.isdigit() and not cell.startswith("optimizer"):
            cells.setdefault(cell, {})[int(position)] = source
    order = {base: place for place, base in enumerate(named)}

    def place(item: tuple[str, Any]) -> int:
        return order.get(item[0].split("/")[1] if "/" in item[0] else item[0], len(order))

    for cell, positions in sorted(cells.items(), key=place):
        parts = cell.split("/")
        kind, config = named.get(parts[1] if len(parts) > 1 else cell, ("", {}))
        ranks = [file.arrays[positions[position]].ndim for position in sorted(positions)]
        roles = _ROLES if ranks[:2] == [2, 2] else ("kernel", "bias") if ranks == [2, 1] else ()
        sources = {
            roles[position] if position < len(roles) else str(position): positions[position]
            for position in sorted(positions)
        }
        arrays = {role: _widened(file, source) for role, source in sources.items()}
        inner = [part for part in parts[2:] if part not in ("cell", "layer")]
        yield KerasLayer(
            "/".join([str(config.get("name", parts[1] if len(parts) > 1 else cell)), *inner]),
            kind,
            arrays,
            sources,
            config,
        )


def _widened(file: hdf5.Hdf5File, source: str) -> Array:
    """Keras keeps bfloat16 as 16-bit words and says so in an attribute."""
    array = file.arrays[source]
    if file.attributes.get(source, {}).get("dtype") != "bfloat16" or array.dtype.itemsize != 2:
        return array
    return widen_bfloat16(array.view(np.uint16))
