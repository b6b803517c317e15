"""What a network is once it is loaded: its architecture, its numbers, running it, and its files."""

from quadgate.model.atomic import write_atomically
from quadgate.model.files import load, save
from quadgate.model.model import Model, State
from quadgate.model.network import Cell, Head, Network
from quadgate.model.scaling import Scaling
from quadgate.model.summary import SummaryRow, SummaryTable
from quadgate.model.variables import Stored, Variables

__all__ = [
    "Cell",
    "Head",
    "Model",
    "Network",
    "Scaling",
    "State",
    "Stored",
    "SummaryRow",
    "SummaryTable",
    "Variables",
    "load",
    "save",
    "write_atomically",
]
