"""How fast the implementations of an LSTM layer on a GPU are, each first held against a float64 loop.

What is timed is what a user has: `torch.nn.LSTM`, which is cuDNN's, on its own flat weights, and packing where lengths
are unequal; quadgate's layers from x and the weights to the outputs and every gradient.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from quadgate.kernels.gpu import layer as gpu_layer
from quadgate.kernels.gpu.crossover import CUDNN, Case, Measured
from quadgate.kernels.gpu.implementations import load, refusals
from quadgate.modules.placement import Weights, arranged, normal
from quadgate.modules.sequence import Cell, lstm_sequence

EAGER = "torch eager"
TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# The largest error, as a share of the largest number, that counts as rounding: of sums of up to 1024 products, over up
# to 820 steps.
TOLERANCES = {"float32": 2e-4, "tf32": 2e-2, "bfloat16": 1e-1, "float16": 2e-2}
_JUDGED = 4  # cases that are held against the loop; a case does not depend on the others
_LAYOUT = "torch.nn.LSTM"
Results = tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """A layer of PyTorch's, sequences, and what a loss hands back.

    Attributes:
        module: the layer, whose weights all implementations read.
        x: `[N, T, C]`.
        lengths: `[N]` in main memory, from T/2 to T, or None.
        d_outputs: `[N, T, H]`.
    """

    module: nn.LSTM
    x: Tensor
    lengths: Tensor | None
    d_outputs: Tensor

    @property
    def weights(self) -> Weights:
        """The layer's tensors."""
        weight_ih, weight_hh, bias_ih, bias_hh = self.module.parameters()
        return Weights(weight_ih, weight_hh, bias_ih, bias_hh)

    @property
    def valid(self) -> Tensor | None:
        """`[N, T, 1]`, whether a step is within its case."""
        if self.lengths is None:
            return None
        T = self.x.shape[1]
        return (torch.arange(T, device=self.x.device) < self.lengths.to(self.x.device)[:, None])[:, :, None]


