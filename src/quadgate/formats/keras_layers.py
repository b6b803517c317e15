"""Which layers of a Keras file are recurrent, what its settings say of them, and which layer reads which.

Sources: `recurrent.py` of Keras 1.2.2 to 2.3.1 and of tf.keras, `hdf5_format.py` of TensorFlow 2.0, Keras 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from quadgate.cell import Activations
from quadgate.cell.activations import ACTIVATIONS
from quadgate.errors import FileFormatError
from quadgate.layouts import Settings
from quadgate.model import Dense, Found, Model, build

Array = NDArray[Any]

KERAS_1 = {"W_i", "W_c", "W_f", "W_o"}
KERAS_1_GRU = {"W_z", "W_r", "W_h"}
# What a file that tells its classes may call a cell whose arrays have these names; "" where it tells none.
CELLS = {
    *("LSTM", "LSTMCell", "CuDNNLSTM", "PeepholeLSTMCell", "GRU", "GRUCell", "CuDNNGRU"),
    *("", "Bidirectional", "RNN", "StackedRNNCells"),
}
# Layers that hand the sequence on as it is, when the model runs.
PASSING = {
    *("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "Masking", "InputLayer"),
    "ActivityRegularization",
}


@dataclass(frozen=True)
class KerasLayer:
    """A layer with weights.

    Attributes:
        name: the layer's name; a cell within it has the longer path `bidirectional_1/forward_lstm_1`.
        kind: its class, such as `LSTM`; "" where the file holds weights alone.
        arrays: role -> array.
        sources: role -> name of the dataset.
        config: the settings; empty where the file holds weights alone.
    """

    name: str
    kind: str
    arrays: dict[str, Array]
    sources: dict[str, str]
    config: dict[str, Any] = field(default_factory=dict)


def build_keras(layers: list[KerasLayer], config: Any, version: str, path: Path, settings: Settings) -> Model:
    """Build a model from the layers of a Keras file.

    Args:
        layers: the layers with weights, in the file's order.
        config: the settings of the whole model; empty where the file holds weights alone.
        version: that of Keras; empty of Keras 1.
        path: the file, which starts every error.
        settings: what the caller says.

    Raises:
        FileFormatError: there is no LSTM or GRU, or one with an activation that is not known.
    """
    arrays: dict[str, Array] = {}
    found: list[Found] = []
    dense: list[Dense] = []
    cannot: dict[str, str] = {}
    order = _Order(config)
    between = alone = turned = False
    follows: bool | None = None
    for layer in layers:
        arrays.update({layer.sources[role]: array for role, array in layer.arrays.items()})
        after = _config(layer).get("reset_after", version.startswith("3")) is True
        layout = row_of({role: array.shape for role, array in layer.arrays.items()}, version, after)
        other = _another(layer, layers) if layout else ""
        if other:
            cannot |= dict.fromkeys(layer.sources.values(), f"of {layer.name}, {other}")
        if layout is None or other:
            between = True
            dense += _dense(layer)
            continue
        root = _root(layer)
        inside = sum(_root_of(one) == root for one in found)
        side_by_side = layer.kind == "Bidirectional" or _direction(layer) is not None
        apart = _config(layer).get("merge_mode", "concat") != "concat"
        told = _told(layer, version, path)
        if not inside:
            follows = order.follows(root, _root_of(found[-1]) if found else "", between)
            # What reads backwards alone hands its steps on in the order in which it read them.
            turned = follows is not False and alone and found[-1].told["reverse"]
            if turned and side_by_side:
                follows = False  # there is no layer whose forward direction starts at the last step
        alone = not side_by_side
        if alone:
            told["reverse"] = told["reverse"] != turned
        found.append(
            Found(
                name=layer.name,
                layout=layout,
                tensors={role: layer.sources[role] for role in layer.arrays},
                told=told,
                guess=_guess(layout, version),
                reason="the weights alone do not hold it",
                group=layer.name if apart else root,
                layer=0 if side_by_side else inside,
                follows=False if apart else follows,
            )
        )
        between = apart
    if not found:
        kinds = ", ".join(dict.fromkeys(layer.kind or layer.name for layer in layers)) or "none"
        why = "".join(f"; {reason}" for reason in dict.fromkeys(cannot.values()))
        raise FileFormatError(f"{path}: found no LSTM or GRU among its layers ({kinds}){why}")
    return build(arrays, found, source=str(path), settings=settings, dense=dense, left_out=cannot)


def _another(layer: KerasLayer, layers: list[KerasLayer]) -> str:
    """Say why a cell with the arrays of an LSTM or GRU is none; "" where it is one."""
    kind = _own(layer)[0].rpartition(">")[2]  # PACKAGE>CLASS of a class that was registered
    if any(one.name.startswith(f"{layer.name}/") and "gamma" in one.arrays for one in layers):
        return f"a {kind or 'cell'} that normalises its gates, which changes what every weight means"
    if kind in CELLS:
        return ""
    own = f"a {kind}, which is a class of somebody's own and may compute anything"
    return f"{own}; if it computes what Keras' does, save its weights alone (model.save_weights)"


class _Order:
    """Which layer reads which, where the settings of the model tell it."""

    def __init__(self, config: Any) -> None:
        self.kinds: dict[str, str] = {}
        self.reads: dict[str, list[str]] = {}
        waiting = [config]
        while waiting:
            model = waiting.pop()
            inner = model.get("config") if isinstance(model, dict) else None
            entries = inner.get("layers") if isinstance(inner, dict) else inner
            before: list[str] = []
            for entry in entries if isinstance(entries, list) else ():
                if not isinstance(entry, dict) or not isinstance(entry.get("config"), (dict, list)):
                    continue
                waiting.append(entry)
                own = entry["config"].get("name") if isinstance(entry["config"], dict) else None
                name = str(own or entry.get("name") or "")
                self.kinds[name] = str(entry.get("class_name", ""))
                sequential = model.get("class_name") == "Sequential"
                self.reads[name] = before if sequential else _inbound(entry.get("inbound_nodes"))
                before = [name]

    def follows(self, layer: str, before: str, between: bool) -> bool | None:
        """Tell whether a layer reads `before`; with weights alone, it may where no other layer is between the two."""
        if layer not in self.reads:
            return False if between else None
        seen: set[str] = set()
        while layer not in seen and len(self.reads.get(layer, ())) == 1:
            seen.add(layer)
            layer = self.reads[layer][0]
            if self.kinds.get(layer) not in PASSING:
                return layer == before
        return False


def _inbound(nodes: Any) -> list[str]:
    """Return the names of the layers that an entry of a functional model reads, as Keras 2 and Keras 3 write them."""
    names: dict[str, None] = {}
    waiting = [nodes]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            if len(part) >= 3 and isinstance(part[0], str) and isinstance(part[1], int):
                names[part[0]] = None
            else:
                waiting.extend(part)
    return list(names)


def row_of(shapes: Mapping[str, tuple[int, ...]], version: str, reset_after: bool) -> str | None:
    """Return the row that the arrays of a layer follow, told by their names and shapes; None of another layer.

    Args:
        shapes: by role: `kernel`, `recurrent_kernel`, `bias`, or Keras 1's `W_i` and the like.
        version: that of Keras; Keras 3 means another hard sigmoid.
        reset_after: what is true of a GRU without a bias, whose shape tells it otherwise.

    >>> row_of({"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (40,)}, "2.2.4", False)
    'keras.CuDNNLSTM'
    """
    if shapes.keys() >= KERAS_1:
        return "keras1.LSTM"
    if shapes.keys() >= KERAS_1_GRU:
        return "keras1.GRU"
    fused = shapes.get("U", ())
    if shapes.keys() == {"W", "U", "b"} and len(fused) == 2 and fused[0]:
        return {4 * fused[0]: "keras1.LSTM.gpu", 3 * fused[0]: "keras1.GRU.gpu"}.get(fused[1])
    kernel, recurrent = shapes.get("kernel", ()), shapes.get("recurrent_kernel", ())
    if len(kernel) != 2 or len(recurrent) != 2 or not recurrent[0]:
        return None
    H = recurrent[0]
    gates, family = recurrent[1] // H, "keras" if version.startswith("3") else "keras2"
    bias = shapes.get("bias")
    if gates == 4:
        if bias == (8 * H,):
            return "keras.CuDNNLSTM"
        return "tf.keras.PeepholeLSTMCell" if "input_gate_peephole_weights" in shapes else f"{family}.LSTM"
    if gates != 3:
        return None
    if bias == (6 * H,):
        return "keras.CuDNNGRU"
    after = reset_after if bias is None else bias == (2, 3 * H)
    return f"{family}.GRU" if after else f"{family}.GRU.reset_before"


def _told(layer: KerasLayer, version: str, path: Path) -> Settings:
    """Return what the settings of a layer tell: its activations and its direction."""
    config = _config(layer)
    direction = _direction(layer)
    own = layer.config if layer.kind == "RNN" else config  # the direction of cells is that of the layer around them
    told = Settings(reverse=own.get("go_backwards") is True if direction is None else direction == "backward")
    if "recurrent_activation" in config or "inner_activation" in config:
        gate = config.get("recurrent_activation", config.get("inner_activation"))
        names = [_activation(name, version) for name in (gate, config.get("activation", "tanh"))]
        for name in names:
            if name not in ACTIVATIONS:
                raise FileFormatError(
                    f"{path}: {layer.name}: activation {name!r}, expected one of {', '.join(ACTIVATIONS)}"
                )
        told["activations"] = Activations(names[0], names[1], names[1])
    return told


def _guess(layout: str, version: str) -> Settings:
    """Return the gate activation of the version that wrote the weights: hard sigmoids up to Keras 2.2 and in TF 1."""
    old = re.match(r"2\.([0-2])\.(\d+)", version)
    in_tf2 = version == "2.2.4-tf"  # also of TensorFlow 1.13 to 1.15
    hard = layout.startswith("keras2.") and old is not None and not in_tf2
    return Settings(activations=Activations(gate="hard_sigmoid")) if hard else Settings()


def _activation(name: Any, version: str) -> str:
    """Return quadgate's name of a function; that of `hard_sigmoid` was given to another one in Keras 3."""
    if isinstance(name, dict):
        name = name.get("config")
    new = name == "hard_sigmoid" and version.startswith("3")
    return "hard_sigmoid_v3" if new else str(name)


def _config(layer: KerasLayer) -> Mapping[str, Any]:
    """Return the settings of a cell itself."""
    return _own(layer)[1]


def _own(layer: KerasLayer) -> tuple[str, Mapping[str, Any]]:
    """Return the class and the settings of a cell itself: those inside Bidirectional, or of a cell that RNN stacks."""
    kind, config = layer.kind, layer.config
    around: dict[str, Any] = {}
    if kind == "Bidirectional":
        around["merge_mode"] = config.get("merge_mode") or "apart"
    while True:
        cells = config.get("cells")
        if isinstance(config.get("layer"), dict):
            backward = config.get("backward_layer") if _direction(layer) == "backward" else None
            inner = backward if isinstance(backward, dict) else config["layer"]
        elif isinstance(cells, list) and cells:
            place = re.search(r"cell(?:_(\d+))?$", layer.name)
            inner = cells[int(place[1] or 0) % len(cells) if place else 0]
        else:
            inner = config.get("cell")
        if not isinstance(inner, dict):
            return kind, {**config, **around}
        given = inner.get("config")
        kind, config = str(inner.get("class_name", "")), given if isinstance(given, dict) else {}


def _direction(layer: KerasLayer) -> str | None:
    """Tell the direction of a cell inside Bidirectional from its path: `forward_lstm_1`, `backward_layer`."""
    match = re.search(r"(?:^|/)(forward|backward)_", layer.name)
    return match[1] if match else None


def _root(layer: KerasLayer) -> str:
    return str(layer.config.get("name") or layer.name.partition("/")[0])


def _root_of(found: Found) -> str:
    return found.group.partition("/")[0]


def _dense(layer: KerasLayer) -> Iterator[Dense]:
    for weights, biases in (("kernel", "bias"), ("W", "b")):
        if weights in layer.arrays and layer.arrays.keys() <= {weights, biases}:
            yield Dense(layer.sources[weights], layer.sources.get(biases))


def snake_case(name: str) -> str:
    """The class name as Keras writes it in paths: `LayerNormalization` -> `layer_normalization`."""
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
