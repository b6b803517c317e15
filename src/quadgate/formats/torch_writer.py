"""Writes a model with the names of PyTorch's modules: as `torch.save` would write its state dict, without torch.

Layers that one `torch.nn.LSTM` or `torch.nn.GRU` can hold are one module; the classifier is a `torch.nn.Linear`.
Source of the archive: `torch/serialization.py`, protocol 2 of pickle, which `torch.load(..., weights_only=True)` reads.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts import encode
from quadgate.model import Model, write_atomically
from quadgate.model.variables import Array

ALIGNMENT = 64
STORAGES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char"}

Layer = tuple[LSTMParameters | GRUParameters, ...]


@dataclass(frozen=True)
class Module:
    """Layers that one module of PyTorch holds: all of the same kind and size, each reading the one before."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def kind(self) -> str:
        """The class of `torch.nn`."""
        return "GRU" if isinstance(self.layers[0][0], GRUParameters) else "LSTM"

    @property
    def arguments(self) -> dict[str, int | bool]:
        """What the class is called with, but for what it does by default."""
        first = self.layers[0][0]
        arguments: dict[str, int | bool] = {"input_size": first.inputs, "hidden_size": first.units}
        if len(self.layers) > 1:
            arguments["num_layers"] = len(self.layers)
        if not _has_bias(first):
            arguments["bias"] = False
        arguments["batch_first"] = True
        if len(self.layers[0]) == 2:
            arguments["bidirectional"] = True
        if isinstance(first, LSTMParameters) and first.projection is not None:
            arguments["proj_size"] = first.state_width
        return arguments

    @property
    def constructor(self) -> str:
        """The call that makes the module: `torch.nn.LSTM(input_size=12, hidden_size=64, batch_first=True)`."""
        return f"torch.nn.{self.kind}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"


def write_model(model: Model, path: Path) -> None:
    """Write a state dict as a `.pt` file.

    Raises:
        InputError: `torch.nn.LSTM` or `torch.nn.GRU` cannot hold one of its layers; the text names what it lacks.
    """
    write_archive(path, arranged(model)[0])


