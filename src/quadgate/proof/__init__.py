"""Do two models agree, by how much, and if not, why: both are run by the float64 reference."""

from quadgate.proof.agreement import verify
from quadgate.proof.conversion import convert, ledger
from quadgate.proof.matching import Match, match
from quadgate.proof.proof import FrameworkRun, LayerProof, Proof, Use
from quadgate.proof.trial import Difference, Trial, compare
from quadgate.proof.why import explain

__all__ = [
    "Difference",
    "FrameworkRun",
    "LayerProof",
    "Match",
    "Proof",
    "Trial",
    "Use",
    "compare",
    "convert",
    "explain",
    "ledger",
    "match",
    "verify",
]
