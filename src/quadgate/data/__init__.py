"""Reading series in the forms people have them, splitting, scaling and batching; NumPy alone at import."""

from quadgate.data.arrays import from_arrays
from quadgate.data.balance import balanced
from quadgate.data.batching import batches, pad
from quadgate.data.read import read
from quadgate.data.scaling import fit_scaling
from quadgate.data.sequences import Dataset, Sequences
from quadgate.data.split import split
from quadgate.data.synthetic import make_sequences

__all__ = [
    "Dataset",
    "Sequences",
    "balanced",
    "batches",
    "fit_scaling",
    "from_arrays",
    "make_sequences",
    "pad",
    "read",
    "split",
]
