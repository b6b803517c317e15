"""Which file holds a model, told by what is in it."""

from __future__ import annotations

from pathlib import Path

from quadgate.errors import FileFormatError, InputError
from quadgate.model.model import Model
from quadgate.model.run_folder import WEIGHTS, load_weights, save_weights

SUPPORTED = "a run folder, its model.safetensors, or the prefix of a TensorFlow 1 checkpoint (PREFIX.index)"


def load(path: str | Path) -> Model:
    """Load a model; nothing in a file is ever run.

    Args:
        path: a run folder, its `model.safetensors`, or a TensorFlow 1 checkpoint: its prefix, its `.index` file, or a
            folder whose `checkpoint` file names the latest one.

    Raises:
        FileFormatError: there is no such file, it is damaged, or of another format; says what was found.
    """
    path = Path(path)
    if (path / WEIGHTS).is_file():
        return load_weights(path / WEIGHTS)
    if not path.is_file():
        raise FileFormatError(f"{path}: not found, expected {SUPPORTED}")
    return load_weights(path)


def save(model: Model, path: str | Path) -> None:
    """Save a model: to one file where `path` ends in `.safetensors`, else as `model.safetensors` in the folder `path`.

    Raises:
        InputError: `path` has the ending of another kind of file, or is a file where a folder should be.

    >>> import tempfile, numpy as np
    >>> from quadgate.model import Network
    >>> network = Network(inputs=3, units=2, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, folder)
    ...     print(load(folder).summary())
    rnn/basic_lstm_cell/kernel:0  (5, 8)  40
    rnn/basic_lstm_cell/bias:0    (8,)     8
    out/weights:0                 (2, 2)   4
    out/biases:0                  (2,)     2
    total                                 54
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        save_weights(model, path)
        return
    if path.is_file():
        raise InputError(f"{path}: is a file, expected a folder or a name that ends in .safetensors")
    save_weights(model, path / WEIGHTS)
