"""An `Ensemble` as one safetensors file, whose metadata `quadgate_ensemble` describes it as JSON.

    format_version   1
    patches          {"length", "stride"}
    networks         the fields of each member's `Network`
    convolutions     how many convolutions each member has beside its LSTM, 0 for none
    labels, channels, scaling, source as in the run folder of a single network

Tensors have the names of `Ensemble.variables`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError, InputError
from quadgate.model.atomic import write_atomically
from quadgate.model.ensemble import Convolutions, Ensemble, Member, Patches
from quadgate.model.model import Model
from quadgate.model.network import Network
from quadgate.model.record import read_record
from quadgate.model.run_folder import WEIGHTS, ScalingRecord
from quadgate.model.scaling import Scaling
from quadgate.model.tensors import one_line, read_tensors
from quadgate.model.variables import Variables

FORMAT_VERSION = 1
ENTRY = "quadgate_ensemble"


@dataclass(frozen=True)
class Header:
    """The metadata; see the head of this file."""

    format_version: int
    patches: Patches
    networks: tuple[Network, ...]
    convolutions: tuple[int, ...]
    labels: tuple[str | int, ...] | None = None
    channels: tuple[str, ...] | None = None
    scaling: ScalingRecord | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.networks) != len(self.convolutions) or min(self.convolutions, default=0) < 0:
            raise InputError(f"found {len(self.networks)} networks, {len(self.convolutions)} numbers of convolutions")


def save_ensemble(ensemble: Ensemble, path: str | Path) -> None:
    """Write an ensemble, whole or not at all: to one file where `path` ends in `.safetensors`, else into the folder.

    Raises:
        InputError: a member is no network that quadgate builds.
    """
    from safetensors.numpy import save

    networks = [member.model.network for member in ensemble.members]
    if any(network is None for network in networks):
        raise InputError("ensemble: found a member of other cells, expected networks that quadgate builds")
    header = Header(
        format_version=FORMAT_VERSION,
        patches=ensemble.patches,
        networks=tuple(network for network in networks if network is not None),
        convolutions=tuple(
            0 if member.convolutions is None else len(member.convolutions.kernels) for member in ensemble.members
        ),
        labels=ensemble.labels,
        channels=ensemble.channels,
        scaling=None if ensemble.scaling is None else ScalingRecord.of(ensemble.scaling),
        source=ensemble.source,
    )
    text = json.dumps(asdict(header), ensure_ascii=False, allow_nan=False)
    tensors = {name: np.ascontiguousarray(array) for name, array in ensemble.variables.items()}
    with write_atomically(_file(Path(path))) as beside:
        beside.write_bytes(save(tensors, {ENTRY: text}))


def holds_ensemble(path: str | Path) -> bool:
    """Tell whether a folder or a file holds an ensemble; anything else, a damaged file too, is none."""
    file = _file(Path(path))
    try:
        return file.suffix == ".safetensors" and file.is_file() and ENTRY in read_tensors(file)[0]
    except FileFormatError:
        return False


def load_ensemble(path: str | Path) -> Ensemble:
    """Read an ensemble; no code is run.

    Raises:
        FileFormatError: the file is damaged, holds no ensemble, or one of another version.
    """
    file = _file(Path(path))
    metadata, stored = read_tensors(file)
    tensors = Variables(stored)
    place = f"{file}: metadata {ENTRY}"
    try:
        record = json.loads(metadata.get(ENTRY, "null"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{place} is not JSON: {one_line(error)}") from None
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION:
        raise FileFormatError(f"{place}: found no ensemble of format version {FORMAT_VERSION}, expected one")
    header = read_record(Header, record, place)
    try:
        members = tuple(
            _member(number, network, layers, tensors)
            for number, (network, layers) in enumerate(zip(header.networks, header.convolutions, strict=True))
        )
        fitted = header.scaling
        scaling = None if fitted is None else Scaling(np.array(fitted.mean), np.array(fitted.scale))
        return Ensemble(members, header.patches, header.labels, header.channels, scaling, header.source or str(path))
    except InputError as error:
        raise FileFormatError(f"{file}: {error}") from None


def _member(number: int, network: Network, layers: int, tensors: Mapping[str, Any]) -> Member:
    """Gather the numbers of one member, and hold their shapes against each other."""

    def take(name: str) -> Any:
        if f"{number}/{name}" not in tensors:
            raise InputError(f"tensor {number}/{name} is missing")
        return np.asarray(tensors[f"{number}/{name}"], np.float32)

    model = Model(network, {name: take(name) for name in network.shapes})
    if not layers:
        return Member(model)
    kernels = tuple(take(f"convolution_{layer}/kernel") for layer in range(layers))
    biases = tuple(take(f"convolution_{layer}/bias") for layer in range(layers))
    weights = take("convolution_out/weights")
    width = network.inputs
    for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        fits = kernel.ndim == 3 and kernel.shape[0] % 2 == 1 and kernel.shape[1] == width
        if not fits or bias.shape != kernel.shape[2:]:
            raise InputError(
                f"tensor {number}/convolution_{layer}: found kernel {kernel.shape} and bias {bias.shape}, expected "
                f"[odd, {width}, filters] and [filters]"
            )
        width = kernel.shape[2]
    if weights.shape != (width, network.classes):
        raise InputError(
            f"tensor {number}/convolution_out/weights: found {weights.shape}, expected {(width, network.classes)}"
        )
    return Member(model, Convolutions(kernels, biases, weights))


def _file(path: Path) -> Path:
    return path if path.suffix == ".safetensors" else path / WEIGHTS
