"""Who takes part: quadgate, and those of its peers that are installed, each given its arrays as it likes them best."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from quadgate.cell import LSTMParameters
from quadgate.errors import InputError, suggest
from quadgate.layouts import decode, encode
from quadgate.speed.cases import Array, Case, Problem, Task


@dataclass(frozen=True)
class Prepared:
    """A contestant with its arrays in place: `run` is what is timed, `answer` what the last run came to.

    `settle` makes settings of the process that another contestant may have changed, before the clock starts.
    """

    run: Callable[[], None]
    answer: Callable[[], dict[str, Array]]
    settle: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Contestant:
    """One implementation: `prepare` sets it up for a case, in TensorFlow's order of gates as the problem has it."""

    name: str
    version: str
    tasks: tuple[Task, ...]
    prepare: Callable[[Case, Problem], Prepared]


# Steps between the states that are kept where the rest is computed again: the contestant `recomputing`.
RECOMPUTE_EVERY = 64

_BUILT_OF_ONNX = ("onnxruntime", "openvino")  # they run a model that is made with the package onnx


def installed(against: list[str] | None = None) -> list[Contestant]:
    """Return quadgate, then every peer that is installed, or those of `against`.

    Raises:
        InputError: one of `against` is not installed.
    """
    known: list[tuple[str, str, tuple[Task, ...], Callable[[Case, Problem], Prepared]]] = [
        ("quadgate", "quadgate", ("infer", "train"), _quadgate),
        ("frozen", "quadgate", ("infer",), _frozen),
        ("recomputing", "quadgate", ("train",), partial(_quadgate, recompute_every=RECOMPUTE_EVERY)),
        ("torch", "torch", ("infer", "train"), _torch),
        ("onnxruntime", "onnxruntime", ("infer",), _onnxruntime),
        ("openvino", "openvino", ("infer",), _openvino),
        ("keras", "keras", ("infer",), _keras),
        ("jax", "jax", ("infer", "train"), _jax),
    ]
    found = [
        Contestant(name, version(package), tasks, prepare)
        for name, package, tasks, prepare in known
        if find_spec(package) is not None and (name not in _BUILT_OF_ONNX or find_spec("onnx") is not None)
    ]
    names = [one.name for one in found]
    for name in against or []:
        if name not in names:
            raise InputError(f"against: found {name!r}, {suggest(name, names)}")
    return [one for one in found if not against or one.name in ("quadgate", *against)]


def _quadgate(case: Case, numbers: Problem, recompute_every: int = 0) -> Prepared:
    import torch

    import quadgate

    x, d_outputs = torch.from_numpy(numbers.x), torch.from_numpy(numbers.d_outputs)
    train = case.task == "train"
    kernel = torch.from_numpy(numbers.kernel.copy()).requires_grad_(train)
    bias = torch.from_numpy(numbers.bias.copy()).requires_grad_(train)
    last: dict[str, torch.Tensor] = {}

    def infer() -> None:
        last["outputs"], _ = quadgate.lstm(x, kernel, bias, forget_bias=0.0)

    def step() -> None:
        kernel.grad = bias.grad = None
        outputs, _ = quadgate.lstm(x, kernel, bias, forget_bias=0.0, recompute_every=recompute_every)
        outputs.backward(d_outputs)

    def answer() -> dict[str, Array]:
        if kernel.grad is None:
            return {"outputs": last["outputs"].numpy()}
        gradient = LSTMParameters.from_kernel(kernel.grad.numpy(), None)
        return {"d_w_x": gradient.w_x, "d_w_h": gradient.w_h}

    return Prepared(step if train else infer, answer, lambda: torch.set_num_threads(case.threads))


def _frozen(case: Case, numbers: Problem) -> Prepared:
    """What a loaded model runs: weights that were packed once, as ONNX Runtime and OpenVINO have them too."""
    import torch

    from quadgate.kernels.cpu import PackedLSTM

    layer = PackedLSTM(numbers.parameters)
    last: dict[str, Array] = {}

    def run() -> None:
        last["outputs"], _ = layer(numbers.x)

    return Prepared(run, lambda: {"outputs": last["outputs"]}, lambda: torch.set_num_threads(case.threads))


def _torch(case: Case, numbers: Problem) -> Prepared:
    import torch

    C, H = case.channels, case.units
    x = torch.from_numpy(numbers.x.swapaxes(0, 1).copy())
    d_outputs = torch.from_numpy(numbers.d_outputs.swapaxes(0, 1).copy())
    layer = torch.nn.LSTM(C, H)
    with torch.no_grad():
        for name, value in encode(numbers.parameters, "torch.nn.LSTM").tensors.items():
            layer.get_parameter(name).copy_(torch.from_numpy(value))
    last: dict[str, torch.Tensor] = {}

    def infer() -> None:
        with torch.inference_mode():
            last["outputs"], _ = layer(x)

    def step() -> None:
        layer.zero_grad()
        outputs, _ = layer(x)
        outputs.backward(d_outputs)

    def answer() -> dict[str, Array]:
        if case.task == "infer":
            return {"outputs": last["outputs"].numpy().swapaxes(0, 1)}
        gradients = {
            name: parameter.grad.numpy() for name, parameter in layer.named_parameters() if parameter.grad is not None
        }
        decoded = decode(gradients, "torch.nn.LSTM")
        return {"d_w_x": decoded.w_x, "d_w_h": decoded.w_h}

    return Prepared(infer if case.task == "infer" else step, answer, lambda: torch.set_num_threads(case.threads))


