"""The run folder: `model.safetensors`, whose metadata describes the model, beside the history and the report.

The metadata has one entry, `quadgate`, a JSON object:

    format_version   2
    network          the fields of `Network`, for what quadgate builds; or instead
    cells, head      the fields of each `Cell`, by layer and direction, and of `Head` (null for none)
    chains           how many of the layers belong to each chain, where `cells` are given
    variables        the names of the tensors, in order
    labels           the name of each class, or null
    channels         the name of each channel, or null
    scaling          {"mean": [C], "scale": [C]}, or null
    assumptions      the fields of each `Assumption`
    left_out, source as in `Model`

Tensors have the names that `network` or `cells` and `head` give them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from quadgate.errors import FileFormatError, InputError, suggest
from quadgate.model.assumption import Assumption
from quadgate.model.atomic import write_atomically
from quadgate.model.cell import Cell
from quadgate.model.model import Model
from quadgate.model.network import Head, Network
from quadgate.model.record import read_record
from quadgate.model.scaling import Scaling
from quadgate.model.tensors import one_line, read_tensors
from quadgate.model.variables import Variables

FORMAT_VERSION = 2
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class ScalingRecord:
    """A `Scaling` as JSON holds it."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, scaling: Scaling) -> ScalingRecord:
        """Write the numbers of a scaling down; JSON keeps every digit of a float64."""
        return cls(tuple(scaling.mean.tolist()), tuple(scaling.scale.tolist()))


@dataclass(frozen=True)
class Header:
    """The metadata of `model.safetensors`; see the head of this file."""

    format_version: int
    variables: tuple[str, ...]
    network: Network | None = None
    cells: tuple[tuple[Cell, ...], ...] = ()
    head: Head | None = None
    chains: tuple[int, ...] = ()
    labels: tuple[str | int, ...] | None = None
    channels: tuple[str, ...] | None = None
    scaling: ScalingRecord | None = None
    assumptions: tuple[Assumption, ...] = ()
    left_out: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if (self.network is None) == (not self.cells) or not all(self.cells):
            raise InputError("found both or neither of 'network' and 'cells', expected one of them")


def save_weights(model: Model, path: str | Path) -> None:
    """Write a model as one safetensors file, whole or not at all; `load_weights` gives the same bits back."""
    from safetensors.numpy import save

    own = model.network is not None and model.cells == model.network.cells and model.head == model.network.head
    header = Header(
        format_version=FORMAT_VERSION,
        variables=tuple(model.variables),
        network=model.network if own else None,
        cells=() if own else model.cells,
        head=None if own else model.head,
        chains=() if own else model.chains,
        labels=model.labels,
        channels=model.channels,
        scaling=None if model.scaling is None else ScalingRecord.of(model.scaling),
        assumptions=model.assumptions,
        left_out=model.left_out,
        source=model.source,
    )
    tensors = {name: np.ascontiguousarray(array) for name, array in model.variables.items()}
    text = json.dumps(asdict(header), ensure_ascii=False, allow_nan=False)
    with write_atomically(path) as beside:
        beside.write_bytes(save(tensors, {"quadgate": text}))


def load_weights(path: str | Path) -> Model:
    """Read a model from a safetensors file that quadgate wrote; numbers are read from the file when they are used.

    Raises:
        FileFormatError: the file is damaged, was not written by quadgate or by another version, or its tensors do not
            fit what its metadata describes.
    """
    path = Path(path)
    metadata, tensors = read_tensors(path)
    header = _read_header(metadata, path)
    for name in header.variables:
        if name not in tensors:
            raise FileFormatError(f"{path}: tensor {name} is missing, {suggest(name, tensors)}")
    fitted = header.scaling
    one_chain = len(header.chains) <= 1
    try:
        return Model(
            network=header.network or (Network.describing(header.cells, header.head) if one_chain else None),
            variables=Variables({name: tensors[name] for name in header.variables}),
            labels=header.labels,
            channels=header.channels,
            scaling=None if fitted is None else Scaling(np.array(fitted.mean), np.array(fitted.scale)),
            assumptions=header.assumptions,
            source=header.source or str(path),
            left_out=header.left_out,
            cells=header.cells,
            head=header.head,
            chains=header.chains,
        )
    except InputError as error:
        raise FileFormatError(f"{path}: {error}") from None


def _read_header(metadata: Mapping[str, str], path: Path) -> Header:
    if "quadgate" not in metadata:
        raise FileFormatError(
            f"{path}: its metadata has no entry 'quadgate' (found {', '.join(metadata) or 'none'}), so it says nothing "
            "about the network; expected a file that quadgate.save wrote"
        )
    try:
        record = json.loads(metadata["quadgate"])
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: metadata quadgate is not JSON: {one_line(error)}") from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f"{path}: metadata quadgate: found format_version {version!r}, expected {FORMAT_VERSION}")
    if version != FORMAT_VERSION:
        cure = "upgrade it: pip install --upgrade quadgate" if version > FORMAT_VERSION else "train or convert again"
        raise FileFormatError(f"{path}: found format_version {version}, this quadgate reads {FORMAT_VERSION}; {cure}")
    return read_record(Header, record, f"{path}: metadata quadgate")
