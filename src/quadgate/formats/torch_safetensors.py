"""Writes a model as a safetensors file with the names of PyTorch's modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quadgate.formats import torch_writer
from quadgate.formats.torch_writer import arranged
from quadgate.model import Model, write_atomically

__all__ = ["arranged", "loading_code", "write_model"]


def write_model(model: Model, path: Path) -> None:
    """Write the tensors of a state dict.

    Raises:
        InputError: `torch.nn.LSTM` or `torch.nn.GRU` cannot hold one of its layers; the text names what it lacks.
    """
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(array) for name, array in arranged(model)[0].items()}
    with write_atomically(path) as beside:
        beside.write_bytes(save(tensors, {"format": "pt"}))


def loading_code(model: Model, path: Path) -> str:
    """Return the lines of PyTorch that build the modules, load what `write_model` wrote, and run them."""
    code = torch_writer.loading_code(model, path, 'load_file("{}")')
    return code.replace("import torch\n", "import torch\nfrom safetensors.torch import load_file\n", 1)
