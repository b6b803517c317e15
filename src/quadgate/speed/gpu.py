"""How fast the implementations of an LSTM layer on a GPU are, each first held against a float64 loop.

What is timed is what a user has: `torch.nn.LSTM`, which is cuDNN's, on its own flat weights, and packing where lengths
are unequal; quadgate's layers from x and the weights to the outputs and every gradient.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from quadgate.kernels.gpu import layer as gpu_layer
from quadgate.kernels.gpu.crossover import CUDNN, Case, Measured
from quadgate.kernels.gpu.implementations import load, refusals
from quadgate.kernels.gpu.precision import float32_products
from quadgate.kernels.gpu.recurrence import Recurrence
from quadgate.modules.gpu import run_by
from quadgate.modules.operator import lstm
from quadgate.modules.placement import Weights, arranged, normal
from quadgate.modules.sequence import Cell, lstm_sequence

EAGER = "torch eager"
TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# The largest error, as a share of the largest number, that counts as rounding: of sums of up to 1024 products, over up
# to 820 steps.
TOLERANCES = {"float32": 2e-4, "tf32": 1e-2, "bfloat16": 6e-2, "float16": 1e-2}
_JUDGED = 4  # cases of a batch that are held against the loop
_LAYOUT = "torch.nn.LSTM"
Results = tuple[Tensor, ...]
Failures = dict[str, str]
Number = TypeVar("Number")


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
    module = nn.LSTM(C, case.H, batch_first=True).to(device, dtype).train(case.training)

    def normal_numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    lengths = torch.randint(max(T // 2, 1), T + 1, (case.N,), generator=generator) if case.lengths else None
    if lengths is not None:
        lengths[0] = T
    x = normal_numbers(case.N, T, C).requires_grad_(case.training)
    return Batch(module, x, lengths, normal_numbers(case.N, T, case.H))


def passes(case: Case, batch: Batch, eager: bool = False) -> dict[str, Callable[[], Results]]:
    """Return, by name, what runs one pass: the outputs, and in training the gradients of x and of the weights."""
    found: dict[str, Callable[[], Results]] = {CUDNN: partial(_cudnn, case, batch)}
    ours = _by_operator if batch.x.device.type == "cuda" else _below_the_operator
    for name, refused in refusals(case.H, TYPES[case.dtype], batch.x.device).items():
        if refused is None and name != CUDNN:
            found[name] = partial(ours, case, batch, name)
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


def _by_operator(case: Case, batch: Batch, name: str) -> Results:
    weights = batch.weights
    lengths = None if batch.lengths is None else batch.lengths.to(batch.x.device)

    def run() -> Tensor:
        return lstm(
            batch.x, weights.kernel, weights.bias, lengths=lengths, recurrent_kernel=weights.recurrent_kernel,
            recurrent_bias=weights.recurrent_bias, layout=_LAYOUT,
        )[0]  # fmt: skip

    with run_by(name):
        return _differentiated(case, batch, run)


@torch.no_grad()
def _below_the_operator(case: Case, batch: Batch, name: str) -> Results:
    """Run the same without the operator, which in main memory is another."""
    weights = normal(_LAYOUT, batch.weights)
    lengths = None if batch.lengths is None else batch.lengths.to(torch.int32)
    bias = None if weights.b_x is None or weights.b_h is None else weights.b_x + weights.b_h
    layer = gpu_layer.Layer(batch.x, weights.w_x, weights.w_h, bias, None, None, lengths, 0.0, False, 0, True)
    run = cast(Recurrence, load(name))
    outputs, _, _, kept = gpu_layer.forward(layer, run, case.training)
    if not case.training:
        return (outputs,)
    found = gpu_layer.backward(layer, run, outputs, kept, batch.d_outputs, None, None, True, True)
    w_x, w_h = cast(Tensor, found.w_x), cast(Tensor, found.w_h)
    gradients = weights._replace(w_x=w_x, w_h=w_h, b_x=found.bias, b_h=found.bias)
    arrays = arranged(_LAYOUT, gradients, batch.weights)
    return outputs, cast(Tensor, found.x), *(one for one in arrays if one is not None)


def error(results: Results, expected: Results, judged: Tensor, valid: Tensor | None) -> float:
    """Return the largest difference of any result, as a share of the largest number in it.

    Args:
        results: of the whole batch.
        expected: of the judged cases, weights' gradients of them alone.
        judged: the numbers of these cases.
        valid: `[judged, T, 1]`, whether a step is within its case.
    """
    worst = 0.0
    for k, (result, right) in enumerate(zip(results, expected, strict=True)):
        right = right.detach()
        mine = (result[judged] if k < 2 else result).detach().double()  # outputs and the gradient of x have cases
        if k < 2 and valid is not None:
            mine, right = (torch.where(valid, one, 0.0) for one in (mine, right))
        difference, scale = float((mine - right).abs().max()), float(right.abs().max())
        worst = max(worst, difference / scale if difference == difference and scale else float("inf"))
    return worst


def check(case: Case, T: int, C: int, device: torch.device, eager: bool = False) -> tuple[Failures, dict[str, float]]:
    """Hold each implementation against the loop in float64, on a few cases of the whole batch.

    Returns:
        Why an implementation failed, and the error of each of the others.
    """
    batch = draw(case, T, C, device)
    judged = torch.linspace(0, case.N - 1, min(case.N, _JUDGED)).long().to(device)
    batch.d_outputs[[n for n in range(case.N) if n not in judged.tolist()]] = 0.0
    few = Case(case.dtype, case.H, len(judged), case.training, case.lengths)
    double = Batch(
        nn.LSTM(C, case.H, batch_first=True).to(device, torch.float64),
        batch.x.detach()[judged].double().requires_grad_(case.training),
        None if batch.lengths is None else batch.lengths[judged.cpu()],
        batch.d_outputs[judged].double(),
    )
    double.module.load_state_dict({name: one.double() for name, one in batch.module.state_dict().items()})
    expected = _differentiated(few, double, partial(_eager, double))

    def of(run: Callable[[], Results]) -> float:
        return error(run(), expected, judged, double.valid)

    with float32_products(case.dtype == "float32", cudnn=True):
        return _each({name: partial(of, run) for name, run in passes(case, batch, eager).items()})


def _each(runs: Mapping[str, Callable[[], Number]]) -> tuple[Failures, dict[str, Number]]:
    """Run each; one that fails does not keep the others from running."""
    failed, found = {}, {}
    for name, run in runs.items():
        try:
            found[name] = run()
        except Exception as refused:  # whatever the libraries of a GPU raise: memory, a compiler, a launch
            failed[name] = f"{type(refused).__name__}: {str(refused).partition(chr(10))[0]}"
            if isinstance(refused, torch.OutOfMemoryError):
                from quadgate.kernels.gpu import graph

                graph.forget()
                torch.cuda.empty_cache()
    return failed, found


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
) -> tuple[Measured, dict[str, float], Failures]:
    """Time every implementation that is right.

    Returns:
        The times, the errors of all, and why one could not run.
    """
    guard = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with guard:
        failed, errors = check(case, T, C, device, eager)
        batch = draw(case, T, C, device)
        with float32_products(case.dtype == "float32", cudnn=True):
            right = {
                name: run
                for name, run in passes(case, batch, eager).items()
                if errors.get(name, float("inf")) <= TOLERANCES[case.dtype]
            }
            more, _ = _each(right)  # at the full size, before any is timed
            right = {name: run for name, run in right.items() if name not in more}
            times = milliseconds(right, device, seconds) if right else {}
    return Measured(case, date.today().isoformat(), times), errors, failed | more