def arranged(model: Model) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the tensors by the names of a state dict, and what was folded into what."""
    tensors: dict[str, Array] = {}
    folded: list[str] = []
    for module in modules(model):
        for k, layer in enumerate(module.layers):
            for parameters in layer:
                encoding = encode(parameters, f"torch.nn.{module.kind}", layer=k)
                tensors |= {f"{module.name}.{name}": array for name, array in encoding.tensors.items()}
                folded += encoding.folded
    if model.head is not None:
        weights = model.variables[model.head.weights]
        tensors["head.weight"] = weights if model.head.transposed else weights.T
        if model.head.biases is not None:
            tensors["head.bias"] = model.variables[model.head.biases]
        if model.head.query is not None:
            raise InputError("torch: cannot hold a head with attention pooling: torch.nn has no such module")
    return tensors, tuple(dict.fromkeys(folded))


def modules(model: Model) -> tuple[Module, ...]:
    """Return the modules that hold the layers of a model, in order.

    Raises:
        InputError: a layer reads backwards alone, which no module of PyTorch does.
    """
    groups: list[list[Layer]] = []
    start = 0
    for count in model.chains:
        for k, layer in enumerate(model.layers[start : start + count]):
            if [one.reverse for one in layer] not in ([False], [False, True]):
                name = model.cells[start + k][0].name
                raise InputError(f"torch: {name} reads backwards alone; PyTorch reads backwards only beside forwards")
            if k and _alike(groups[-1][-1], layer):
                groups[-1].append(layer)
            else:
                groups.append([layer])
        start += count
    kinds = ["gru" if isinstance(group[0][0], GRUParameters) else "lstm" for group in groups]
    names = [kind if kinds.count(kind) == 1 else f"{kind}_{kinds[:k].count(kind)}" for k, kind in enumerate(kinds)]
    return tuple(Module(name, tuple(group)) for name, group in zip(names, groups, strict=True))


def loading_code(model: Model, path: Path, load: str = 'torch.load("{}", weights_only=True)') -> str:
    """Return the lines of PyTorch that build the modules, load what `write_model` wrote, and run them."""
    held = modules(model)
    parts = [f'"{module.name}": {module.constructor}' for module in held]
    head = model.head
    if head is not None:
        parts.append(f'"head": torch.nn.Linear({head.features}, {head.classes}{_no_bias(head.biases)})')
    code = ["import torch", "", "model = torch.nn.ModuleDict({"]
    code += [*(f"    {part}," for part in parts), "})", f"model.load_state_dict({load.format(path)})"]
    if len(model.chains) > 1:
        return "\n".join(code)
    C = model.inputs
    code.append(f"x = torch.zeros(1, 10, {C})  # cases, steps, channels")
    if model.scaling is not None:
        code.append(
            f"x = (x - torch.tensor({model.scaling.mean.tolist()})) / torch.tensor({model.scaling.scale.tolist()})"
        )
        code.append("x = x.float()")
    value = "x"
    for module in held:
        code.append(f'outputs, state = model["{module.name}"]({value})')
        value = "outputs"
    if head is not None:
        code.append(f'logits = model["head"]({_pooled(model, held[-1])})')
    return "\n".join(code)


def write_archive(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write named arrays as `torch.save` writes an ordered dictionary of tensors.

    Raises:
        InputError: PyTorch has no storage of the dtype of one.
    """
    root = path.name.partition(".")[0] or "archive"
    for name, array in tensors.items():
        if array.dtype.str[1:] not in STORAGES:
            raise InputError(f"{path}: {name} is {array.dtype}, of which PyTorch has no storage")
    with write_atomically(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, f"{root}/data.pkl", b"".join(_pickle(tensors)))
        _store(archive, f"{root}/byteorder", b"little")
        for key, array in enumerate(tensors.values()):
            _store(archive, f"{root}/data/{key}", np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        _store(archive, f"{root}/version", b"3\n")


def _store(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add an entry whose bytes begin at a multiple of 64, as PyTorch places them to map them into memory."""
    entry = zipfile.ZipInfo(name)
    start = archive.fp.tell() + 30 + len(name.encode()) + 4  # type: ignore[union-attr]
    padding = -start % ALIGNMENT
    entry.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    archive.writestr(entry, content)


def _pickle(tensors: Mapping[str, Array]) -> Iterator[bytes]:
    """Write the opcodes of an OrderedDict of tensors, each built from its storage by `_rebuild_tensor_v2`."""
    yield pickle.PROTO + b"\x02"
    yield _named("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.MARK
    for key, (name, array) in enumerate(tensors.items()):
        shape, strides = array.shape, [1]
        for size in reversed(shape[1:]):
            strides.insert(0, strides[0] * max(size, 1))
        yield _text(name) + _named("torch._utils", "_rebuild_tensor_v2") + pickle.MARK
        yield pickle.MARK + _text("storage") + _named("torch", f"{STORAGES[array.dtype.str[1:]]}Storage")
        yield _text(str(key)) + _text("cpu") + _whole(array.size) + pickle.TUPLE + pickle.BINPERSID
        yield _whole(0) + _tuple(shape) + _tuple(strides[: len(shape)]) + pickle.NEWFALSE
        yield _named("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.TUPLE + pickle.REDUCE
    yield pickle.SETITEMS + pickle.STOP


def _named(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _whole(value: int) -> bytes:
    if value < 1 << 31:
        return pickle.BININT + struct.pack("<i", value)
    return pickle.LONG1 + b"\x08" + struct.pack("<q", value)


def _tuple(values: tuple[int, ...] | list[int]) -> bytes:
    return pickle.MARK + b"".join(map(_whole, values)) + pickle.TUPLE


def _alike(before: Layer, layer: Layer) -> bool:
    """Whether a layer can follow another in one module."""
    first, own = before[0], layer[0]
    width = sum(one.w_h.shape[1] for one in before)
    projections = [getattr(one, "projection", None) is None for one in (first, own)]
    return (
        type(first) is type(own)
        and len(before) == len(layer)
        and first.units == own.units
        and first.w_h.shape == own.w_h.shape
        and own.inputs == width
        and projections[0] == projections[1]
        and _has_bias(first) == _has_bias(own)
    )


def _has_bias(layer: LSTMParameters | GRUParameters) -> bool:
    """Whether it stores a bias, or adds one to the forget gate while running, which is stored here."""
    return layer.b_x is not None or layer.b_h is not None or getattr(layer, "forget_bias", 0.0) != 0.0


def _no_bias(biases: str | None) -> str:
    return ", bias=False" if biases is None else ""


def _pooled(model: Model, last: Module) -> str:
    """What the head reads, in PyTorch's words; `last` of both directions is the final h of each, side by side."""
    pool = "last" if model.head is None else model.head.pool
    if pool == "mean":
        return "outputs.mean(1)"
    if pool == "max":
        return "outputs.max(1).values"
    h = "state[0]" if isinstance(last.layers[0][0], LSTMParameters) else "state"
    return f"{h}[-1]" if len(last.layers[0]) == 1 else f"torch.cat([{h}[-2], {h}[-1]], 1)"
