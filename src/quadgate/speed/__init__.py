"""How fast, and against whom: quadgate and its peers, timed in turn on the same numbers after their answers agree."""

from quadgate.speed.cases import SELECTIONS, Case, selection
from quadgate.speed.contestants import Contestant, installed
from quadgate.speed.measure import DisagreementError, Measured, agreement, measure
from quadgate.speed.memory import peak_memory
from quadgate.speed.report import draw, draw_steps, report, report_steps, write
from quadgate.speed.steppers import SteppingContestant, stepping
from quadgate.speed.stepping import Latency, Stepped, measure_steps

__all__ = [
    "SELECTIONS",
    "Case",
    "Contestant",
    "DisagreementError",
    "Latency",
    "Measured",
    "Stepped",
    "SteppingContestant",
    "agreement",
    "draw",
    "draw_steps",
    "installed",
    "measure",
    "measure_steps",
    "peak_memory",
    "report",
    "report_steps",
    "selection",
    "stepping",
    "write",
]
