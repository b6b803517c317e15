"""Who takes part in steps: one LSTM layer, a dense layer and probabilities, with the state carried along.

Each is given its sample as it likes it best, and may leave its answer in that form: what is timed is the step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from quadgate.layouts import encode
from quadgate.model import Model, Network
from quadgate.speed.cases import Array


@dataclass(frozen=True)
class Stepper:
    """N streams of a contestant: `samples [T, N, C]` to what `step` takes, what that gives by `answer` to `[N, K]`."""

    samples: Callable[[Array], Iterable[Any]]
    step: Callable[[Any], Any]
    answer: Callable[[Any], Array]


@dataclass(frozen=True)
class SteppingContestant:
    """One implementation; `prepare` makes the steps of N streams that have read nothing."""

    name: str
    version: str
    prepare: Callable[[Model, int], Stepper]


def stepping_model(units: int, channels: int, classes: int, biases: bool = True) -> Model:
    """Draw a model, always the same, or one whose biases are 0; the forget bias is 0, as the contestants have none."""
    network, rng = Network(channels, units, classes, forget_bias=0.0), np.random.default_rng(76256)
    bound = 1 / np.sqrt(units)
    drawn = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in network.shapes.items()}
    return Model(network, {name: value if biases or value.ndim > 1 else value * 0 for name, value in drawn.items()})


def stepping() -> list[SteppingContestant]:
    """Return quadgate, then every peer that is installed."""
    known: list[tuple[str, tuple[str, ...], Callable[[Model, int], Stepper]]] = [
        ("quadgate", ("quadgate",), _quadgate),
        ("onnxruntime", ("onnxruntime", "onnx"), _onnxruntime),
        ("onnxruntime, bound", ("onnxruntime", "onnx"), _onnxruntime_bound),
        ("torch LSTMCell", ("torch",), _torch),
        ("torch scripted", ("torch",), _torch_scripted),
    ]
    return [
        SteppingContestant(name, version(packages[0]), prepare)
        for name, packages, prepare in known
        if all(find_spec(package) is not None for package in packages)
    ]


def dense_layer(model: Model) -> tuple[Array, Array]:
    """Return the weights `[H, K]` and biases `[K]` of a model that `stepping_model` drew."""
    return model.variables["out/weights"], model.variables["out/biases"]


def _as_it_is(answer: Array) -> Array:
    return answer


def _quadgate(model: Model, streams: int) -> Stepper:
    out = np.empty((streams, model.classes or 0), np.float32)
    if streams > 1:
        many = model.streams(streams, "probabilities")
        return Stepper(list, lambda x: many.step(x, out), _as_it_is)
    step, row = model.stream("probabilities").step, out[0]
    return Stepper(lambda x: list(x[:, 0]), lambda x: step(x, row), lambda answer: answer[None])


def _session(model: Model, streams: int) -> Any:
    """One step in ONNX: `x [1, N, C]`, `h`, `c` `[1, N, H]` to `answers [N, K]`, `h_next`, `c_next`."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    N, C, H, (weights, biases) = streams, model.inputs, model.layers[0][0].units, dense_layer(model)
    constants = encode(model.layers[0][0], "onnx.LSTM").tensors | {
        "weights": weights,
        "biases": biases,
        "axis": np.array([0]),
    }
    lstm = [name for name in constants if name not in ("weights", "biases", "axis")]
    nodes = [
        helper.make_node("LSTM", ["x", *lstm, "", "h", "c"], ["", "h_next", "c_next"], hidden_size=H),
        helper.make_node("Squeeze", ["h_next", "axis"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "biases"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["answers"], axis=-1),
    ]
    shapes = {"x": [1, N, C], "h": [1, N, H], "c": [1, N, H], "answers": [N, len(biases)]}
    shapes |= {"h_next": [1, N, H], "c_next": [1, N, H]}
    told = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        nodes,
        "step",
        [told[name] for name in ("x", "h", "c")],
        [told[name] for name in ("answers", "h_next", "c_next")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _onnxruntime(model: Model, streams: int) -> Stepper:
    session, names = _session(model, streams), ["answers", "h_next", "c_next"]
    h = c = np.zeros((1, streams, model.layers[0][0].units), np.float32)

    def step(x: Array) -> Array:
        nonlocal h, c
        answers, h, c = session.run(names, {"x": x, "h": h, "c": c})
        return answers  # type: ignore[no-any-return]

    return Stepper(lambda x: list(x[:, None]), step, _as_it_is)


def _onnxruntime_bound(model: Model, streams: int) -> Stepper:
    """Its fastest way: inputs and outputs bound once to memory that stays, two states in turn."""
    import onnxruntime

    session = _session(model, streams)
    states = [[np.zeros((1, streams, model.layers[0][0].units), np.float32) for _ in "hc"] for _ in range(2)]
    values = [[onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in state] for state in states]
    sample, answers = (
        np.zeros((1, streams, model.inputs), np.float32),
        np.zeros((streams, model.classes or 0), np.float32),
    )
    x, y = (onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (sample, answers))
    bound = []
    for before, after in (values, values[::-1]):
        binding = session.io_binding()
        for name, value in zip(("x", "h", "c"), (x, *before), strict=True):
            binding.bind_ortvalue_input(name, value)
        for name, value in zip(("answers", "h_next", "c_next"), (y, *after), strict=True):
            binding.bind_ortvalue_output(name, value)
        bound.append(binding)
    turn = 0

    def step(sample: Array) -> Any:
        nonlocal turn
        x.update_inplace(sample)
        session.run_with_iobinding(bound[turn])
        turn = 1 - turn
        return y

    return Stepper(lambda x: list(x[:, None]), step, lambda answer: np.array(answer.numpy()))


def _torch(model: Model, streams: int) -> Stepper:
    return _stepper_of_torch(_torch_module(model), streams, model.layers[0][0].units)


def _torch_scripted(model: Model, streams: int) -> Stepper:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # deprecated or not, streaming loops in the field use it
        scripted = torch.jit.freeze(torch.jit.script(_torch_module(model)))
    return _stepper_of_torch(scripted, streams, model.layers[0][0].units)


def _torch_module(model: Model) -> Any:
    import torch

    weights, biases = dense_layer(model)

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.LSTMCell(model.inputs, model.layers[0][0].units)
            self.dense = torch.nn.Linear(*weights.shape)

        def forward(
            self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            h, c = self.cell(x, (h, c))
            return torch.softmax(self.dense(h), -1), h, c

    module = Step().eval()
    with torch.no_grad():
        for name, value in encode(model.layers[0][0], "torch.nn.LSTM").tensors.items():
            module.cell.get_parameter(name.removesuffix("_l0")).copy_(torch.from_numpy(value))
        module.dense.weight.copy_(torch.from_numpy(weights.T.copy()))
        module.dense.bias.copy_(torch.from_numpy(biases))
    return module


def _stepper_of_torch(module: Any, streams: int, units: int) -> Stepper:
    import torch

    h = c = torch.zeros(streams, units)

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal h, c
        with torch.inference_mode():
            answers, h, c = module(x, h, c)
        return answers  # type: ignore[no-any-return]

    return Stepper(lambda x: list(torch.from_numpy(x)), step, lambda answer: np.array(answer.numpy()))
