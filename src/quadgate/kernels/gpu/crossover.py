"""Which implementation runs a layer on a GPU: the one that was measured to be the fastest there, else cuDNN.

The measurements are made by `quadgate tune` and kept in a file for each kind of GPU, in the user's folder for caches.
Nothing here needs torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from quadgate.errors import InputError
from quadgate.kernels.choice import Choice
from quadgate.kernels.gpu.cache import cache_folder

CUDNN = "cuDNN"
VERSION = 1


@dataclass(frozen=True)
class Case:
    """What the speed of a layer depends on.

    Attributes:
        dtype: `float32`, `tf32`, `bfloat16` or `float16`: the type, and for float32 whether its products may be tf32.
        H: units.
        N: cases.
        training: forward and backward, or forward alone.
        lengths: whether the cases are of unequal length.
    """

    dtype: str
    H: int
    N: int
    training: bool
    lengths: bool

    def __str__(self) -> str:
        passes = "forward and backward" if self.training else "forward"
        unequal = ", unequal lengths" if self.lengths else ""
        return f"H={self.H}, N={self.N}, {self.dtype}, {passes}{unequal}"


@dataclass(frozen=True)
class Measured:
    """The day, and the median milliseconds of each implementation in a case; who failed or was wrong is not there."""

    case: Case
    date: str
    milliseconds: Mapping[str, float]

    @property
    def fastest(self) -> str:
        """The name of the fastest."""
        return min(self.milliseconds, key=lambda name: self.milliseconds[name])


@dataclass(frozen=True)
class Table:
    """What was measured on a kind of GPU.

    Attributes:
        device: its name.
        steps: T of every case.
        versions: those of what was measured.
        cases: what was found.
    """

    device: str
    steps: int
    versions: Mapping[str, str]
    cases: tuple[Measured, ...]

    def nearest(self, case: Case) -> Measured | None:
        """Return the measured case of the same kind whose sizes are the fewest doublings away; None if there is none.

        >>> case = Case("float32", 64, 32, False, False)
        >>> one = Measured(case, "2026-01-01", {"cuDNN": 2.0, "Triton": 1.0})
        >>> Table("a GPU", 820, {}, (one,)).nearest(Case("float32", 100, 1, False, False)) is one
        True
        """
        alike = [
            one
            for one in self.cases
            if one.milliseconds
            and (one.case.dtype, one.case.training, one.case.lengths) == (case.dtype, case.training, case.lengths)
        ]

        def doublings(one: Measured) -> float:
            return abs(math.log2(one.case.H / case.H)) + abs(math.log2(one.case.N / max(case.N, 1)))

        return min(alike, key=doublings, default=None)


def choose(case: Case, refusals: Mapping[str, str | None], table: Table | None) -> Choice:
    """Return the implementation for a case, and why.

    Args:
        case: the layer and its batch.
        refusals: by the name of each implementation, why it cannot run the case, or None where it can.
        table: what was measured on this GPU, or None.

    >>> choose(Case("float32", 64, 32, False, False), {"cuDNN": None, "Triton": None}, None).reason
    'nothing was measured on this GPU; quadgate tune does'
    """
    able = [name for name, why in refusals.items() if why is None]
    if not able:
        return Choice("loop", True, next(iter(refusals.values()), None) or "no kernel runs this layer")
    fallback = CUDNN if CUDNN in able else able[0]
    if table is None:
        return Choice(fallback, True, "nothing was measured on this GPU; quadgate tune does")
    found = table.nearest(case)
    measured = {} if found is None else {n: ms for n, ms in found.milliseconds.items() if n in able}
    if found is None or not measured:
        return Choice(fallback, True, f"nothing like {case} was measured on this GPU")
    first, *others = sorted(measured, key=lambda name: measured[name])
    beside = ", ".join(f"{name} {measured[name]:.2f}" for name in others)
    reason = f"{measured[first]:.2f} ms" + (f" against {beside}" if beside else "")
    return Choice(first, True, f"{reason} at {found.case}, T={table.steps}, measured {found.date}")


def place(device: str) -> Path:
    """Return the file of the measurements on a kind of GPU, by its name.

    >>> place("NVIDIA H200").name
    'gpu-nvidia-h200.json'
    """
    return cache_folder() / f"gpu-{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')}.json"


@lru_cache
def read(device: str) -> Table | None:
    """Return what was measured on a kind of GPU; None where nothing was.

    Raises:
        InputError: a file that is no such table.
    """
    path = place(device)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        given = json.loads(text)
        if given["version"] != VERSION:
            return None  # of another version: as good as none
        return Table(given["device"], given["steps"], given["versions"], tuple(_measured(given["cases"])))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no table of quadgate tune ({type(error).__name__}); delete it, or run quadgate tune again"
        ) from error


def _measured(cases: Iterable[Any]) -> Iterable[Measured]:
    for one in cases:
        found = {str(name): float(ms) for name, ms in one["milliseconds"].items()}
        yield Measured(Case(**one["case"]), str(one["date"]), found)
