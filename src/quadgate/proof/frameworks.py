"""The framework itself, where it is installed, runs the file that was written for it; the float64 reference judges.

It computes in float32; sums in another order and faster functions cost a few 1e-7 of numbers of size one for each step.
Importing a framework takes seconds, so nothing here is imported before a file is written.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, gru, lstm
from quadgate.model import Model
from quadgate.proof.head import drawn, head_numbers, run_head
from quadgate.proof.proof import FrameworkRun
from quadgate.proof.trial import Difference, Parameters, Trial, difference

Array = NDArray[Any]
States = list[tuple[Array, ...]]
"""For each layer and direction, forward before backward: `(h, c)` of an LSTM, `(h,)` of a GRU."""


def run_framework(to: str, model: Model, path: Path) -> FrameworkRun | None:
    """Run the framework that reads a format on a file; None where it is not installed.

    Args:
        to: the format's name.
        model: what was written.
        path: where.
    """
    known = _RUNS.get(to)
    if known is None or not all(find_spec(package) for package in known[0]):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a framework's words to its own users
        name, found = known[1](model, path)
    return FrameworkRun(name, found)


def _torch(model: Model, path: Path) -> tuple[str, Difference]:
    import torch

    return f"PyTorch {torch.__version__}", _run_torch(model, torch.load(path, weights_only=True))


def _torch_safetensors(model: Model, path: Path) -> tuple[str, Difference]:
    import torch
    from safetensors.torch import load_file

    return f"PyTorch {torch.__version__}", _run_torch(model, load_file(path))


def _run_torch(model: Model, state_dict: dict[str, Any]) -> Difference:
    import torch

    from quadgate.formats.torch_writer import modules

    found = Difference(0.0, 0.0)
    for module in modules(model):
        prefix = f"{module.name}."
        own = {name.removeprefix(prefix): one for name, one in state_dict.items() if name.startswith(prefix)}
        layer = getattr(torch.nn, module.kind)(**module.arguments)
        layer.load_state_dict(own)
        x, states = _trial(module.layers)
        given = [torch.from_numpy(np.stack(each)) for each in zip(*_float32(states), strict=True)]
        with torch.no_grad():
            outputs, ends = layer(torch.from_numpy(x), tuple(given) if len(given) == 2 else given[0])
        ends = [end.numpy() for end in (ends if isinstance(ends, tuple) else (ends,))]
        wanted, final = _reference(module.layers, x, states)
        flat = np.concatenate([end.ravel() for end in ends])
        expected = np.concatenate([np.stack(each).ravel() for each in zip(*final, strict=True)])
        found = _larger(found, difference((wanted, expected), (outputs.numpy(), flat)))
    if model.head is not None:
        dense = torch.nn.Linear(model.head.features, model.head.classes, bias=model.head.biases is not None)
        dense.load_state_dict({name: state_dict[f"head.{name}"] for name, _ in dense.named_parameters()})
        with torch.no_grad():
            found = _larger(found, _dense(model, lambda features: dense(torch.from_numpy(features)).numpy()))
    return found


def _keras(model: Model, path: Path) -> tuple[str, Difference]:
    if find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    from quadgate.formats.keras_writer import built

    net = keras.models.load_model(path) if path.suffix == ".keras" else built(model, path)
    recurrent = [one for one in net.layers if isinstance(one, (keras.layers.RNN, keras.layers.Bidirectional))]
    found = Difference(0.0, 0.0)
    for layer, held in zip(model.layers, recurrent, strict=True):
        parts = [held] if len(layer) == 1 else [held.forward_layer, held.backward_layer]
        for one, part in zip(layer, parts, strict=True):
            x, states = _trial([(one,)])
            part.return_sequences = part.return_state = True
            given = [keras.ops.convert_to_tensor(each) for each in _float32(states)[0]]
            outputs, *ends = (keras.ops.convert_to_numpy(each) for each in part(x, initial_state=given))
            wanted, final = _reference([(one,)], x, states)
            shown = outputs[:, ::-1] if one.reverse else outputs
            expected = np.concatenate(final[0], axis=1)
            found = _larger(found, difference((wanted, expected), (shown, np.concatenate(ends, axis=1))))
    if model.head is not None:
        dense = net.layers[-1]
        found = _larger(found, _dense(model, lambda features: keras.ops.convert_to_numpy(dense(features))))
    return f"Keras {keras.__version__} on {keras.backend.backend()}", found


def _onnx(model: Model, path: Path) -> tuple[str, Difference]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x, states = _trial(model.layers)
    wanted, ends = _reference(model.layers, x, states)
    lengths = np.full(len(x), x.shape[1], np.int64)
    given: dict[str, Array] = {"x": x, "lengths": lengths}
    places = [(k, one.reverse) for k, layer in enumerate(model.layers) for one in layer]
    for (k, reverse), state in zip(places, _float32(states), strict=True):
        names = [f"{letter}_{k}{'_reverse' if reverse else ''}" for letter in "hc"[: len(state)]]
        given |= dict(zip(names, state, strict=True))
    if model.scaling is not None:
        given["x"] = (x * model.scaling.scale + model.scaling.mean).astype(np.float32)
    (outputs,) = session.run(["outputs"], given)
    found = difference((wanted, wanted), (outputs, outputs))
    if model.head is not None:
        last = np.concatenate([end[0] for end in ends[-len(model.layers[-1]) :]], axis=1)
        logits = run_head(model, wanted, last, lengths)
        (shown,) = session.run(["logits"], given)
        found = _larger(found, difference((logits, logits), (shown, shown)))
    return f"ONNX Runtime {onnxruntime.__version__}", found


def _tensorflow(model: Model, path: Path) -> tuple[str, Difference]:
    from quadgate.proof.tensorflow_run import computes, evaluated, numbers, run_cell

    name, read, found = numbers(model, path)
    if not found.within(0.0):
        return name, found
    for k, layer in enumerate(model.layers):
        for direction, one in enumerate(layer):
            if not computes(model.cells[k][direction]):
                name += f", which only read {model.cells[k][direction].name}"
                continue
            x, states = _trial([(one,)])
            wanted, final = _reference([(one,)], x, states)
            outputs, ends = run_cell(model, k, direction, read, x[:, ::-1] if one.reverse else x, _float32(states)[0])
            shown = (outputs[:, ::-1] if one.reverse else outputs, np.concatenate(ends, axis=1))
            found = _larger(found, difference((wanted, np.concatenate(final[0], axis=1)), shown))
    if model.head is not None:
        import tensorflow as tf

        weights, biases = read("out/weights"), 0.0 if model.head.biases is None else read("out/biases")
        found = _larger(
            found, _dense(model, lambda features: evaluated(tf.linalg.matmul, a=features, b=weights) + biases)
        )
    return name, found


def _flax(model: Model, path: Path) -> tuple[str, Difference]:
    import flax
    import flax.linen as nn
    import jax.numpy as jnp
    from flax.traverse_util import unflatten_dict

    from quadgate.formats.flax_writer import FUNCTIONS, scope_of

    own = {"linear": lambda z: z, "hard_sigmoid": lambda z: jnp.clip(0.2 * z + 0.5, 0, 1)}
    if path.suffix == ".npz":
        with np.load(path) as file:
            params = unflatten_dict({name: file[name] for name in file.files}, sep="/")["params"]
    else:
        params = flax.serialization.msgpack_restore(path.read_bytes())["params"]
    found = Difference(0.0, 0.0)
    for k, layer in enumerate(model.layers):
        for one, cell in zip(layer, model.cells[k], strict=True):
            x, states = _trial([(one,)])
            wanted, final = _reference([(one,)], x, states)
            (given,) = _float32(states)
            gate, candidate = (
                own.get(name) or getattr(nn, FUNCTIONS[name].removeprefix("nn."))
                for name in (cell.activations.gate, cell.activations.cell)
            )
            kind = nn.GRUCell if cell.kind == "gru" else nn.LSTMCell
            held = kind(cell.units, gate_fn=gate, activation_fn=candidate)
            rnn = nn.RNN(held, reverse=one.reverse, keep_order=True, return_carry=True)
            start = given[0] if len(given) == 1 else given[::-1]
            end, outputs = rnn.apply({"params": params[scope_of(k, cell.kind, one.reverse)]}, x, initial_carry=start)
            ends = [np.asarray(part) for part in (end if isinstance(end, tuple) else (end,))][::-1]
            expected = np.concatenate(final[0], axis=1)
            shown = (np.asarray(outputs), np.concatenate(ends, axis=1))
            found = _larger(found, difference((wanted, expected), shown))
    if model.head is not None:
        dense = nn.Dense(model.head.classes, use_bias=model.head.biases is not None)
        found = _larger(
            found, _dense(model, lambda features: np.asarray(dense.apply({"params": params["out"]}, features)))
        )
    return f"Flax {flax.__version__}", found


_RUNS: dict[str, tuple[tuple[str, ...], Callable[[Model, Path], tuple[str, Difference]]]] = {
    "torch": (("torch",), _torch),
    "safetensors": (("torch",), _torch_safetensors),
    "keras": (("keras",), _keras),
    "tf1": (("tensorflow",), _tensorflow),
    "onnx": (("onnxruntime",), _onnx),
    "flax": (("flax",), _flax),
}


def _trial(layers: Sequence[Sequence[Parameters]]) -> tuple[Array, States]:
    """Draw inputs for the first layer, as float32 holds them, and a state for every layer and direction."""
    x = Trial.of(layers[0][0]).x.astype(np.float32)
    rng = np.random.default_rng(1)
    states: States = []
    for one in (one for layer in layers for one in layer):
        h = rng.uniform(-1, 1, (len(x), one.w_h.shape[1]))
        states.append((h,) if isinstance(one, GRUParameters) else (h, rng.normal(size=(len(x), one.units))))
    return x, [tuple(part.astype(np.float32).astype(np.float64) for part in state) for state in states]


def _reference(layers: Sequence[Sequence[Parameters]], x: Array, states: States) -> tuple[Array, States]:
    """Run a chain of layers in float64; return the outputs and the final states."""
    values, waiting = x.astype(np.float64), iter(states)
    final: States = []
    for layer in layers:
        directions = []
        for one in layer:
            start = next(waiting)
            if isinstance(one, GRUParameters):
                outputs, h = gru(values, one, start[0])
                final.append((h,))
            else:
                outputs, (c, h) = lstm(values, one, (start[1], start[0]))
                final.append((h, c))
            directions.append(outputs)
        values = np.concatenate(directions, axis=2)
    return values, final


def _dense(model: Model, run: Callable[[Array], Array]) -> Difference:
    """Run the dense layer of the framework, and ours, on features that were drawn."""
    assert model.head is not None  # noqa: S101
    _, features, _ = drawn(model.head.features)
    features = features.astype(np.float32)
    weights, biases = head_numbers(model, model.head)
    wanted = features.astype(np.float64) @ weights + biases
    shown = run(features)
    return difference((wanted, wanted), (shown, shown))


def _float32(states: States) -> States:
    return [tuple(part.astype(np.float32) for part in state) for state in states]


def _larger(one: Difference, other: Difference) -> Difference:
    return one if one.largest / max(1.0, one.size) >= other.largest / max(1.0, other.size) else other
