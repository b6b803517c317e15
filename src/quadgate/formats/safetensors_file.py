"""A safetensors file: quadgate's own, whose metadata describes the model, or another's, with PyTorch's names."""

from __future__ import annotations

from pathlib import Path

from quadgate.errors import InputError
from quadgate.formats.torch_names import build_named
from quadgate.layouts import Settings
from quadgate.model import Model, Variables
from quadgate.model.run_folder import WEIGHTS, load_weights, save_weights
from quadgate.model.tensors import read_tensors


def read_model(path: Path, settings: Settings) -> Model:
    """Read a model from a safetensors file.

    Raises:
        FileFormatError: the file is damaged or holds no recurrent layer.
        InputError: settings are given for a file that tells them all.
    """
    metadata, tensors = read_tensors(path)
    if "quadgate" not in metadata:
        return build_named(Variables(tensors), path, settings)
    model = load_weights(path)
    for name, value in settings.items():
        if name == "layers" or any(getattr(cell, name) != value for layer in model.cells for cell in layer):
            raise InputError(f"{path}: found {name}={value!r}, but the file says what its layers are; leave it out")
    return model


def write_model(model: Model, path: Path) -> None:
    """Write a model: to one file where `path` ends in `.safetensors`, else as `model.safetensors` in the folder `path`.

    Raises:
        InputError: `path` is a file where a folder should be.
    """
    if path.suffix == ".safetensors":
        save_weights(model, path)
        return
    if path.is_file():
        raise InputError(f"{path}: is a file, expected a folder or a name that ends in .safetensors")
    save_weights(model, path / WEIGHTS)
