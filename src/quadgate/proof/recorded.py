"""What a file does not say, settled against recorded inputs and outputs of the original.

A recording is an `.npz` with

    x         [N, T, C], the inputs
    lengths   [N], or sequence_length; all T where there are none
    initial/c, initial/h    [N, H], the starting state of the only layer; zero where there is none
    outputs   [N, T, F], those of the top layer; or logits [N, K]

The model is run in float64 with every candidate for what was assumed, and the one that gives the recorded numbers is
taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import Activations, GRUParameters, gru, lstm
from quadgate.errors import FileFormatError, InputError
from quadgate.kernels.pooling import pool
from quadgate.model import Assumption, Cell, Model
from quadgate.proof.proof import decides

Array = NDArray[Any]

CLOSE = 2e-5  # float32, over a long recording
LIMITS = (None, 1.0, 3.0, 5.0, 10.0, 50.0)
CANDIDATES: dict[str, tuple[Any, ...]] = {
    "forget_bias": (0.0, 1.0),
    "activations": tuple(Activations(gate=name) for name in ("sigmoid", "hard_sigmoid", "hard_sigmoid_v3")),
    "cell_clip": LIMITS,
    "projection_clip": LIMITS,
    "reset_after": (True, False),
}


def settle_by_recording(model: Model, path: Path) -> tuple[Model, tuple[str, ...]]:
    """Return the model with what the recording says in place of what was assumed, and a sentence for each.

    Raises:
        InputError: no candidate gives the recorded outputs; the text says which came nearest, and how near.
        FileFormatError: the recording cannot be read, or lacks its inputs or outputs.
    """
    recording = _read(path)
    open_here = [one for one in model.assumptions if decides(one) and one.setting in CANDIDATES]
    tried = [(_off(candidate, recording), values, candidate) for values, candidate in _candidates(model, open_here)]
    tried.sort(key=lambda one: one[0])
    best, values, chosen = tried[0]
    if not best <= CLOSE:
        raise InputError(
            f"{path}: no candidate gives the recorded outputs; the nearest, {_text(values) or 'the file as it is'}, "
            f"is off by {best:.2g}"
        )
    fitting = [values for off, values, _ in tried if off <= CLOSE]
    told: list[str] = []
    still: list[Assumption] = [one for one in model.assumptions if one not in open_here]
    for one in open_here:
        others = [dict(candidate)[one.setting] for candidate in fitting]
        if all(other == others[0] for other in others):
            without = [off for off, candidate, _ in tried if dict(candidate)[one.setting] != others[0]]
            rest = f", any other by {min(without):.1e} or more" if without else ""
            told.append(f"{_text(((one.setting, others[0]),))} fits {path}: off by {best:.1e}{rest}")
        else:
            still.append(one)
    kept = {one.setting: one for one in open_here if one in still}
    if kept:  # what the recording cannot tell stays as it was assumed
        chosen = next(
            candidate
            for off, candidate_values, candidate in tried
            if off <= CLOSE and all(dict(candidate_values)[name] == _value(model, name) for name in kept)
        )
    return replace(chosen, assumptions=tuple(still)), tuple(told)


def _candidates(model: Model, open_here: list[Assumption]) -> Iterator[tuple[tuple[tuple[str, Any], ...], Model]]:
    """Yield the model as it is, and with every mixture of other values that its cells can take."""
    choices = []
    for one in open_here:
        assumed = _value(model, one.setting)
        choices.append([(one.setting, value) for value in dict.fromkeys([assumed, *CANDIDATES[one.setting]])])
    for values in product(*choices):
        try:
            cells = tuple(tuple(_changed(cell, values, open_here) for cell in layer) for layer in model.cells)
        except InputError:
            continue  # the class cannot do that
        yield values, replace(model, cells=cells, network=None)


def _changed(cell: Cell, values: tuple[tuple[str, Any], ...], open_here: list[Assumption]) -> Cell:
    concerned = {one.setting for one in open_here if not one.cells or cell.name in one.cells}
    fields: dict[str, Any] = {name: value for name, value in values if name in concerned}
    return replace(cell, **fields)


def _value(model: Model, setting: str) -> Any:
    return getattr(model.cells[0][0], setting)


def _off(model: Model, recording: dict[str, Array]) -> float:
    """Return the largest difference of the model's outputs from the recorded ones, run in float64."""
    outputs, top = _run(model, recording)
    if "outputs" in recording:
        found, wanted = outputs, recording["outputs"]
    else:
        head = model.head
        if head is None:
            raise InputError(f"{model.source}: has no head that could give the recorded logits")
        query = None if head.query is None else model.variables[head.query]
        features = pool(outputs, top, recording.get("lengths"), head.pool, query)
        weights = np.asarray(model.variables[head.weights], np.float64)
        found = features @ (weights.T if head.transposed else weights)
        found = found if head.biases is None else found + model.variables[head.biases]
        wanted = recording["logits"]
    if found.shape != wanted.shape:
        raise InputError(f"recorded outputs: found shape {wanted.shape}, expected {found.shape}")
    return float(np.max(np.abs(found - wanted), initial=0.0))


def _run(model: Model, recording: dict[str, Array]) -> tuple[Array, Array]:
    """Run a chain of layers in float64; return the top layer's outputs and its final h, directions side by side."""
    values, lengths = recording["x"].astype(np.float64), recording.get("lengths")
    if model.scaling is not None:
        values = (values - model.scaling.mean) / model.scaling.scale
    c, h = recording.get("initial/c"), recording.get("initial/h")
    ends: list[Array] = []
    for layer in model.layers:
        directions, ends = [], []
        for one in layer:
            if isinstance(one, GRUParameters):
                outputs, end = gru(values, one, h, lengths)
            else:
                outputs, (_, end) = lstm(values, one, None if c is None or h is None else (c, h), lengths)
            directions.append(outputs)
            ends.append(end)
        values = np.concatenate(directions, axis=2)
    return values, np.concatenate(ends, axis=1)


def _read(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as data:
            names = ("x", "lengths", "sequence_length", "initial/c", "initial/h", "outputs", "logits")
            found = {name: data[name] for name in names if name in data}
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: not an .npz of arrays: {error}") from None
    if "sequence_length" in found:
        found["lengths"] = found.pop("sequence_length")
    if "x" not in found or not {"outputs", "logits"} & found.keys():
        raise FileFormatError(f"{path}: found {', '.join(found) or 'nothing'}, expected x, and outputs or logits")
    return found


def _text(values: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in values)


def _short(value: Any) -> str:
    if isinstance(value, Activations):
        return f"{value.gate} {value.cell}"
    return "none" if value is None else str(value)
