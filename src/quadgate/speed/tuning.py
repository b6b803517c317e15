"""The measurements that decide what runs an LSTM layer on a GPU: made once for each kind, read by the chooser."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import product

import torch

from quadgate.errors import InputError
from quadgate.kernels.gpu.crossover import VERSION, Case, Measured, Table, place, read
from quadgate.model.atomic import write_atomically
from quadgate.speed.gpu import measure

UNITS = (32, 64, 128, 256, 512, 1024)
CASES = (1, 8, 32, 128, 256)
DTYPES = ("float32", "tf32", "bfloat16", "float16")
STEPS = 256
"""T: enough that the time for a step decides, and a fraction of the time that 820 steps would take."""
CHANNELS = 12


def grid(units: Sequence[int], cases: Sequence[int], dtypes: Sequence[str]) -> list[Case]:
    """Return every combination, forward alone and with backward, of equal and unequal lengths.

    >>> len(grid((64,), (1, 32), ("float32",)))
    8
    """
    return [
        Case(dtype, H, N, training, lengths)
        for H, N, dtype, training, lengths in product(units, cases, dtypes, (False, True), (False, True))
    ]


def tune(
    cases: Sequence[Case],
    device: torch.device,
    seconds: float,
    steps: int = STEPS,
    told: Callable[[int, Measured, dict[str, float], dict[str, str]], None] | None = None,
) -> Table:
    """Measure the cases on a GPU; after each the table is written, so that an interruption loses none before.

    What was measured before with the same versions and is not measured again stays in the table.

    Args:
        cases: what to measure.
        device: the GPU.
        seconds: for each case and implementation.
        steps: T.
        told: takes the number of a case, what was measured, the errors of all, and why one could not run.
    """
    name, versions = torch.cuda.get_device_name(device), _versions()
    before = _earlier(name)
    same = before is not None and (before.steps, before.versions) == (steps, versions)
    found = {one.case: one for one in before.cases} if before is not None and same else {}
    table = Table(name, steps, versions, tuple(found.values()))
    for number, case in enumerate(cases):
        found[case], errors, failed = measure(case, steps, CHANNELS, device, seconds)
        table = Table(name, steps, versions, tuple(found.values()))
        write(table)
        if told is not None:
            told(number, found[case], errors, failed)
    return table


def _earlier(name: str) -> Table | None:
    try:
        return read(name)
    except InputError:  # damaged, and now made anew
        return None


def write(table: Table) -> None:
    """Write a table to its place, whole or not at all."""
    with write_atomically(place(table.device)) as beside:
        beside.write_text(json.dumps({"version": VERSION, **asdict(table)}, indent=1), encoding="utf-8")
    read.cache_clear()


def _versions() -> dict[str, str]:
    found = {"torch": torch.__version__, "CUDA": str(torch.version.cuda), "cuDNN": str(torch.backends.cudnn.version())}
    for library in ("quadgate", "triton"):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "none"
    return found