def _onnxruntime(case: Case, numbers: Problem) -> Prepared:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_onnx_model(case, numbers), options, providers=["CPUExecutionProvider"])
    x = np.ascontiguousarray(numbers.x.swapaxes(0, 1))
    last: dict[str, Array] = {}

    def run() -> None:
        (last["outputs"],) = session.run(["outputs"], {"x": x})

    return Prepared(run, lambda: {"outputs": last["outputs"][:, 0].swapaxes(0, 1)})


def _openvino(case: Case, numbers: Problem) -> Prepared:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": case.threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = core.compile_model(core.read_model(_onnx_model(case, numbers)), "CPU", settings)
    request = model.create_infer_request()
    x = np.ascontiguousarray(numbers.x.swapaxes(0, 1))
    last: dict[str, Array] = {}

    def run() -> None:
        last["outputs"] = request.infer({"x": x}, share_inputs=True, share_outputs=True)["outputs"]

    return Prepared(run, lambda: {"outputs": last["outputs"][:, 0].swapaxes(0, 1)})


def _keras(case: Case, numbers: Problem) -> Prepared:
    """Keras on the backend that its user chose, or the first that is installed."""
    backends = [name for name in ("torch", "tensorflow", "jax") if find_spec(name) is not None]
    os.environ.setdefault("KERAS_BACKEND", backends[0])
    import keras

    layer = keras.layers.LSTM(case.units, return_sequences=True, unit_forget_bias=False)
    layer.build((case.cases, case.steps, case.channels))
    layer.set_weights(list(encode(numbers.parameters, "keras.LSTM").tensors.values()))
    backend = keras.backend.backend()
    settle: Callable[[], None] = lambda: None  # noqa: E731
    x: Any
    if backend == "torch":
        import torch

        call, x = torch.inference_mode()(layer), torch.from_numpy(numbers.x)
        settle = partial(torch.set_num_threads, case.threads)
    elif backend == "tensorflow":
        import tensorflow as tf

        call, x = tf.function(layer), tf.constant(numbers.x)
    else:
        import jax

        compiled, x = jax.jit(layer), jax.numpy.asarray(numbers.x)

        def call(x: Any) -> Any:
            return jax.block_until_ready(compiled(x))

    last: dict[str, Any] = {}

    def run() -> None:
        last["outputs"] = call(x)

    return Prepared(run, lambda: {"outputs": np.asarray(last["outputs"])}, settle)


def _jax(case: Case, numbers: Problem) -> Prepared:
    """The cell in a scan, compiled for the problem's shapes; its threads are XLA's own."""
    import jax
    import jax.numpy as jnp

    N, H = case.cases, case.units
    x, d_outputs = (jnp.asarray(array.swapaxes(0, 1)) for array in (numbers.x, numbers.d_outputs))
    kernel, bias = jnp.asarray(numbers.kernel), jnp.asarray(numbers.bias)

    def forward(kernel: Any, bias: Any) -> Any:
        def step(state: Any, x_t: Any) -> Any:
            c, h = state
            i, j, f, o = jnp.split(jnp.concatenate([x_t, h], axis=1) @ kernel + bias, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (c, h), h

        zero = jnp.zeros((N, H), jnp.float32)
        return jax.lax.scan(step, (zero, zero), x)[1]

    run_forward = jax.jit(forward)
    run_step = jax.jit(jax.grad(lambda kernel, bias: (forward(kernel, bias) * d_outputs).sum(), argnums=(0, 1)))
    last: dict[str, Any] = {}

    def run() -> None:
        what = run_forward if case.task == "infer" else run_step
        last["answer"] = jax.block_until_ready(what(kernel, bias))

    def answer() -> dict[str, Array]:
        if case.task == "infer":
            return {"outputs": np.asarray(last["answer"]).swapaxes(0, 1)}
        gradient = LSTMParameters.from_kernel(np.asarray(last["answer"][0]), None)
        return {"d_w_x": gradient.w_x, "d_w_h": gradient.w_h}

    return Prepared(run, answer)


def _onnx_model(case: Case, numbers: Problem) -> bytes:
    """Build an ONNX model of one LSTM node, `x [T, N, C]` to `outputs [T, 1, N, H]`."""
    from onnx import TensorProto, helper, numpy_helper

    N, T, C, H = case.cases, case.steps, case.channels, case.units
    constants = encode(numbers.parameters, "onnx.LSTM").tensors
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", *constants], ["outputs"], hidden_size=H)],
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, N, C])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [T, 1, N, H])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return bytes(model.SerializeToString())
