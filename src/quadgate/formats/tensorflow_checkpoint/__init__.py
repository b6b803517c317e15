"""TensorFlow 1 checkpoints, read with NumPy alone: version 2 (`PREFIX.index`, data files) and version 1 (one file)."""

from quadgate.formats.tensorflow_checkpoint.reader import find_checkpoint, read_model

__all__ = ["find_checkpoint", "read_model"]
