"""The implementations of the recurrence, why each can or cannot run a layer here, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch

from quadgate.errors import InputError
from quadgate.kernels.choice import Choice, log_once
from quadgate.kernels.gpu.crossover import CUDNN, Case, choose, read
from quadgate.kernels.gpu.findings import too_old
from quadgate.kernels.gpu.recurrence import Recurrence


@dataclass(frozen=True)
class Implementation:
    """A recurrence that is imported where it is first asked for.

    Attributes:
        name: as it is printed.
        reach: what it runs, in a few words.
        why_not: takes H, the type and the device to the reason for which it cannot run there, or None.
        load: returns it.
    """

    name: str
    reach: str
    why_not: Callable[[int, torch.dtype, torch.device], str | None]
    load: Callable[[], Recurrence]


def _triton_refuses(H: int, dtype: torch.dtype, device: torch.device) -> str | None:
    refused = _no_triton() or _too_old(device)
    if refused:
        return refused
    from quadgate.kernels.gpu import triton_lstm

    return triton_lstm.why_not(H, dtype, _shared_memory(device))


def _graph_refuses(H: int, dtype: torch.dtype, device: torch.device) -> str | None:  # noqa: ARG001 - any H
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return f"computes in float32, bfloat16 or float16, not {str(dtype).removeprefix('torch.')}"
    return _no_triton() or _too_old(device)


def _cuda_refuses(H: int, dtype: torch.dtype, device: torch.device) -> str | None:
    from quadgate.kernels.gpu import cuda

    return cuda.why_not(H, dtype, device)


def _cuda() -> Recurrence:
    from quadgate.kernels.gpu.cuda import CUDA

    return CUDA


def _triton() -> Recurrence:
    from quadgate.kernels.gpu.triton_lstm import TRITON

    return TRITON


def _graph() -> Recurrence:
    from quadgate.kernels.gpu.graph import GRAPH

    return GRAPH


IMPLEMENTATIONS = (
    Implementation("CUDA", "up to 128 units", _cuda_refuses, _cuda),
    Implementation("Triton", "up to 64 units in float32 and 128 in bfloat16 and float16", _triton_refuses, _triton),
    Implementation("graph", "any number of units", _graph_refuses, _graph),
)


def refusals(H: int, dtype: torch.dtype, device: torch.device) -> dict[str, str | None]:
    """Return, by name, why an implementation cannot run a basic cell there, or None where it can; cuDNN always can."""
    return {CUDNN: None} | {one.name: one.why_not(H, dtype, device) for one in IMPLEMENTATIONS}


def chosen(case: Case, dtype: torch.dtype, device: torch.device) -> Choice:
    """Return what runs a basic cell on a GPU, and why; cuDNN where the measurements cannot be read."""
    try:
        table = read(torch.cuda.get_device_name(device))
    except InputError as error:
        choice = Choice(CUDNN, True, str(error))
    else:
        choice = choose(case, refusals(case.H, dtype, device), table)
    log_once(f"lstm on {device}", str(choice))
    return choice


def load(name: str) -> Recurrence | None:
    """Return the implementation of a name; None for cuDNN, which is none of ours.

    >>> load("cuDNN") is None
    True
    """
    return next((one.load() for one in IMPLEMENTATIONS if one.name == name), None)


@cache
def _no_triton() -> str | None:
    return None if find_spec("triton") else "Triton is not installed: pip install 'quadgate[gpu]'"


@cache
def _too_old(device: torch.device) -> str | None:
    return too_old(torch.cuda.get_device_capability(device)) if device.type == "cuda" else None


@cache
def _shared_memory(device: torch.device) -> int | None:
    """Return how many bytes a program may have; None where that is not known."""
    if device.type != "cuda":
        return None
    return getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", None)
