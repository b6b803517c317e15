"""Which variables of a TensorFlow 1 checkpoint are recurrent cells, which are the head, and which are neither.

Sources: tensorflow/python/ops/rnn_cell.py at v0.5.0 to v0.12.0 and rnn_cell_impl.py at v1.0.0 to v1.15.0 for the names
of the cells; tensorflow/python/training/slot_creator.py at v1.15.0 for those of slots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from quadgate.cell import Activations
from quadgate.formats.keras_layers import row_of
from quadgate.layouts import Layout, Settings, find
from quadgate.model import Dense, Found

Shapes = Mapping[str, tuple[int, ...]]

# The last part of a cell's scope, and the rows whose tensors may stand in it; the first that are all there is taken.
CLASSES = {
    "cudnn_compatible_lstm_cell": ("tf1.CudnnCompatibleLSTMCell",),
    "layer_norm_basic_lstm_cell": ("tf1.LayerNormBasicLSTMCell",),
    "lstm_fused_cell": ("tf1.LSTMBlockFusedCell", "tf1.0.LSTMCell"),
    "lstm_block_wrapper": ("tf1.LSTMBlockFusedCell", "tf1.0.LSTMCell"),
    "basic_lstm_cell": ("tf1.BasicLSTMCell", "tf1.0.BasicLSTMCell"),
    "lstm_cell": ("tf1.LSTMCell", "tf1.0.LSTMCell"),
    "gru_cell": ("tf1.GRUCell",),
    "GRUCell": ("tf1.GRUCell",),
    "BasicLSTMCell": ("tf0.BasicLSTMCell", "tf1.BasicLSTMCell"),
    "LSTMBlockCell": ("tf0.11.LSTMBlockCell", "tf0.7.LSTMCell", "tf1.LSTMBlockCell"),
    "LSTMCell": ("tf0.7.LSTMCell", "tf1.LSTMCell"),
}
SCOPE = re.compile(rf"(?P<scope>(?:.*/)?(?P<kind>{'|'.join(CLASSES)})(?:_\d+)?)/.+?")
# What the leaves of a GRU cell were called before 1.2, and before 1.0.
OLDER_LEAVES = {
    older.format(part=part, Part=part.title()): f"{part}/{leaf}"
    for part in ("gates", "candidate")
    for older, leaf in (
        ("{part}/weights", "kernel"),
        ("{part}/biases", "bias"),
        ("{Part}/Linear/Matrix", "kernel"),
        ("{Part}/Linear/Bias", "bias"),
    )
}
OPAQUE = "cuDNN's own vector, whose sizes no shape tells"
KERAS = re.compile(r"(?P<scope>.+)/recurrent_kernel")

LAYER = re.compile(r"^(?:cell_|Cell)(\d+)$")
DIRECTION = re.compile(r"^(?:BiRNN_)?(fw|bw|FW|BW)$")

SLOT = re.compile(
    r"/(Adam|AdaMax|AMSGrad|Momentum|RMSProp|Adagrad|AdagradDA|Adadelta|Ftrl|ProximalAdagrad|ExponentialMovingAverage)"
    r"(_\d+)?$"
)
POWER = re.compile(r"(^|/)beta[12]_power(_\d+)?$")


def left_out(name: str, shape: tuple[int, ...], is_float: bool, trainable: tuple[str, ...]) -> str | None:
    """Return why a variable is no part of the network, or None where it is one.

    >>> left_out("rnn/basic_lstm_cell/kernel/Adam_1", (76, 256), True, ())
    "the optimizer's Adam slot"
    """
    slot = SLOT.search(name)
    if slot is not None:
        return "a moving average" if slot[1] == "ExponentialMovingAverage" else f"the optimizer's {slot[1]} slot"
    if POWER.search(name) and not shape:
        return "the optimizer's own counter"
    if name.endswith("opaque_kernel"):
        return OPAQUE
    if name.endswith("global_step") and not shape:
        return "the count of training steps"
    if not is_float:
        return "not floating point"
    if trainable and name not in trainable:
        return "not among the graph's trainable variables"
    return None


def find_cells(shapes: Shapes, objects: bool = False) -> list[Found]:
    """Return the cells in the file's order, each with its place among the others; `objects`: saved by TensorFlow 2."""
    scopes = {match["scope"]: match["kind"] for match in map(SCOPE.fullmatch, shapes) if match}
    found = []
    for scope, kind in scopes.items():
        for name in CLASSES[kind]:
            row = _by_columns(find(name), scope, shapes)
            tensors = _tensors(row, scope, shapes)
            if tensors is not None:
                found.append(_placed(scope, row.name, tensors))
                break
    return found + _find_keras(shapes, objects)


