"""Writes a network as an ONNX model that runs without quadgate: scaling, every layer, pooling, head.

    inputs    x [N, T, C], lengths [N], and for each layer and direction the state: h_0 [N, H], c_0 [N, H],
              h_0_reverse, ...
    outputs   logits [N, K] and probabilities [N, K] of a classifier, logits [N, 1] alone of a regressor; outputs
              [N, T, F], those of the top layer, zero past each case's end; the final states, new_h_0 and so on, to be
              given to the next call

N and T are free. A run over two pieces of a series, with the states of the first given to the second, is the run over
the whole.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.cell import Activations, GRUParameters, LSTMParameters
from quadgate.dependencies import require
from quadgate.errors import InputError
from quadgate.formats.onnx_file.description import KEY, Description
from quadgate.layouts import encode
from quadgate.model import Head, Model, write_atomically
from quadgate.model.variables import Array

OPERATORS = 17
REPRESENTATION = 8
FUNCTIONS = {
    "sigmoid": ("Sigmoid", None, None),
    "tanh": ("Tanh", None, None),
    "relu": ("Relu", None, None),
    "linear": ("Affine", 1.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 0.2, 0.5),
    "hard_sigmoid_v3": ("HardSigmoid", 1 / 6, 0.5),
}
"""ONNX's name of each activation, its alpha and its beta."""


def write_model(model: Model, path: Path) -> None:
    """Write a model.

    Raises:
        InputError: its layers are not one chain, or it has what ONNX's LSTM has not: a projection, a limit of the cell
            state.
        MissingDependencyError: the package onnx is not installed.
    """
    checker = require("onnx.checker", f"{path} (ONNX) cannot be written", "onnx")
    if len(model.chains) > 1:
        raise InputError(f"{path}: the model has {len(model.chains)} chains of layers; write one: model.chain(0)")
    written = _Graph().model(model)
    checker.check_model(written, full_check=True)
    with write_atomically(path) as beside:
        beside.write_bytes(written.SerializeToString())


def loading_code(model: Model, path: Path) -> str:
    """Return the lines that run what `write_model` wrote, with ONNX Runtime, from a state of zero."""
    states = []
    for k, layer in enumerate(model.cells):
        for cell in layer:
            suffix = "_reverse" if cell.reverse else ""
            widths = {"h": cell.width} | ({"c": cell.units} if cell.kind == "lstm" else {})
            states += [f'"{letter}_{k}{suffix}": np.zeros((1, {H}), np.float32),' for letter, H in widths.items()]
    result = "outputs" if model.head is None else "logits"
    return "\n".join(
        [
            "import numpy as np",
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("{path}")',
            f"x = np.zeros((1, 10, {model.inputs}), np.float32)  # cases, steps, channels",
            "state = {",
            *(f"    {line}" for line in states),
            "}",
            f'({result},) = session.run(["{result}"], {{"x": x, "lengths": np.array([10]), **state}})',
        ]
    )


