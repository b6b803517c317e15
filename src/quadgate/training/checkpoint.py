"""Where training stands after an epoch, in one file: enough to go on as if it had never stopped.

The file is a safetensors file, so that reading it runs no code: the module's weights, the best weights so far and the
optimizer's moments as tensors, the rest as JSON in the header. One that is written between two epochs holds no state of
a random generator, because every epoch seeds its own from the run's seed and the epoch's number; one that is written
within an epoch holds the generator's, and where training runs on a GPU that of the GPU, by the first process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from quadgate.errors import FileFormatError, InputError
from quadgate.model.atomic import write_atomically
from quadgate.model.record import read_record
from quadgate.training.settings import Settings

FORMAT_VERSION = 1
HEADER = "quadgate.checkpoint"


@dataclass
class Position:
    """How far training is.

    Attributes:
        epoch: epochs that are complete.
        best_epoch: the one after which the validation loss was lowest; 0 before the first.
        best_loss: that loss; None before the first epoch.
        batch: batches of the next epoch that are done.
        loss, norm: what they add to that epoch's means, the loss by this process's share of them.
        losses: the same of every process.
        where: what the data need to go on after them.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float | None = None
    batch: int = 0
    loss: float = 0.0
    norm: float = 0.0
    where: str = ""
    losses: tuple[float, ...] = ()


@dataclass
class State:
    """Everything that an epoch changes."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    position: Position
    best: dict[str, Tensor]
    average: AveragedModel | None = None
    shared: nn.Module | None = None  # what several processes call in the place of `module`
    chance: Tensor | None = None  # of torch's generator within an epoch
    chance_on_gpu: Tensor | None = None  # of the GPU's, which augmentation and dropout draw from there


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself; `data` is the fingerprint of the training data."""

    format_version: int
    settings: Settings
    data: str
    position: Position


def write_checkpoint(path: Path, state: State, settings: Settings, data: str) -> None:
    """Put the state in the place of the last checkpoint, whole or not at all.

    `data` is the fingerprint of the training data.
    """
    tensors = {f"module/{name}": tensor for name, tensor in state.module.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    if state.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.state_dict().items()}
    if state.chance is not None:
        tensors["chance"] = state.chance
    if state.chance_on_gpu is not None:
        tensors["chance_on_gpu"] = state.chance_on_gpu
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": tensor for name, tensor in moments.items()}
    header = asdict(Header(FORMAT_VERSION, settings, data, state.position))
    with write_atomically(path) as beside:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, beside, {HEADER: json.dumps(header)})


def read_checkpoint(path: Path, state: State, settings: Settings, data: str) -> None:
    """Bring `state` to where the checkpoint is.

    Raises:
        InputError: the checkpoint was written with other settings or other data.
        FileFormatError: the file is damaged or no checkpoint of this network.
    """
    header, tensors = _read(path)
    header.settings.check_same(settings)
    if header.data != data:
        raise InputError(f"{path}: the run was begun with other training data; give the same data to resume")
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimizer/", tensors).items():
        number, _, moment = name.partition("/")
        moments.setdefault(int(number), {})[moment] = tensor
    groups = state.optimizer.state_dict()["param_groups"]
    try:
        state.module.load_state_dict(_under("module/", tensors))
        if state.average is not None:
            state.average.load_state_dict(_under("average/", tensors))
    except RuntimeError as error:
        raise FileFormatError(f"{path}: found the weights of another network, expected those of this one") from error
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.position = header.position
    state.best = _under("best/", tensors)
    state.chance, state.chance_on_gpu = tensors.get("chance"), tensors.get("chance_on_gpu")


def _read(path: Path) -> tuple[Header, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {}).get(HEADER, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)
    except (SafetensorError, ValueError) as error:
        raise FileFormatError(f"{path}: found a damaged file ({error}), expected a checkpoint") from error
    if not isinstance(found, dict) or found.get("format_version") != FORMAT_VERSION:
        raise FileFormatError(f"{path}: found no checkpoint of format version {FORMAT_VERSION}, expected one")
    return read_record(Header, found, str(path)), tensors


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
