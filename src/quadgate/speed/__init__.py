"""How fast, and against whom: quadgate and its peers, timed in turn on the same numbers after their answers agree."""

from quadgate.speed.cases import SELECTIONS, Case, selection
from quadgate.speed.contestants import Contestant, installed
from quadgate.speed.measure import DisagreementError, Measured, agreement, measure
from quadgate.speed.memory import peak_memory
from quadgate.speed.report import draw, report, write

__all__ = [
    "SELECTIONS",
    "Case",
    "Contestant",
    "DisagreementError",
    "Measured",
    "agreement",
    "draw",
    "installed",
    "measure",
    "peak_memory",
    "report",
    "selection",
    "write",
]
