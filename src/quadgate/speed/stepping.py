"""How long a step takes: contestants in turn on the same samples, after their answers agree."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quadgate import cell
from quadgate.kernels.choice import explain_choice
from quadgate.model import Model
from quadgate.speed.cases import Array
from quadgate.speed.measure import AGREEMENT, DisagreementError
from quadgate.speed.steppers import Stepper, SteppingContestant, dense_layer, stepping_model
from quadgate.streaming.engine import Engine

IN_C = "quadgate, in C++"  # the step alone, without the call from Python
ROUNDS = 10
TOGETHER = 1000  # streams of one call
QUIET_INPUTS = ("silent", "subnormal", "decaying")


@dataclass(frozen=True)
class Latency:
    """Microseconds of a step, over all rounds, and how many steps that were."""

    p50: float
    p99: float
    most: float
    steps: int

    @classmethod
    def of(cls, nanoseconds: Any) -> Latency:
        """Summarise what each step took."""
        p50, p99, most = (float(one) / 1000 for one in np.percentile(nanoseconds, [50, 99, 100]))
        return cls(p50, p99, most, len(nanoseconds))


@dataclass(frozen=True)
class Stepped:
    """What was measured, by contestant.

    Attributes:
        latency: a step of one stream.
        together: milliseconds of one step of 1 000 streams in one call, median.
        quiet: by kind of input, how many times as long as on ordinary input a step takes, in C++; none uncompiled.
        errors: the largest difference of a probability from the float64 reference.
        clock: microseconds that reading the clock takes, which are in every latency.
    """

    model: Model
    latency: Mapping[str, Latency]
    together: Mapping[str, float]
    quiet: Mapping[str, float]
    errors: Mapping[str, float]
    clock: float

    def streams_at_1khz(self, contestant: str) -> int:
        """Tell how many streams of 1 000 samples a second one core keeps up with, 1 000 of them in a call."""
        return int(TOGETHER / self.together[contestant])

    def ratio(self, contestant: str) -> float:
        """Tell how many times longer than quadgate a contestant takes for a step."""
        return self.latency[contestant].p50 / self.latency["quadgate"].p50


def measure_steps(
    contestants: list[SteppingContestant],
    seconds: float = 2.0,
    units: int = 64,
    channels: int = 12,
    classes: int = 6,
    told: Callable[[str], None] = lambda _: None,
) -> Stepped:
    """Check that all agree, then time them in turn, one thread, for about `seconds` each; `told` hears what begins.

    Raises:
        DisagreementError: a probability is far from that of the float64 reference.
    """
    model = stepping_model(units, channels, classes)
    _one_thread()
    errors = {one.name: _error(model, one) for one in contestants}
    told(f"answers agree within {max(errors.values()):.0e}; timing steps of one stream")
    latency = _latencies(model, contestants, seconds)
    told("timing 1 000 streams in a call")
    together = _together(model, contestants, seconds)
    quiet = {}
    if explain_choice().implementation == "compiled":
        told("timing quiet input")
        quiet = _quiet_inputs(units, channels, classes, seconds)
    clock = float(np.median(_times(Stepper(list, lambda _: None, lambda answer: answer), [0] * 1000))) / 1000
    return Stepped(model, latency, together, quiet, errors, clock)


def _one_thread() -> None:
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


def _samples(model: Model, steps: int, streams: int = 1) -> Array:
    return np.random.default_rng(1).standard_normal((steps, streams, model.inputs), np.float32)


def _error(model: Model, contestant: SteppingContestant) -> float:
    x = _samples(model, 40, 3)
    layer, (weights, biases) = model.layers[0][0], dense_layer(model)
    assert isinstance(layer, cell.LSTMParameters)  # noqa: S101
    outputs, _ = cell.lstm(x.swapaxes(0, 1).astype(np.float64), layer)
    logits = outputs @ weights.astype(np.float64) + biases.astype(np.float64)
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    expected = (raised / raised.sum(-1, keepdims=True)).swapaxes(0, 1)
    differences = []
    for streams in (1, 3):
        stepper = contestant.prepare(model, streams)
        found = [stepper.answer(stepper.step(one)).copy() for one in stepper.samples(x[:, :streams])]
        differences.append(np.abs(np.stack(found) - expected[:, :streams]).max())
    worst = float(np.max(differences))  # NaN where there is one
    if not worst <= AGREEMENT:
        raise DisagreementError(
            f"{contestant.name}: found {worst:.1e} away from the float64 reference, expected at most {AGREEMENT:.0e}"
        )
    return worst


def _times(stepper: Stepper, samples: list[Any]) -> list[int]:
    """Nanoseconds of each step."""
    step, clock, taken = stepper.step, time.perf_counter_ns, []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for sample in samples:
            begin = clock()
            step(sample)
            taken.append(clock() - begin)
    finally:
        if collecting:
            gc.enable()
    return taken


def _latencies(model: Model, contestants: list[SteppingContestant], seconds: float) -> dict[str, Latency]:
    x = _samples(model, 2000)
    runs = {one.name: one.prepare(model, 1) for one in contestants}
    samples = {name: list(stepper.samples(x)) for name, stepper in runs.items()}
    # As many steps of each in a round as it takes in its share of the time.
    first = {name: np.median(_times(stepper, samples[name][:200])) for name, stepper in runs.items()}
    steps = {name: int(np.clip(seconds / ROUNDS * 1e9 / taken, 100, len(x))) for name, taken in first.items()}
    times: dict[str, list[int]] = {name: [] for name in runs}
    alone = Engine(model, 1, "probabilities", many=False) if explain_choice().implementation == "compiled" else None
    in_c, parts = np.empty(len(x), np.int64), []
    for _ in range(ROUNDS):
        for name, stepper in runs.items():
            times[name] += _times(stepper, samples[name][: steps[name]])
        if alone is not None:
            alone.steps.time_steps(x, in_c)
            parts.append(in_c.copy())
    found = {IN_C: Latency.of(np.concatenate(parts))} if parts else {}
    return found | {name: Latency.of(taken) for name, taken in times.items()}


def _together(model: Model, contestants: list[SteppingContestant], seconds: float) -> dict[str, float]:
    x = _samples(model, 8, TOGETHER)
    runs = {one.name: one.prepare(model, TOGETHER) for one in contestants}
    samples = {name: list(stepper.samples(x)) for name, stepper in runs.items()}
    times: dict[str, list[int]] = {name: [] for name in runs}
    slowest = max(max(_times(stepper, samples[name][:2])) for name, stepper in runs.items())
    for _ in range(int(np.clip(seconds * 1e9 / (slowest * len(x)), 5, 50))):
        for name, stepper in runs.items():
            times[name] += _times(stepper, samples[name])
    return {name: float(np.median(taken)) / 1e6 for name, taken in times.items()}


def _quiet_inputs(units: int, channels: int, classes: int, seconds: float) -> dict[str, float]:
    """Time inputs whose states decay into the smallest numbers, in a network without biases, which forgets."""
    model = stepping_model(units, channels, classes, biases=False)
    engine = Engine(model, 1, "probabilities", many=False)
    x = {"usual": _samples(model, 2000)}
    x["silent"] = x["usual"] * 0
    x["subnormal"] = (x["usual"] * np.float32(1e-39)).astype(np.float32)
    x["decaying"] = x["usual"] * (np.float32(0.93) ** np.arange(2000, dtype=np.float32))[:, None, None]
    times: dict[str, list[float]] = {name: [] for name in x}
    taken = np.empty(2000, np.int64)
    for _ in range(int(np.clip(seconds * 100, 5, 101))):
        for name, samples in x.items():
            engine.steps.time_steps(np.ascontiguousarray(samples), taken)
            times[name].append(float(np.median(taken)))
    usual = float(np.median(times["usual"]))
    return {name: float(np.median(times[name])) / usual for name in QUIET_INPUTS}
