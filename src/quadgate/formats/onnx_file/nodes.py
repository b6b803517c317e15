"""The nodes LSTM and GRU of an ONNX graph.

Source: onnx/onnx@f754691 onnx/defs/rnn/defs.cc.
"""

from __future__ import annotations

import numpy as np

from quadgate.cell import Activations
from quadgate.formats.dataflow import Dataflow, Operation
from quadgate.formats.onnx_file.graph import OnnxGraph, hard_sigmoid
from quadgate.formats.recurrence import Cannot, FoundCell
from quadgate.layouts import Settings
from quadgate.model.variables import Stored

TENSORS = {"W": 1, "R": 2, "B": 3, "P": 7}
STATES = {"initial_h": 5, "initial_c": 6}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
FUNCTIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}
ALPHAS = {"affine": 1.0, "leakyrelu": 0.01, "thresholdedrelu": 1.0, "scaledtanh": 1.0, "hardsigmoid": 0.2, "elu": 1.0}
BETAS = {"affine": 0.0, "scaledtanh": 1.0, "hardsigmoid": 0.5}
"""The activations that take numbers of their own, and what these are where a node does not give them."""


def find_nodes(graph: OnnxGraph) -> tuple[list[FoundCell], list[Cannot], dict[str, str]]:
    """Return the layers that nodes are, the nodes that cannot be used, and what else the nodes say."""
    cells: list[FoundCell] = []
    cannot: list[Cannot] = []
    notes: dict[str, str] = {}
    for operation in graph.flow.operations:
        if operation.kind not in ("LSTM", "GRU"):
            if operation.kind in ("RNN", "DynamicQuantizeLSTM", "AttnLSTM"):
                cannot.append(Cannot(operation.title, f"a node {operation.kind}, which is no plain LSTM or GRU"))
            continue
        found = _cells(graph, operation)
        if isinstance(found, str):
            cannot.append(Cannot(operation.title, f"a node {operation.kind}, but {found}"))
        else:
            cells.extend(found)
            notes |= _states(graph.flow, operation)
    return cells, cannot, notes


def _cells(graph: OnnxGraph, node: Operation) -> list[FoundCell] | str:
    """The layers of a node, forward before backward; a text says why it cannot be used."""
    directions = DIRECTIONS.get(str(node.attributes.get("direction", "forward")).lower())
    if directions is None:
        return f"its direction is {node.attributes['direction']!r}"
    if node.attributes.get("input_forget", 0):
        return "input_forget couples f to 1 - i, which is another cell"
    flow, constants, sources = graph.flow, dict[str, tuple[str, Stored]](), dict[str, frozenset[str]]()
    for tensor, place in TENSORS.items():
        value = node.inputs[place] if place < len(node.inputs) else ""
        if not value or (tensor == "P" and node.kind == "GRU"):
            continue
        constant = flow.constant(value)
        if constant is None:
            return f"its {tensor} is no constant of the file"
        if not constant.shape or constant.shape[0] != len(directions):
            return f"its {tensor} has shape {constant.shape}, expected {len(directions)} directions first"
        name = flow.origin(value)
        if name not in graph.initializers:
            sources[f"{node.title}.{tensor}"] = frozenset(graph.sources(name))
            name = f"{node.title}.{tensor}"
        constants[tensor] = (name, constant)
    for tensor in ("W", "R"):
        if tensor not in constants:
            return f"it has no {tensor}"
    cells = []
    for d, reverse in enumerate(directions):
        settings = _settings(node, d, len(directions), reverse)
        if isinstance(settings, str):
            return settings
        tensors = constants if len(directions) == 1 else {k: _direction(*one, d) for k, one in constants.items()}
        name = f"{node.title}{'_reverse' if d else ''}"
        outputs = [*node.outputs, "", ""][:2]
        cells.append(
            FoundCell(
                name, f"onnx.{node.kind}", tensors, settings, (node.inputs[0],), (outputs[0],), (outputs[1],), sources
            )
        )
    return cells


def _direction(name: str, constant: Stored, d: int) -> tuple[str, Stored]:
    """One direction of a tensor, with an axis of one for it."""
    shape = (1, *constant.shape[1:])
    return f"{name}[{d}]", Stored(shape, constant.dtype, lambda: constant.read()[d : d + 1])


def _settings(node: Operation, d: int, directions: int, reverse: bool) -> Settings | str:
    lstm = node.kind == "LSTM"
    functions = _functions(node, (3 if lstm else 2) * directions)
    if isinstance(functions, str):
        return functions
    if functions is None:
        activations = Activations()
    elif lstm:
        activations = Activations(*functions[3 * d : 3 * d + 3])
    else:
        activations = Activations(*functions[2 * d : 2 * d + 2])
    settings = Settings(activations=activations, reverse=reverse)
    clip = node.attributes.get("clip")
    if not lstm:
        settings["reset_after"] = bool(node.attributes.get("linear_before_reset", 0))
        if clip:
            return f"clip={clip:g} limits the pre-activations of a GRU"
    else:
        settings["input_clip"] = float(clip) if clip else None
    return settings


def _functions(node: Operation, count: int) -> list[str] | str | None:
    """The names of all activations; None where the node has the usual ones, a text where one is not known."""
    told = node.attributes.get("activations")
    if not told:
        return None
    if len(told) != count:
        return f"it has {len(told)} activations, expected {count}"
    alphas, betas = (list(node.attributes.get(f"activation_{name}") or ()) for name in ("alpha", "beta"))
    found = []
    for name in (str(one).lower() for one in told):
        numbers = [
            float(given.pop(0) if given else usual[name])
            for given, usual in ((alphas, ALPHAS), (betas, BETAS))
            if name in usual
        ]
        function = FUNCTIONS.get(name)
        if name == "hardsigmoid":
            function = hard_sigmoid(*numbers)
        elif name == "affine" and numbers == [1.0, 0.0]:
            function = "linear"
        elif name == "scaledtanh" and numbers == [1.0, 1.0]:
            function = "tanh"
        if function is None:
            with_numbers = "".join(f" {number:g}" for number in numbers)
            return f"it applies {name}{with_numbers}"
        found.append(function)
    return found


def _states(flow: Dataflow, node: Operation) -> dict[str, str]:
    """Say which states the node starts from, where the file itself gives them and they are not zeros."""
    notes = {}
    for name, place in STATES.items():
        value = node.inputs[place] if place < len(node.inputs) else ""
        constant = flow.constant(value) if value else None
        if constant is not None and np.any(constant.read()):
            notes[value] = f"{name} of {node.title}, which is not zero; give it to run as state"
    return notes
