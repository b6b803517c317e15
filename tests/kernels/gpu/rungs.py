"""The implementations for GPUs with the arguments and results of the judge, for the tests that the rungs share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from kernels.layers import Problem
from quadgate.kernels.gpu import cuda, graph
from quadgate.kernels.gpu.graph import GRAPH
from quadgate.kernels.gpu.layer import Gradients, Layer, backward, forward, kept_bytes
from quadgate.kernels.gpu.recurrence import Recurrence
from quadgate.kernels.gpu.triton_lstm import TRITON

RUNGS = {one.name: one for one in (TRITON, GRAPH)}
if torch.cuda.is_available():  # in main memory its own tests emulate it
    RUNGS[cuda.CUDA.name] = cuda.CUDA
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    graph.STEPS = (4, 2)  # under the interpreter, the steps that a chunk has too many cost as much as the others


def _dot_in_bfloat16() -> None:
    """Triton 3.9's interpreter multiplies the bits of bfloat16 as whole numbers; let it multiply their values."""
    from triton.language import bfloat16, float32
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle, _convert_float

    plain = InterpreterBuilder.create_dot

    def create_dot(self, a, b, *others):
        if a.dtype == bfloat16:
            a, b = (TensorHandle(_convert_float(one.data, bfloat16, float32, None).view(np.float32), float32)
                    for one in (a, b))  # fmt: skip
        return plain(self, a, b, *others)

    InterpreterBuilder.create_dot = create_dot


if DEVICE.type == "cpu":
    _dot_in_bfloat16()


def layer_of(one: Problem, dtype=torch.float32, every=0, exact=True) -> Layer:
    """The layer and batch of a problem; NaN stands past the end of each case."""

    def columns(array: np.ndarray | None) -> torch.Tensor | None:
        return None if array is None else tensor(np.concatenate(list(array), axis=-1))

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(DEVICE, dtype)

    x, lengths = one.x.copy(), None
    if one.lengths is not None:
        x[np.arange(x.shape[1]) >= one.lengths[:, None]] = np.nan
        lengths = torch.from_numpy(one.lengths).to(DEVICE, torch.int32)
    p, (c, h) = one.parameters, map(tensor, one.state)
    weights = columns(p.w_x), columns(p.w_h), columns(p.b_x)
    return Layer(tensor(x), *weights, c, h, lengths, p.forget_bias, p.reverse, every, exact)


def run_forward(rung: Recurrence, layer: Layer, keep=False):
    """The results as arrays of float64: outputs, c, h; and what is kept."""
    *found, kept = forward(layer, rung, keep)
    N, T, H = layer.sizes
    assert kept.numel() == (kept_bytes(N, T, H, layer.x.itemsize, layer.recompute_every) if keep else 0)
    return [one.double().cpu().numpy() for one in found], (found[0], kept)


def run_backward(rung: Recurrence, layer: Layer, kept, one: Problem) -> dict[str, np.ndarray]:
    """The gradients by the names of `layers.backward`, as arrays of float64."""
    d_outputs = one.d_outputs.copy()
    if one.lengths is not None:
        d_outputs[np.arange(d_outputs.shape[1]) >= one.lengths[:, None]] = np.nan
    ways_in = [torch.from_numpy(d).to(DEVICE, layer.x.dtype) for d in (d_outputs, *one.d_state)]
    found = backward(layer, rung, *kept, *ways_in, needs_x=True, needs_weights=True)
    return by_name(found)


def by_name(found: Gradients) -> dict[str, np.ndarray]:
    """Columns i, j, f, o become the first axis again."""

    def gates(matrix: torch.Tensor) -> np.ndarray:
        array = matrix.double().cpu().numpy()
        return np.stack(np.split(array, 4, axis=-1))

    whole = {name: getattr(found, name).double().cpu().numpy() for name in ("x", "c", "h")}
    return whole | {"w_x": gates(found.w_x), "w_h": gates(found.w_h), "b_x": gates(found.bias)}


def in_double(one: Problem) -> Problem:
    """The same numbers in float64, for the judge."""
    return replace(one, x=one.x.astype(np.float64))
