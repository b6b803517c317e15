"""What a stream remembers, as a value: kept, saved, restored, moved to another process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import FileFormatError

Array = NDArray[Any]

FORMAT_VERSION = 1
KEY = "quadgate_stream"


@dataclass(frozen=True, eq=False)
class StreamState:
    """The state of N streams at one moment; later steps do not change it.

    Attributes:
        layers: for each layer `(c [N, H], h [N, P])` of an LSTM, `(h [N, H],)` of a GRU.
        carried: `[N, W]` float64, what the pooling has gathered; W is 0 where it needs nothing.
        model: a digest of the model's numbers, so that no other model takes it up.
    """

    layers: tuple[tuple[Array, ...], ...]
    carried: Array
    model: str

    def __len__(self) -> int:
        return len(self.carried)

    def to_bytes(self) -> bytes:
        """Return the state as a safetensors file, which runs no code where it is read."""
        from safetensors.numpy import save

        tensors = {f"{k}.{m}": array for k, layer in enumerate(self.layers) for m, array in enumerate(layer)}
        header = {"format_version": FORMAT_VERSION, "model": self.model, "layers": [len(one) for one in self.layers]}
        return save(tensors | {"carried": self.carried}, {KEY: json.dumps(header)})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "state") -> StreamState:
        """Read what `to_bytes` wrote; `name` says in a message what was read.

        Raises:
            FileFormatError: damaged, or not a state, or of a later version.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(data)
            size = int.from_bytes(data[:8], "little")
            header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][KEY])
            version, counts, model = header["format_version"], header["layers"], header["model"]
            if version != FORMAT_VERSION:
                raise FileFormatError(f"{name}: found format_version {version!r}, expected {FORMAT_VERSION}")
            layers = tuple(tuple(tensors[f"{k}.{m}"] for m in range(count)) for k, count in enumerate(counts))
            return cls(layers, tensors["carried"], str(model))
        except FileFormatError:
            raise
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            text = " ".join(str(error).split())
            raise FileFormatError(f"{name}: found {text or 'nothing'}, expected the state of a stream") from None

    def save(self, path: str | Path) -> None:
        """Write the state to a file, whole or not at all."""
        from quadgate.model.atomic import write_atomically

        with write_atomically(path) as beside:
            beside.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> StreamState:
        """Read what `save` wrote.

        Raises:
            FileFormatError: as `from_bytes`, or there is no such file.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise FileFormatError(f"{path}: {error.strerror}") from None
        return cls.from_bytes(data, str(path))

    def rows(self, which: Any) -> StreamState:
        """Return the state of some of the streams: `state.rows([3])` is that of the fourth one alone."""
        layers = tuple(tuple(array[which] for array in layer) for layer in self.layers)
        return StreamState(layers, self.carried[which], self.model)

    def copy(self) -> StreamState:
        """Return a state whose arrays are its own."""
        return self.rows(np.arange(len(self)))
