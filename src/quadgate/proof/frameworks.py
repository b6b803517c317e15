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
    return f"Keras {keras.__version__} on {keras.backend.backend()}", found


def _tensorflow(model: Model, path: Path) -> tuple[str, Difference]:
    """TensorFlow 2 has no cells of version 1 any more, but reads their checkpoints: every number must be the same."""
    import tensorflow as tf

    from quadgate.formats.tensorflow_checkpoint.writer import arranged

    reader = tf.train.load_checkpoint(str(path.with_suffix("") if path.suffix == ".index" else path))
    names = set(reader.get_variable_to_shape_map())
    tensors, _ = arranged(model)
    if names != set(tensors):
        return f"TensorFlow {tf.__version__}", Difference(np.inf, np.inf)
    largest = max(float(np.abs(reader.get_tensor(name) - array).max()) for name, array in tensors.items())
    return f"TensorFlow {tf.__version__}", Difference(largest, 0.0)


def _onnx(model: Model, path: Path) -> tuple[str, Difference]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x, states = _trial(model.layers)
    wanted, _ = _reference(model.layers, x, states)
    given: dict[str, Array] = {"x": x, "lengths": np.full(len(x), x.shape[1], np.int64)}
    places = [(k, one.reverse) for k, layer in enumerate(model.layers) for one in layer]
    for (k, reverse), state in zip(places, _float32(states), strict=True):
        names = [f"{letter}_{k}{'_reverse' if reverse else ''}" for letter in "hc"[: len(state)]]
        given |= dict(zip(names, state, strict=True))
    if model.scaling is not None:
        given["x"] = (x * model.scaling.scale + model.scaling.mean).astype(np.float32)
    (outputs,) = session.run(["outputs"], given)
    return f"ONNX Runtime {onnxruntime.__version__}", difference((wanted, wanted), (outputs, outputs))


_RUNS: dict[str, tuple[tuple[str, ...], Callable[[Model, Path], tuple[str, Difference]]]] = {
    "torch": (("torch",), _torch),
    "safetensors": (("torch",), _torch_safetensors),
    "keras": (("keras",), _keras),
    "tf1": (("tensorflow",), _tensorflow),
    "onnx": (("onnxruntime",), _onnx),
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


def _float32(states: States) -> States:
    return [tuple(part.astype(np.float32) for part in state) for state in states]


def _larger(one: Difference, other: Difference) -> Difference:
    return one if one.largest / max(1.0, one.size) >= other.largest / max(1.0, other.size) else other
