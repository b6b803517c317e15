"""Which file holds a model, told by what is in it."""

from __future__ import annotations

from pathlib import Path

from quadgate.errors import FileFormatError, InputError
from quadgate.model.model import Model
from quadgate.model.run_folder import WEIGHTS, load_weights, save_weights

SUPPORTED = "a run folder, its model.safetensors, or the prefix of a TensorFlow 1 checkpoint (PREFIX.index)"

MAGICS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes",
    b"PK\x03\x04": "a zip archive, as PyTorch and Keras 3 write",
    b"\x80": "a pickle",
    b"\x93NUMPY": "a NumPy array",
    b"\x08": "a protocol buffer, as ONNX and TensorFlow graphs are",
}


def load(path: str | Path) -> Model:
    """Load a model; nothing in a file is ever run.

    Args:
        path: a run folder, its `model.safetensors`, or a TensorFlow 1 checkpoint: its prefix, its `.index` file, or a
            folder whose `checkpoint` file names the latest one.

    Raises:
        FileFormatError: there is no such file, it is damaged, or of another format; says what was found.
    """
    from quadgate.formats.tensorflow_checkpoint import find_checkpoint, read

    path = Path(path)
    if (path / WEIGHTS).is_file():
        return load_weights(path / WEIGHTS)
    prefix = find_checkpoint(path)
    if prefix is not None:
        return read(prefix)
    if path.is_file() and _looks_like_safetensors(path):
        return load_weights(path)
    raise FileFormatError(f"{path}: {_found(path)}, expected {SUPPORTED}")


def _looks_like_safetensors(path: Path) -> bool:
    """Whether the file has that ending, or begins with a length and a JSON object."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _found(path: Path) -> str:
    """Say what is there instead of a model."""
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        return f"found a folder with {', '.join(names[:5]) or 'nothing in it'}{', ...' if len(names) > 5 else ''}"
    if not path.exists():
        return "not found"
    with path.open("rb") as file:
        start = file.read(8)
    kind = next((name for magic, name in MAGICS.items() if start.startswith(magic)), None)
    return f"found {kind or 'a file of another kind'} (it begins with {start.hex(' ') or 'nothing'})"


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
