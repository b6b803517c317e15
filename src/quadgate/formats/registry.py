"""The formats, one entry each: how a file is recognised, and the modules that read and write it.

A reader is a module with `read_model(path, settings) -> Model`, which finds the recurrent layers and calls
`quadgate.model.build`; a writer one with `write_model(model, path)`. They are imported when they are used. To add a
format: a module, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from quadgate.errors import InputError, suggest
from quadgate.formats import recognition as known
from quadgate.formats.unread import find_unread
from quadgate.layouts import Settings
from quadgate.model import Model

START = 4096


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        name: what `save(..., to=)` calls it; empty for one that is only read.
        title: what a file of it is, after "found" or "expected".
        recognise: takes a path and the first bytes of what is there (none of a folder, or of nothing) and returns the
            path to read, which for a checkpoint is its prefix, or None.
        reader: the module in this room that reads it.
        writer: the module that writes it, or empty.
        endings: what a file to be written may be called, where that is enough to know its format.
    """

    name: str
    title: str
    recognise: Callable[[Path, bytes], Path | None]
    reader: str
    writer: str = ""
    endings: tuple[str, ...] = ()

    def read(self, path: Path, settings: Settings) -> Model:
        """Read a file that was recognised."""
        model: Model = import_module(f"quadgate.formats.{self.reader}").read_model(path, settings)
        return model

    def write(self, model: Model, path: Path) -> None:
        """Write a model.

        Raises:
            InputError: this format is not written.
        """
        if not self.writer:
            raise InputError(f"{path}: {self.title} is read, not written; {suggest(self.name, written())}")
        import_module(f"quadgate.formats.{self.writer}").write_model(model, path)


FORMATS = (
    Format("quadgate", "a run folder", known.run_folder, "safetensors_file", "safetensors_file"),
    Format(
        "tf1",
        "a TensorFlow 1 checkpoint (its prefix)",
        known.tensorflow_checkpoint,
        "tensorflow_checkpoint",
        "tensorflow_checkpoint.writer",
        (".ckpt", ".index"),
    ),
    Format(
        "",
        "a frozen graph of TensorFlow (.pb) or a SavedModel",
        known.tensorflow_graph,
        "tensorflow_checkpoint.frozen",
    ),
    Format("", "parameters of Equinox (.eqx)", known.equinox, "equinox_file"),
    Format(
        "quadgate",
        "a safetensors file",
        known.safetensors,
        "safetensors_file",
        "safetensors_file",
        (".safetensors",),
    ),
    Format("safetensors", "a safetensors file", known.safetensors, "safetensors_file", "torch_safetensors"),
    Format(
        "keras",
        "a Keras file (.h5, .keras, .weights.h5)",
        known.keras_file,
        "keras_file",
        "keras_writer",
        (".keras", ".weights.h5"),
    ),
    Format(
        "torch",
        "a file of torch.save or torch.jit.save",
        known.torch_file,
        "torch_file",
        "torch_writer",
        (".pt", ".pth"),
    ),
    Format("", "a pickled dictionary of NumPy arrays", known.pickle, "numpy_pickle"),
    Format("flax", "parameters of Flax or Haiku", known.flax, "flax_file", "flax_writer", (".msgpack", ".npz")),
    Format("tflite", "a TensorFlow Lite model", known.tflite, "tflite_file"),
    Format("onnx", "an ONNX model", known.onnx, "onnx_file", "onnx_file", (".onnx",)),
)


def written() -> list[str]:
    """Return the names of the formats that can be written."""
    return list(dict.fromkeys(one.name for one in FORMATS if one.writer and one.name))


def recognise(path: Path) -> tuple[Format, Path] | None:
    """Find the format of what is at `path`, and the path to read; None where it is none that is known.

    Raises:
        FileFormatError: the format is known, and not read yet; says what would be needed.
    """
    start = b""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(START)
    unread = find_unread(path, start, known.entries(path, start))
    if unread is not None:
        raise unread.refusal(path)
    for one in FORMATS:
        found = one.recognise(path, start)
        if found is not None:
            return one, found
    return None


def to_write(path: Path, to: str | None) -> Format:
    """Return the format called `to`, or else the one that the ending of `path` names with certainty.

    Raises:
        InputError: there is no such format, or it cannot be written, or the ending does not tell.
    """
    writable = [one for one in FORMATS if one.writer]
    if to is not None:
        named = next((one for one in writable if one.name == to), None)
        if named is None:
            raise InputError(f"to: found {to!r}, which is no format that is written; {suggest(to, written())}")
        return named
    ended = next((one for one in writable if path.name.endswith(one.endings or ("\0",))), None)
    if ended is not None:
        return ended
    if path.suffix and not path.is_dir():
        endings = ", ".join(ending for one in writable for ending in one.endings)
        raise InputError(f"{path}: the ending {path.suffix} does not tell a format; give to=, or one of {endings}")
    return writable[0]
