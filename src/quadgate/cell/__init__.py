"""What a step of a recurrent cell is: its parameters, its equations, and the float64 reference that judges all else."""

from quadgate.cell.parameters import Activations, GRUParameters, LSTMParameters

__all__ = ["Activations", "GRUParameters", "LSTMParameters"]
