"""What the numbers of an LSTM's kernel are: the arithmetic of its shape, a picture, and one step worked by hand.

Everything here returns data or text; nothing prints.
"""

from quadgate.explain.drawing import draw
from quadgate.explain.kernel_shape import KernelShape, Reading, parse_shape, readings
from quadgate.explain.neighbors import Neighbors, final_states, nearest
from quadgate.explain.page import explain_cell, explain_kernel, explain_others, explain_reading, kernel_of
from quadgate.explain.texts import LANGUAGES
from quadgate.explain.trace import Trace, trace, trace_text

__all__ = [
    "LANGUAGES",
    "KernelShape",
    "Neighbors",
    "Reading",
    "Trace",
    "draw",
    "explain_cell",
    "explain_kernel",
    "explain_others",
    "explain_reading",
    "final_states",
    "kernel_of",
    "nearest",
    "parse_shape",
    "readings",
    "trace",
    "trace_text",
]
