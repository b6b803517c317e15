"""What the numbers of an LSTM's kernel are: the arithmetic of its shape, a picture, and one step worked by hand.

Everything here returns data or text; nothing prints.
"""

from quadgate.explain.case import Case, explain_case
from quadgate.explain.drawing import draw
from quadgate.explain.kernel_shape import KernelShape, Reading, parse_shape, readings
from quadgate.explain.layer import explain_cell, explain_products, kernel_of
from quadgate.explain.neighbors import Neighbor, Neighbors, TrainingCases, final_states, nearest, neighbors_of
from quadgate.explain.page import explain_kernel, explain_others, explain_reading
from quadgate.explain.products import Products, measure_products
from quadgate.explain.statistics import Statistics, statistics
from quadgate.explain.texts import LANGUAGES
from quadgate.explain.trace import Trace, trace, trace_text

__all__ = [
    "LANGUAGES",
    "Case",
    "KernelShape",
    "Neighbor",
    "Neighbors",
    "Products",
    "Reading",
    "Statistics",
    "Trace",
    "TrainingCases",
    "draw",
    "explain_case",
    "explain_cell",
    "explain_kernel",
    "explain_others",
    "explain_products",
    "explain_reading",
    "final_states",
    "kernel_of",
    "measure_products",
    "nearest",
    "neighbors_of",
    "parse_shape",
    "readings",
    "statistics",
    "trace",
    "trace_text",
]
