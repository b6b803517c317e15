"""Writes a model as Keras 3 saves it: `.keras` (settings and weights, a zip archive) or `.weights.h5` (weights alone).

Source: keras 3.15.1 keras/src/saving/saving_lib.py; the settings are those that the layers cannot do without, Keras
fills in the rest.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.dependencies import require
from quadgate.errors import InputError
from quadgate.layouts import encode
from quadgate.model import Model, write_atomically
from quadgate.model.variables import Array

VERSION = "3.15.1"
ACTIVATIONS = {"hard_sigmoid_v3": "hard_sigmoid"}  # the name that Keras 3 has for that function
POOLS = {"mean": "GlobalAveragePooling1D", "max": "GlobalMaxPooling1D"}


@dataclass(frozen=True)
class KerasLayer:
    """A layer to be written: its class and settings, and its arrays by their place in the file."""

    kind: str
    config: dict[str, Any]
    arrays: dict[str, list[Array]]
    inner: tuple[str, ...] = ()

    @property
    def json(self) -> dict[str, Any]:
        """The layer as Keras describes it."""
        config = dict(self.config)
        for name in self.inner:
            config[name] = _described(config[name]["kind"], config[name]["config"])
        return _described(self.kind, config)

    @property
    def constructor(self) -> str:
        """The call that makes the layer."""
        if self.inner:
            layer = self.config["layer"]
            return f"keras.layers.Bidirectional({_call(layer['kind'], layer['config'])})"
        return _call(self.kind, self.config)


def write_model(model: Model, path: Path) -> None:
    """Write a `keras.Sequential`; its weights alone where the path ends in `.weights.h5`.

    Raises:
        InputError: Keras has no layer that holds one of the model's; the text names what it lacks.
        MissingDependencyError: h5py is not installed.
    """
    layers, _ = _arranged(model)
    weights = _weights(layers, path)
    with write_atomically(path) as beside:
        if path.name.endswith(".weights.h5"):
            beside.write_bytes(weights)
            return
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
            for name, content in (
                ("metadata.json", json.dumps({"keras_version": VERSION}).encode()),
                ("config.json", json.dumps(_sequential(model, layers)).encode()),
                ("model.weights.h5", weights),
            ):
                archive.writestr(zipfile.ZipInfo(name), content)


def arranged(model: Model) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the arrays by their place in the file, and what was folded into what."""
    layers, folded = _arranged(model)
    return _placed(layers), folded


def loading_code(model: Model, path: Path) -> str:
    """Return the lines of Keras 3 that load what `write_model` wrote, and run it."""
    code = ["import keras", "import numpy as np", ""]
    if path.name.endswith(".weights.h5"):
        parts = [f"keras.Input((None, {model.inputs}))", *(layer.constructor for layer in _arranged(model)[0])]
        code += [
            "model = keras.Sequential([",
            *(f"    {part}," for part in parts),
            "])",
            f'model.load_weights("{path}")',
        ]
    else:
        code.append(f'model = keras.models.load_model("{path}")')
    code.append(f'x = np.zeros((1, 10, {model.inputs}), "float32")  # cases, steps, channels')
    return "\n".join([*code, f"{'outputs' if model.head is None else 'logits'} = model(x)"])


def built(model: Model, path: Path) -> Any:
    """Build the `keras.Sequential` whose weights alone were written, and load them; needs Keras."""
    import keras

    net = keras.Sequential.from_config(_sequential(model, _arranged(model)[0])["config"])
    net.load_weights(path)
    return net