def draw(case: Case, T: int, C: int, device: torch.device) -> Batch:
    """Draw a batch for a case, the same each time."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    dtype = TYPES[case.dtype]
    module = nn.LSTM(C, case.H, batch_first=True).to(device, dtype)

    def normal_numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    lengths = torch.randint(max(T // 2, 1), T + 1, (case.N,), generator=generator) if case.lengths else None
    if lengths is not None:
        lengths[0] = T
    x = normal_numbers(case.N, T, C).requires_grad_(case.training)
    return Batch(module, x, lengths, normal_numbers(case.N, T, case.H))


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Allow tf32 in products and in cuDNN, or not, while the block runs."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if dtype == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = dtype != "float32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def passes(case: Case, batch: Batch, eager: bool = False) -> dict[str, Callable[[], Results]]:
    """Return, by name, what runs one pass: the outputs, and in training the gradients of x and of the weights."""
    found: dict[str, Callable[[], Results]] = {CUDNN: partial(_cudnn, case, batch)}
    device = batch.x.device
    for name, refused in refusals(case.H, TYPES[case.dtype], device).items():
        if refused is None and name != CUDNN:
            found[name] = partial(_ours, case, batch, load(name))
    if eager:
        found[EAGER] = partial(_differentiated, case, batch, partial(_eager, batch))
    return found


def _differentiated(case: Case, batch: Batch, run: Callable[[], Tensor]) -> Results:
    with torch.set_grad_enabled(case.training):
        outputs = run()
    if not case.training:
        return (outputs,)
    inputs = [batch.x, *batch.module.parameters()]
    return outputs, *torch.autograd.grad(outputs, inputs, batch.d_outputs)


def _cudnn(case: Case, batch: Batch) -> Results:
    def run() -> Tensor:
        if batch.lengths is None:
            outputs: Tensor = batch.module(batch.x)[0]
            return outputs
        packed = pack_padded_sequence(batch.x, batch.lengths, True, enforce_sorted=False)
        return pad_packed_sequence(batch.module(packed)[0], True, total_length=batch.x.shape[1])[0]

    return _differentiated(case, batch, run)


def _eager(batch: Batch) -> Tensor:
    x, weights = batch.x, normal(_LAYOUT, batch.weights)
    state = x.new_zeros(x.shape[0], batch.module.hidden_size)
    lengths = None if batch.lengths is None else batch.lengths.to(x.device)
    return lstm_sequence(x, weights, Cell(0.0), lengths, (state, state), False)[0]


@torch.no_grad()
def _ours(case: Case, batch: Batch, run: Any) -> Results:
    weights = normal(_LAYOUT, batch.weights)
    lengths = None if batch.lengths is None else batch.lengths.to(batch.x.device, torch.int32)
    bias = None if weights.b_x is None or weights.b_h is None else weights.b_x + weights.b_h
    layer = gpu_layer.Layer(
        batch.x, weights.w_x, weights.w_h, bias, None, None, lengths, 0.0, False, 0, case.dtype == "float32"
    )
    outputs, _, _, kept = gpu_layer.forward(layer, run, case.training)
    if not case.training:
        return (outputs,)
    found = gpu_layer.backward(layer, run, outputs, kept, batch.d_outputs, None, None, True, True)
    w_x, w_h = cast(Tensor, found.w_x), cast(Tensor, found.w_h)
    gradients = weights._replace(w_x=w_x, w_h=w_h, b_x=found.bias, b_h=found.bias)
    return (
        outputs,
        cast(Tensor, found.x),
        *(one for one in arranged(_LAYOUT, gradients, batch.weights) if one is not None),
    )


def error(results: Results, expected: Results, valid: Tensor | None) -> float:
    """Return the largest difference of any result, as a share of the largest number in it."""
    worst = 0.0
    for k, (mine, right) in enumerate(zip(results, expected, strict=True)):
        mine, right = mine.detach().double(), right.detach().double()
        if k < 2 and valid is not None:  # sequences
            mine, right = (torch.where(valid, one, 0.0) for one in (mine, right))
        scale = max(1.0, float(right.abs().max())) if right.numel() else 1.0
        difference = float((mine - right).abs().max()) if right.numel() else 0.0
        worst = max(worst, difference / scale if difference == difference else float("inf"))
    return worst


def check(case: Case, T: int, C: int, device: torch.device, eager: bool = False) -> dict[str, float]:
    """Return the error of each implementation against the loop in float64, on a few cases of the batch."""
    few = Case(case.dtype, case.H, min(case.N, _JUDGED), case.training, case.lengths)
    batch = draw(few, T, C, device)
    double = Batch(
        nn.LSTM(C, case.H, batch_first=True).to(device, torch.float64),
        batch.x.detach().double().requires_grad_(case.training),
        batch.lengths,
        batch.d_outputs.double(),
    )
    double.module.load_state_dict({name: one.double() for name, one in batch.module.state_dict().items()})
    expected = _differentiated(few, double, partial(_eager, double))
    with precision(case.dtype):
        return {name: error(run(), expected, batch.valid) for name, run in passes(few, batch, eager).items()}


def milliseconds(runs: Mapping[str, Callable[[], Any]], device: torch.device, seconds: float) -> dict[str, float]:
    """Return the median time of each, run in turn for about so many seconds each."""
    for run in runs.values():  # compiles, and warms up
        for _ in range(2):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    while any(spent[name] < seconds or len(times[name]) < 3 for name in runs):
        for name, run in runs.items():
            if spent[name] < seconds or len(times[name]) < 3:
                times[name].append(_timed(run, device))
                spent[name] += times[name][-1] / 1e3
    return {name: statistics.median(found) for name, found in times.items()}


def _timed(run: Callable[[], Any], device: torch.device) -> float:
    if device.type != "cuda":
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e3
    begin_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin_event.record()
    run()
    end_event.record()
    end_event.synchronize()
    return float(begin_event.elapsed_time(end_event))


def measure(
    case: Case, T: int, C: int, device: torch.device, seconds: float, eager: bool = False
) -> tuple[Measured, dict[str, float]]:
    """Time every implementation that is right, and return the errors of all, too."""
    errors = check(case, T, C, device, eager)
    batch = draw(case, T, C, device)
    with precision(case.dtype):
        right = {
            name: run
            for name, run in passes(case, batch, eager).items()
            if name == CUDNN or errors[name] <= TOLERANCES[case.dtype]
        }
        return Measured(case, milliseconds(right, device, seconds)), errors