def _find_keras(shapes: Shapes, objects: bool) -> list[Found]:
    """Return the layers of tf.keras, whose gates TensorFlow 1 made hard sigmoids by default, and 2 sigmoids."""
    found = []
    for match in filter(None, map(KERAS.fullmatch, shapes)):
        scope = match["scope"]
        inside = {name.removeprefix(f"{scope}/"): s for name, s in shapes.items() if name.startswith(f"{scope}/")}
        normalised = any(name.endswith("gamma") for name in inside)
        layout = None if normalised else row_of(inside, "2", reset_after=objects)
        if layout is not None:
            tensors = _tensors(find(layout), scope, shapes) or {}
            direction = re.search(r"(?:^|/)(forward|backward)_", scope)
            told = Settings(reverse=direction is not None and direction[1] == "backward")
            hard = layout.startswith("keras2.") and not objects
            guess = Settings(activations=Activations(gate="hard_sigmoid")) if hard else Settings()
            group = scope[: direction.start()] if direction else scope
            found.append(Found(scope, layout, tensors, told, guess, group=group))
    return found


def _tensors(row: Layout, scope: str, shapes: Shapes) -> dict[str, str] | None:
    """Return the row's tensors that stand in a scope, or None where one is missing that the class always has."""
    leaves = (name.removeprefix(f"{scope}/") for name in shapes if name.startswith(f"{scope}/"))
    inside = {OLDER_LEAVES.get(leaf, leaf) if row.cell == "gru" else leaf: f"{scope}/{leaf}" for leaf in leaves}
    if "input/gamma" in inside or (row.name.startswith("tf") and "recurrent_kernel" in inside):
        return None  # normalises its gates, which no row can hold; or is a cell of Keras
    tensors = {}
    for tensor in row.tensors:
        names = row.present(tensor, inside)
        if not names and not tensor.arrays <= row.optional:
            return None
        tensors.update({name: inside[name] for name in names})
    return tensors


def _by_columns(row: Layout, scope: str, shapes: Shapes) -> Layout:
    """Tell shards of 0.5 and 0.6, which are narrower than the bias, from those of 0.7 and later."""
    kernel, bias = shapes.get(f"{scope}/W_0", ()), shapes.get(f"{scope}/B", ())
    narrow = row.name == "tf0.7.LSTMCell" and len(kernel) == 2 and len(bias) == 1 and kernel[1] < bias[0]
    return find("tf0.5.LSTMCell") if narrow else row


def _placed(scope: str, layout: str, tensors: dict[str, str]) -> Found:
    """Read from a scope which layer it is, and of which direction.

    `bidirectional_rnn/fw` inside `cell_0` makes it one direction of layer 0; around `multi_rnn_cell/cell_0` it makes
    a stack of one direction, which is a chain of its own.
    """
    parts = scope.split("/")
    directions = {place: m[1].lower() for place, m in enumerate(map(DIRECTION.match, parts)) if m}
    layers = {place: int(m[1]) for place, m in enumerate(map(LAYER.match, parts)) if m}
    stacked = bool(directions) and bool(layers) and max(directions) < max(layers)
    varying = {*layers, *(() if stacked else directions)}
    return Found(
        name=scope,
        layout=layout,
        tensors=tensors,
        told={"reverse": "bw" in directions.values()},
        group="/".join("*" if place in varying else part for place, part in enumerate(parts)),
        layer=layers[max(layers)] if layers else 0,
        follows=False if stacked else None,
    )


def dense_layers(shapes: Shapes) -> list[Dense]:
    """Return every pair of variables that can be a dense layer: old ones have no common scope."""
    vectors = {name: shape for name, shape in shapes.items() if len(shape) == 1}
    found = []
    for weights, shape in shapes.items():
        if len(shape) == 2:
            found.append(Dense(weights, None))
            found += [Dense(weights, biases) for biases, size in vectors.items() if size == shape[1:]]
    return found