def _arranged(model: Model) -> tuple[list[KerasLayer], tuple[str, ...]]:
    if len(model.chains) > 1:
        raise InputError(f"keras: the model has {len(model.chains)} chains of layers; write one: model.chain(0)")
    layers: list[KerasLayer] = []
    folded: list[str] = []
    if model.scaling is not None:
        mean, variance = model.scaling.mean.tolist(), np.square(model.scaling.scale).tolist()
        layers.append(KerasLayer("Normalization", {"axis": [-1], "mean": mean, "variance": variance}, {}))
    for k, layer in enumerate(model.layers):
        sequences = k < len(model.layers) - 1 or model.head is None or model.head.pool != "last"
        directions = [_recurrent(one, sequences) for one in layer]
        folded += [sentence for _, _, sentences in directions for sentence in sentences]
        own, arrays, _ = directions[0]
        kind = "GRU" if isinstance(layer[0], GRUParameters) else "LSTM"
        if [one.reverse for one in layer] == [False]:
            layers.append(KerasLayer(kind, own, {"cell": arrays}))
        elif [one.reverse for one in layer] == [False, True]:
            other, others, _ = directions[1]
            forward = {"kind": kind, "config": {"name": f"forward_{k}", **own}}
            backward = {"kind": kind, "config": {"name": f"backward_{k}", **other, "go_backwards": True}}
            config = {"merge_mode": "concat", "layer": forward, "backward_layer": backward}
            places = {"forward_layer/cell": arrays, "backward_layer/cell": others}
            layers.append(KerasLayer("Bidirectional", config, places, ("layer", "backward_layer")))
        else:
            raise InputError(f"keras: {model.cells[k][0].name} reads backwards alone, in the order of its inputs")
    if model.head is not None:
        layers += _head(model)
    return layers, tuple(dict.fromkeys(folded))


def _recurrent(
    one: LSTMParameters | GRUParameters, sequences: bool
) -> tuple[dict[str, Any], list[Array], tuple[str, ...]]:
    """Return the settings of an LSTM or a GRU, its arrays, and what was folded."""
    row, more = "keras.LSTM", {}
    if isinstance(one, GRUParameters):
        row, more = "keras.GRU" if one.reset_after else "keras.GRU.reset_before", {"reset_after": one.reset_after}
    encoding = encode(one, row)
    config = {
        "units": one.units,
        "return_sequences": sequences,
        "activation": ACTIVATIONS.get(one.activations.cell, one.activations.cell),
        "recurrent_activation": ACTIVATIONS.get(one.activations.gate, one.activations.gate),
        "use_bias": "bias" in encoding.tensors,
        **more,
    }
    return config, list(encoding.tensors.values()), encoding.folded


def _head(model: Model) -> list[KerasLayer]:
    head = model.head
    assert head is not None  # noqa: S101
    if head.pool == "attention":
        raise InputError("keras: cannot hold a head with attention pooling: Keras has no such layer")
    weights = model.variables[head.weights]
    arrays = [weights.T if head.transposed else weights]
    if head.biases is not None:
        arrays.append(model.variables[head.biases])
    pool = [KerasLayer(POOLS[head.pool], {}, {})] if head.pool in POOLS else []
    return [*pool, KerasLayer("Dense", {"units": head.classes, "use_bias": head.biases is not None}, {"": arrays})]


def _placed(layers: list[KerasLayer]) -> dict[str, Array]:
    """Return every array by its place, `layers/lstm_1/cell/vars/0`: the class's name, numbered from the second on."""
    counts: Counter[str] = Counter()
    placed: dict[str, Array] = {}
    for layer in layers:
        base = {"LSTM": "lstm", "GRU": "gru"}.get(layer.kind, layer.kind.lower())
        name = f"{base}_{counts[base]}" if counts[base] else base
        counts[base] += 1
        for part, arrays in layer.arrays.items():
            scope = f"layers/{name}/{part}/vars" if part else f"layers/{name}/vars"
            placed |= {f"{scope}/{place}": array for place, array in enumerate(arrays)}
    return placed


def _weights(layers: list[KerasLayer], path: Path) -> bytes:
    h5py = require("h5py", f"{path} (HDF5) cannot be written", "hdf5")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in _placed(layers).items():
            file.create_dataset(name, data=np.ascontiguousarray(array))
    return content.getvalue()


def _sequential(model: Model, layers: list[KerasLayer]) -> dict[str, Any]:
    shape = [None, None, model.inputs]
    entry = _described("InputLayer", {"batch_shape": shape, "dtype": "float32", "name": "input"})
    described = [entry, *(layer.json for layer in layers)]
    for number, layer in enumerate(described[1:]):
        layer["config"].setdefault("name", f"{layer['class_name'].lower()}_{number}")
    config = {"name": "sequential", "trainable": True, "layers": described, "build_input_shape": shape}
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": config,
        "registered_name": None,
        "build_config": {"input_shape": shape},
    }


def _described(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def _call(kind: str, config: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in config.items() if name != "name")
    return f"keras.layers.{kind}({arguments})"
