"""Do two models agree, by how much, and if not, why: both are run by the float64 reference."""

from quadgate.proof.match import Match, match
from quadgate.proof.trial import Difference, Trial, compare
from quadgate.proof.why import explain

__all__ = ["Difference", "Match", "Trial", "compare", "explain", "match"]
