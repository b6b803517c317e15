"""Which variables of a TensorFlow 1 checkpoint are recurrent cells, which are the head, and which are neither.

Sources: tensorflow/python/ops/rnn_cell.py at v0.5.0 to v0.12.0 and rnn_cell_impl.py at v1.0.0 to v1.15.0 for the names
of the cells; tensorflow/python/training/slot_creator.py at v1.15.0 for those of slots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quadgate.model.network import Cell, Head

Shapes = Mapping[str, tuple[int, ...]]

KERNEL = re.compile(
    r"(?P<scope>(?:.*/)?(?:basic_lstm_cell|lstm_cell|lstm_fused_cell|lstm_block_wrapper|cudnn_compatible_lstm_cell"
    r"|BasicLSTMCell|LSTMCell|LSTMBlockCell)(?:_\d+)?)/(?P<leaf>kernel|weights|Linear/Matrix|W_0|W)"
)
BIASES = {"kernel": "bias", "weights": "biases", "Linear/Matrix": "Linear/Bias", "W_0": "B", "W": "b"}
PEEPHOLES = (("w_i_diag", "w_f_diag", "w_o_diag"), ("W_I_diag", "W_F_diag", "W_O_diag"))
PROJECTIONS = ("projection/kernel", "projection/weights", "W_P_0")

LAYER = re.compile(r"^(?:cell_|Cell)(\d+)$")
DIRECTION = re.compile(r"^(?:BiRNN_)?(fw|bw|FW|BW)$")

SLOT = re.compile(
    r"/(Adam|AdaMax|AMSGrad|Momentum|RMSProp|Adagrad|AdagradDA|Adadelta|Ftrl|ProximalAdagrad|ExponentialMovingAverage)"
    r"(_\d+)?$"
)
POWER = re.compile(r"(^|/)beta[12]_power(_\d+)?$")


@dataclass(frozen=True)
class Found:
    """A recurrent cell, and where its name puts it."""

    cell: Cell
    group: str
    layer: int


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
    if name.endswith("global_step") and not shape:
        return "the count of training steps"
    if not is_float:
        return "not floating point"
    if trainable and name not in trainable:
        return "not among the graph's trainable variables"
    return None


def find_cells(shapes: Shapes) -> list[Found]:
    """Return the cells, in the order of their layers, forward before backward."""
    found = []
    for name, shape in shapes.items():
        match = KERNEL.fullmatch(name)
        if match is None or len(shape) != 2 or shape[1] % 4 or not shape[1]:
            continue
        scope, leaf = match["scope"], match["leaf"]
        H = shape[1] // 4
        bias = f"{scope}/{BIASES[leaf]}"
        diagonals = [tuple(f"{scope}/{one}" for one in names) for names in PEEPHOLES]
        projection = next((f"{scope}/{one}" for one in PROJECTIONS if f"{scope}/{one}" in shapes), None)
        P = H if projection is None else shapes[projection][-1]
        if shapes.get(bias) != (4 * H,) or shape[0] <= P:
            continue
        parts = scope.split("/")
        direction = next((m[1].lower() for m in map(DIRECTION.match, parts) if m), "fw")
        layers = [int(m[1]) for m in map(LAYER.match, parts) if m]
        cell = Cell(
            inputs=shape[0] - P,
            units=H,
            kernel=name,
            bias=bias,
            peepholes=next((names for names in diagonals if all(shapes.get(one) == (H,) for one in names)), None),
            projection=projection,
            projected=None if projection is None else P,
            forget_bias=0.0 if "cudnn_compatible" in scope else 1.0,
            reverse=direction == "bw",
        )
        group = "/".join("*" if LAYER.match(p) or DIRECTION.match(p) else p for p in parts)
        found.append(Found(cell, group, layers[-1] if layers else 0))
    return found


def arrange(found: list[Found]) -> tuple[tuple[Cell, ...], ...]:
    """Put cells of the same scope and layer side by side, layers after each other, scopes in the file's order."""
    groups = list(dict.fromkeys(one.group for one in found))
    layers: dict[tuple[int, int], list[Cell]] = {}
    for one in sorted(found, key=lambda one: (groups.index(one.group), one.layer, one.cell.reverse)):
        layers.setdefault((groups.index(one.group), one.layer), []).append(one.cell)
    return tuple(tuple(layer) for layer in layers.values())


def find_head(shapes: Shapes, cells: tuple[tuple[Cell, ...], ...]) -> Head | None:
    """Return the dense layer that reads the top layer, where only one pair of variables can be it.

    A matrix that has as many columns as the first layer has inputs may be an embedding in front, and is no candidate;
    a matrix that could follow the pair makes it a hidden layer, and then there is no head.
    """
    features = sum(cell.state_width for cell in cells[-1])
    taken = {name for layer in cells for cell in layer for name in cell.shapes}
    rest = {name: shape for name, shape in shapes.items() if name not in taken}
    matrices = {name: shape for name, shape in rest.items() if len(shape) == 2}
    candidates = [
        (weights, biases)
        for weights, (rows, columns) in matrices.items()
        for biases, shape in rest.items()
        if rows == features and shape == (columns,)
    ]
    if len(candidates) != 1:
        return None
    weights, biases = candidates[0]
    K = matrices[weights][1]
    C = cells[0][0].inputs
    if any(name != weights and shape[0] == K and shape[1] != C for name, shape in matrices.items()):
        return None
    return Head(weights, biases, features, K)
