"""Formats that are told by their files and not read yet, since no file of their framework's has tested a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quadgate.errors import FileFormatError


@dataclass(frozen=True)
class Unread:
    """A format, what a reader would need, and how a file of it is told: all that is given must be there.

    Attributes:
        title: what a file of it is, after "found".
        needed: what is missing to read it, and what to do instead.
        endings: of its name.
        magic: what it begins with.
        inside: what is among its first bytes.
        entries: endings of names in the folder or archive, any of them; of datasets in an HDF5 file, with `.npy`.
    """

    title: str
    needed: str
    endings: tuple[str, ...] = ()
    magic: bytes = b""
    inside: bytes = b""
    entries: tuple[str, ...] = ()

    def is_one(self, path: Path, start: bytes, entries: Sequence[str]) -> bool:
        """Tell whether a file is of this format."""
        return (
            path.name.endswith(self.endings or "")
            and start.startswith(self.magic)
            and self.inside in start
            and (not self.entries or any(name.endswith(self.entries) for name in entries))
        )

    def refusal(self, path: Path) -> FileFormatError:
        """Return the error that names the format."""
        return FileFormatError(f"{path}: found {self.title}, which is not read yet; needed: {self.needed}")


UNREAD = (
    Unread(
        "an OpenVINO model",
        "a reader of LSTMSequence (gates f, i, c, o) and of the constants in its .bin; convert the original instead",
        endings=(".xml",),
        inside=b"<net",
    ),
    Unread(
        "a Core ML model",
        "a reader of its LSTM layers, which may add 1 to the forget gate and limit the cell state at 50",
        endings=(".mlmodel", ".mlpackage"),
    ),
    Unread(
        "a file of PaddlePaddle",
        "a reader that counts each tensor once, which its state dict lists twice; save them as a safetensors file",
        endings=(".pdparams", ".pdmodel", ".pdiparams", ".pdopt"),
    ),
    Unread(
        "a file of MXNet",
        "a reader of its arrays; load it with mxnet.nd.load and save them as a safetensors file",
        magic=(0x112).to_bytes(8, "little"),
    ),
    Unread(
        "a model of Deeplearning4j",
        "a reader of its one vector in Fortran order; export it to Keras there",
        entries=("coefficients.bin",),
    ),
    Unread(
        "a file of Chainer",
        "a reader of its gates, which stand unit by unit (see quadgate layouts chainer.LSTM)",
        entries=("lateral/W.npy", "upward/W.npy", "0/w7.npy"),
    ),
    Unread(
        "a file of Torch7",
        "a reader of its serialisation; load it with torchfile and save the arrays as a safetensors file",
        endings=(".t7", ".t7b"),
    ),
    Unread(
        "a checkpoint of Orbax",
        "a reader of TensorStore; restore it and save the parameters with flax.serialization.to_bytes",
        entries=("_METADATA", "manifest.ocdbt"),
    ),
)


def find_unread(path: Path, start: bytes, entries: Sequence[str]) -> Unread | None:
    """Return the format of a file that is known and not read, or None.

    Args:
        path: the file or folder.
        start: its first bytes; none of a folder.
        entries: the names in it, where it is a folder or a zip archive.

    >>> find_unread(Path("net.t7"), b"", []).title
    'a file of Torch7'
    """
    return next((one for one in UNREAD if one.is_one(path, start, entries)), None)
