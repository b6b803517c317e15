"""Loading and saving a model, whatever the format: told by what is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from quadgate.errors import FileFormatError, InputError
from quadgate.formats.registry import FORMATS, START, recognise, to_write
from quadgate.model import Asked, Ensemble, Model, holds_ensemble, load_ensemble, save_ensemble

MAGICS = {
    b"PK\x03\x04": "a zip archive, of neither PyTorch nor Keras 3",
    b"\x93NUMPY": "a NumPy array",
    b"\x08": "a protocol buffer, as ONNX and TensorFlow graphs are",
}
_ALONE = (
    "an ensemble (several networks, or one that reads a series in patches), which no other framework's file can say; "
    "expected one network that reads step by step: train with --preset stream or seed, or take a member's network, "
    "quadgate.load(RUN).members[0].model"
)


def load(path: str | Path, **settings: Unpack[Asked]) -> Model | Ensemble:
    """Load a model; nothing in a file is ever run, and its numbers are read when they are used.

    An `Ensemble` comes of what `quadgate train` left, where that is several networks or one that reads in patches;
    everything else is a `Model`.

    Args:
        path: a run folder, or a file of any format that `quadgate.formats.FORMATS` lists; of a TensorFlow checkpoint
            its prefix, its `.index` file, or a folder whose `checkpoint` file names the latest one.
        **settings: what the file does not say, as in `layouts.Settings`: `forget_bias`, `activations`, `cell_clip`, and
            so on, and `layers`, which says it of some layers alone: `layers={"decoder": {"forget_bias": 0.0}}`. Without
            them the framework's own defaults are taken, and named in `Model.assumptions`.

    Raises:
        FileFormatError: there is no such file, it is damaged, of another format, or holds no recurrent layer; says what
            was found.
        InputError: a setting is not what the file says, or not what the layer's class can do.
    """
    path = Path(path)
    if holds_ensemble(path):
        if settings:
            raise InputError(f"{path}: found {', '.join(settings)}, expected no settings: an ensemble's file says all")
        return load_ensemble(path)
    found = recognise(path)
    if found is None:
        titles = "; ".join(dict.fromkeys(one.title for one in FORMATS))
        raise FileFormatError(f"{path}: {_found(path)}, expected {titles}")
    one, place = found
    model = one.read(place, settings)
    # Classes and channels are called what the data call them.
    odd = next((name for name in (*model.variables, *model.left_out) if not name.isprintable()), None)
    if odd is not None:
        raise FileFormatError(f"{path}: found the name {odd[:100]}, expected text that can be printed")
    return model


def load_network(path: str | Path, **settings: Unpack[Asked]) -> Model:
    """Load a file that has to hold one network which reads step by step: as `load`, without ensembles.

    Raises:
        InputError: the file holds an ensemble, or as `load`.
        FileFormatError: as `load`.
    """
    found = load(path, **settings)
    if isinstance(found, Ensemble):
        raise InputError(f"{path}: found {_ALONE}")
    return found


def save(model: Model | Ensemble, path: str | Path, to: str | None = None) -> None:
    """Save a model, whole or not at all.

    Args:
        model: the model.
        path: where to.
        to: the format's name; without it, the one that the ending of `path` names, else a run folder.

    Raises:
        InputError: the format is not known or cannot hold the model, or `path` is of another kind.

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
    <BLANKLINE>
    rnn/basic_lstm_cell
      (3 inputs + 2 hidden) x (4 gates x 2 units) = 5 x 8 = 40
    """
    path = Path(path)
    if isinstance(model, Ensemble):
        if to not in (None, "quadgate") or path.suffix not in ("", ".safetensors"):
            raise InputError(f"{path}: {model!r} is {_ALONE}")
        save_ensemble(model, path)
        return
    to_write(path, to).write(model, path)


def _found(path: Path) -> str:
    """Say what is there instead of a model."""
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        return f"found a folder with {', '.join(names[:5]) or 'nothing in it'}{', ...' if len(names) > 5 else ''}"
    if not path.exists():
        return "not found"
    with path.open("rb") as file:
        start = file.read(START)[:8]
    kind = next((name for magic, name in MAGICS.items() if start.startswith(magic)), None)
    return f"found {kind or 'a file of another kind'} (it begins with {start.hex(' ') or 'nothing'})"
