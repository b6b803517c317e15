"""What a network is once it is loaded: its layers, its numbers, what was assumed, and running it."""

from quadgate.model.assumption import Assumption
from quadgate.model.atomic import write_atomically
from quadgate.model.build import Asked, Dense, Found, build
from quadgate.model.cell import Cell
from quadgate.model.ensemble import Convolutions, Ensemble, Member, Patches
from quadgate.model.ensemble_file import holds_ensemble, load_ensemble, save_ensemble
from quadgate.model.model import Model, State
from quadgate.model.network import Head, Network
from quadgate.model.scaling import Scaling
from quadgate.model.summary import SummaryRow, SummaryTable
from quadgate.model.variables import Stored, Variables

__all__ = [
    "Asked",
    "Assumption",
    "Cell",
    "Convolutions",
    "Dense",
    "Ensemble",
    "Found",
    "Head",
    "Member",
    "Model",
    "Network",
    "Patches",
    "Scaling",
    "State",
    "Stored",
    "SummaryRow",
    "SummaryTable",
    "Variables",
    "build",
    "holds_ensemble",
    "load_ensemble",
    "save_ensemble",
    "write_atomically",
]
