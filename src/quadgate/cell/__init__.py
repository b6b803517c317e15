"""What a step of a recurrent cell is: its parameters, its equations, and the float64 reference that judges all else."""

from quadgate.cell.gru import GRUStep, gru, gru_backward, gru_step
from quadgate.cell.lstm import Step, lstm, lstm_backward, lstm_step
from quadgate.cell.parameters import Activations, GRUParameters, LSTMParameters

__all__ = [
    "Activations",
    "GRUParameters",
    "GRUStep",
    "LSTMParameters",
    "Step",
    "gru",
    "gru_backward",
    "gru_step",
    "lstm",
    "lstm_backward",
    "lstm_step",
]
