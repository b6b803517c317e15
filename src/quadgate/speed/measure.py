"""Time contestants in turn on the same numbers, after checking that they give the same answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from quadgate import cell
from quadgate.errors import QuadgateError
from quadgate.speed.cases import Array, Case, Problem, problem
from quadgate.speed.contestants import Contestant, Prepared

# A contestant whose answer is further than this from the float64 reference, relative to its largest value, computes
# something else, and its time says nothing.
AGREEMENT = 1e-3

WARM_UP = 0.01  # seconds of a contestant's own calls before the one that is timed
LONG = 0.25  # seconds of a call that needs none
ROUNDS_AT_MOST = 31
ROUNDS_AT_LEAST = 5


class DisagreementError(QuadgateError):
    """A contestant's answer is not that of the reference."""


@dataclass(frozen=True)
class Measured:
    """The medians of a case: milliseconds and largest relative error of each contestant, and the peak of the processor.

    `peak` is in operations per second, for as many threads as the case has, taken in the same rounds.
    """

    case: Case
    milliseconds: Mapping[str, float]
    errors: Mapping[str, float]
    peak: float

    def share_of_peak(self, contestant: str) -> float:
        """Tell which part of the time the matrix products alone would take at the processor's peak."""
        return self.case.operations / (self.milliseconds[contestant] / 1000) / self.peak

    def ratio(self, contestant: str) -> float:
        """Tell how many times longer than quadgate a contestant takes."""
        return self.milliseconds[contestant] / self.milliseconds["quadgate"]


def measure(case: Case, contestants: list[Contestant], seconds: float = 2.0) -> Measured:
    """Check that all agree, then time them in turn, round by round, for about `seconds` each.

    Raises:
        DisagreementError: an answer is far from that of the float64 reference.
    """
    from quadgate.kernels.cpu import fma_peak

    taking_part = [one for one in contestants if case.task in one.tasks]
    errors = agreement(replace(case, cases=3, steps=40), taking_part)
    numbers = problem(case)
    runs = {one.name: one.prepare(case, numbers) for one in taking_part}
    first = {name: max(_time(run), _time(run)) for name, run in runs.items()}
    both = 2 * max(first.values())  # the call that is timed and the one before it
    rounds = int(np.clip(seconds / both, ROUNDS_AT_LEAST, ROUNDS_AT_MOST))
    times: dict[str, list[float]] = {name: [] for name in runs}
    peaks = []
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(_time(run))
        peaks.append(fma_peak(case.threads))
    milliseconds = {name: 1000 * median(taken) for name, taken in times.items()}
    return Measured(case, milliseconds, errors, median(peaks))


def agreement(case: Case, contestants: list[Contestant]) -> dict[str, float]:
    """Return how far each contestant's answer is from that of the float64 reference, relative to its largest value.

    Raises:
        DisagreementError: one is further away than rounding can take it.
    """
    numbers = problem(case)
    expected = _reference(case, numbers)
    errors = {}
    for one in contestants:
        prepared = one.prepare(case, numbers)
        prepared.settle()
        prepared.run()
        answer = prepared.answer()
        worst = max(float(np.abs(answer[what] - right).max() / np.abs(right).max()) for what, right in expected.items())
        if not worst <= AGREEMENT:
            raise DisagreementError(
                f"{one.name}: found {worst:.1e} away from the float64 reference, expected at most {AGREEMENT:.0e}"
            )
        errors[one.name] = worst
    return errors


def _reference(case: Case, numbers: Problem) -> dict[str, Array]:
    if case.task == "infer":
        outputs, _ = cell.lstm(numbers.x, numbers.parameters)
        return {"outputs": outputs}
    _, _, gradient = cell.lstm_backward(numbers.x, numbers.parameters, numbers.d_outputs)
    return {"d_w_x": gradient.w_x, "d_w_h": gradient.w_h}


def _time(prepared: Prepared) -> float:
    prepared.settle()
    time.sleep(0.005)  # the threads of the one before may still spin
    begin = time.perf_counter()
    prepared.run()
    taken = time.perf_counter() - begin
    if taken > LONG:
        return taken
    # As in a loop of calls: with its own threads awake and its own data in the caches, not those of the one before.
    while time.perf_counter() - begin < WARM_UP:
        prepared.run()
    begin = time.perf_counter()
    prepared.run()
    return time.perf_counter() - begin