class _Graph:
    """The nodes, tensors, inputs and outputs of a graph that is being written."""

    def __init__(self) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self.helper, self.numpy_helper, self.types = helper, numpy_helper, TensorProto
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.numbers = count(1)

    def op(self, kind: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or the names where there are several."""
        base = name or f"{kind.lower()}_{next(self.numbers)}"
        names = [base] if outputs == 1 else [f"{base}.{k}" for k in range(outputs)]
        self.nodes.append(self.helper.make_node(kind, inputs, names, name=f"node:{base}", **attributes))
        return base if outputs == 1 else names

    def tensor(self, name: str, array: Any) -> str:
        """Add a constant; one of the same name is the same."""
        if name not in self.tensors:
            self.tensors[name] = self.numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def whole(self, *values: int) -> str:
        """Add a constant of whole numbers, named by what it is."""
        return self.tensor("_".join(["int", *map(str, values)]), np.array(values, np.int64))

    def input(self, name: str, kind: int, shape: list[Any], says: str) -> str:
        self.inputs.append(self.helper.make_tensor_value_info(name, kind, shape, says))
        return name

    def output(self, name: str, value: str, shape: list[Any], says: str) -> None:
        self.op("Identity", value, name=name)
        self.outputs.append(self.helper.make_tensor_value_info(name, self.types.FLOAT, shape, says))

    def model(self, model: Model) -> Any:
        """Add the whole network; return the ModelProto."""
        x = self.input("x", self.types.FLOAT, ["N", "T", model.inputs], "the series, in the units of its channels")
        lengths = self.input("lengths", self.types.INT64, ["N"], "the steps of each case, up to T")
        if model.scaling is not None:
            x = self._scaled(x, model.scaling.mean, model.scaling.scale)
        steps = self.op("Cast", lengths, name="steps", to=self.types.INT32)
        values = self.op("Transpose", x, name="steps_first", perm=[1, 0, 2])
        final: list[str] = []
        states = []
        for k, layer in enumerate(model.layers):
            outputs, final = [], []
            for one in layer:
                shown, state = self._cell(k, one, values, steps, lengths)
                outputs.append(shown)
                final.append(state[0][1])
                states += state
            values = self._beside(outputs, f"layer_{k}_both", axis=2)
        F = sum(cell.width for cell in model.cells[-1])
        top = self.op("Transpose", values, name="cases_first", perm=[1, 0, 2])
        if model.head is not None:
            features = self._pooled(model, model.head, top, self._beside(final, "last", axis=1), lengths)
            self._head(model, model.head, features)
        self.output("outputs", top, ["N", "T", F], "the outputs of the top layer at every step")
        for name, value, width in states:
            self.output(f"new_{name}", value, ["N", width], f"the state {name} after the last step")
        graph = self.helper.make_graph(
            self.nodes, "quadgate", self.inputs, self.outputs, list(self.tensors.values()), f"from {model.source}"
        )
        written = self.helper.make_model(
            graph,
            producer_name="quadgate",
            ir_version=REPRESENTATION,
            opset_imports=[self.helper.make_opsetid("", OPERATORS)],
        )
        self.helper.set_model_props(written, {KEY: Description.of(model).text})
        return written

    def _scaled(self, x: str, mean: Array, scale: Array) -> str:
        """`(x - mean) / scale` in float64, rounded once, as in training."""
        wide = self.op("Cast", x, to=self.types.DOUBLE)
        centred = self.op("Sub", wide, self.tensor("mean", mean))
        scaled = self.op("Div", centred, self.tensor("scale", scale))
        return str(self.op("Cast", scaled, name="scaled", to=self.types.FLOAT))

    def _beside(self, values: list[str], name: str, axis: int) -> str:
        return values[0] if len(values) == 1 else str(self.op("Concat", *values, name=name, axis=axis))

    def _cell(
        self, k: int, one: LSTMParameters | GRUParameters, values: str, steps: str, lengths: str
    ) -> tuple[str, list[tuple[str, str, int]]]:
        """Add one layer in one direction; return its outputs `[T, N, H]` and its final states with their widths."""
        lstm = isinstance(one, LSTMParameters)
        row = "onnx.LSTM" if lstm else "onnx.GRU"
        H, suffix = one.units, f"{k}_reverse" if one.reverse else str(k)
        encoded = encode(one, row)
        tensors = {
            name: self.tensor(f"layer_{suffix}.{name}", array.astype(np.float32, copy=False))
            for name, array in encoded.tensors.items()
        }
        names = ["h", "c"] if lstm else ["h"]
        given = {
            name: self.input(f"{name}_{suffix}", self.types.FLOAT, ["N", H], f"the state {name} before the first step")
            for name in names
        }
        inputs = [values, tensors["W"], tensors["R"], tensors.get("B", ""), steps]
        inputs += [self.op("Unsqueeze", given[name], self.whole(0)) for name in names]
        inputs += [tensors["P"]] if "P" in tensors else []
        attributes: dict[str, Any] = {"hidden_size": H, "direction": "reverse" if one.reverse else "forward"}
        functions = [one.activations.gate, one.activations.cell, *([one.activations.output] if lstm else [])]
        if one.activations != Activations():
            attributes |= _functions(functions)
        if isinstance(one, GRUParameters):
            attributes["linear_before_reset"] = int(one.reset_after)
        elif one.input_clip is not None:
            attributes["clip"] = one.input_clip
        results = self.op(row[5:], *inputs, name=f"layer_{suffix}", outputs=len(names) + 1, **attributes)
        shown = self.op("Squeeze", results[0], self.whole(1))
        ended = self.op("Unsqueeze", self.op("Equal", lengths, self.whole(0)), self.whole(1))
        states = []
        for name, value in zip(names, results[1:], strict=True):
            last = self.op("Squeeze", value, self.whole(0))  # of a case without steps the runtime gives zeros
            states.append((f"{name}_{suffix}", self.op("Where", ended, given[name], last), H))
        return shown, states

    def _pooled(self, model: Model, head: Head, top: str, last: str, lengths: str) -> str:
        """Gather the steps of a case into its features `[N, F]`."""
        if head.pool == "last":
            return last
        kinds = self.types
        T = self.op("Gather", self.op("Shape", top), self.tensor("one", np.int64(1)))
        places = self.op("Range", self.tensor("zero", np.int64(0)), T, self.tensor("one", np.int64(1)))
        column = self.op("Unsqueeze", lengths, self.whole(1))
        valid = self.op("Unsqueeze", self.op("Less", places, column), self.whole(2), name="valid")
        if head.pool == "mean":
            total = self.op("ReduceSum", top, self.whole(1), keepdims=0)
            many = self.op("Cast", self.op("Max", column, self.whole(1)), to=kinds.FLOAT)
            return str(self.op("Div", total, many, name="mean_of_steps"))
        least = self.tensor("least", np.float32(np.finfo(np.float32).min))
        none = self.tensor("none", np.float32(0))
        if head.pool == "max":
            largest = self.op("ReduceMax", self.op("Where", valid, top, least), axes=[1], keepdims=0)
            return str(self.op("Where", self.op("Greater", column, self.whole(0)), largest, none, name="max_of_steps"))
        name = head.query or ""
        query = self.tensor(name, model.variables[name].astype(np.float32))
        products = self.op("MatMul", top, self.op("Unsqueeze", query, self.whole(1)))
        scores = self.op("Where", valid, products, least)
        highest = self.op("ReduceMax", scores, axes=[1], keepdims=1)
        weights = self.op("Where", valid, self.op("Exp", self.op("Sub", scores, highest)), none)
        total = self.op("ReduceSum", weights, self.whole(1), keepdims=0)
        tiny = self.tensor("tiny", np.float32(np.finfo(np.float32).tiny))
        weighted = self.op("ReduceSum", self.op("Mul", weights, top), self.whole(1), keepdims=0)
        return str(self.op("Div", weighted, self.op("Max", total, tiny), name="attention"))

    def _head(self, model: Model, head: Head, features: str) -> None:
        weights = self.tensor(head.weights, model.variables[head.weights].astype(np.float32))
        inputs = [features, weights]
        if head.biases is not None:
            inputs.append(self.tensor(head.biases, model.variables[head.biases].astype(np.float32)))
        logits = self.op("Gemm", *inputs, name="dense", transB=int(head.transposed))
        self.output("logits", logits, ["N", head.classes], "one number for each class")
        if head.classes > 1:  # one is a quantity
            chances = self.op("Softmax", logits, axis=1)
            self.output("probabilities", chances, ["N", head.classes], "softmax of the logits")


def _functions(names: list[str]) -> dict[str, Any]:
    """The attributes that name the activations; numbers are listed for those that take any."""
    told = [FUNCTIONS[name] for name in names]
    attributes: dict[str, Any] = {"activations": [name for name, _, _ in told]}
    numbers = [(alpha, beta) for _, alpha, beta in told if alpha is not None]
    if numbers:
        attributes["activation_alpha"] = [alpha for alpha, _ in numbers]
        attributes["activation_beta"] = [beta for _, beta in numbers]
    return attributes
