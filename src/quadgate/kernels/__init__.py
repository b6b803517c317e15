"""Fast implementations of the cell, and the chooser that explains its choice."""

from quadgate.kernels.choice import Choice, explain_choice, gru, implementations, lstm
from quadgate.kernels.threads import number_of_threads

__all__ = ["Choice", "explain_choice", "gru", "implementations", "lstm", "number_of_threads"]
