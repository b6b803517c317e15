"""What is measured: a layer of LSTM over series of the size of an electrocardiogram, inferred and trained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import LSTMParameters
from quadgate.errors import InputError, suggest

Task = Literal["infer", "train"]
Array = NDArray[np.float32]

SELECTIONS = ("quick", "infer", "train", "all")


@dataclass(frozen=True)
class Case:
    """One thing to time. `train` is a forward and a backward pass to the gradients of kernel and bias, float32."""

    task: Task
    units: int
    cases: int
    threads: int
    steps: int = 820
    channels: int = 12

    def __str__(self) -> str:
        return f"{self.task} H={self.units} N={self.cases} threads={self.threads}"

    @property
    def operations(self) -> int:
        """Floating-point operations of the matrix products; the gates come on top and are not counted.

        A step takes `[x, h] @ kernel`; its way back takes the product with the transposed recurrent weights, since `x`
        needs no gradient here, and the outer product that is the kernel's gradient.

        >>> Case("infer", units=64, cases=1, threads=1, steps=1).operations
        38912
        """
        H, C = self.units, self.channels
        multiplied = (C + H) * 4 * H
        if self.task == "train":
            multiplied += H * 4 * H + (C + H) * 4 * H
        return 2 * self.cases * self.steps * multiplied


@dataclass(frozen=True)
class Problem:
    """The numbers of a case: `x [N, T, C]`, `kernel [C+H, 4H]` and `bias [4H]`, and a loss's gradient `[N, T, H]`."""

    x: Array
    kernel: Array
    bias: Array
    d_outputs: Array

    @property
    def parameters(self) -> LSTMParameters:
        """The layer, without a forget bias of its own."""
        return LSTMParameters.from_kernel(self.kernel, self.bias, forget_bias=0.0)


def problem(case: Case) -> Problem:
    """Draw the numbers of a case, always the same."""
    rng = np.random.default_rng(76256)
    N, T, C, H = case.cases, case.steps, case.channels, case.units
    bound = 1 / np.sqrt(H)

    def uniform(*shape: int) -> Array:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    kernel, bias = uniform(C + H, 4 * H), uniform(4 * H)
    x, d_outputs = (rng.standard_normal((N, T, width), np.float32) for width in (C, H))
    return Problem(x, kernel, bias, d_outputs)


def selection(name: str) -> list[Case]:
    """Return the cases called `quick`, `infer`, `train` or `all`, or the one that is written as it prints itself.

    Raises:
        InputError: another name, or a case that lacks its task or a size.

    >>> len(selection("all")), selection("quick")[0].units
    (64, 64)
    >>> selection("train H=256 N=32 T=100")
    [Case(task='train', units=256, cases=32, threads=1, steps=100, channels=12)]
    """
    if "=" in name:
        return [_written(name)]
    if name not in SELECTIONS:
        raise InputError(f"cases: found {name!r}, {suggest(name, SELECTIONS)}")
    tasks: tuple[Task, ...] = ("infer", "train")
    everything = [
        Case(task, units, cases, threads)
        for task, units, cases, threads in product(tasks, (64, 128, 256, 512), (1, 8, 32, 128), (1, 2))
    ]
    if name == "all":
        return everything
    if name == "quick":
        return [case for case in everything if case.units == 64 and case.cases in (1, 32)]
    return [case for case in everything if case.task == name]


_SIZES = {"H": "units", "N": "cases", "threads": "threads", "T": "steps", "C": "channels"}


def _written(text: str) -> Case:
    """Read a case from text such as `infer H=64 N=32 threads=1`."""
    task, *sizes = text.split()
    pairs = [size.partition("=") for size in sizes]
    known = task in ("infer", "train") and all(name in _SIZES and value.isdecimal() for name, _, value in pairs)
    given = {_SIZES[name]: int(value) for name, _, value in pairs} if known else {}
    if "units" not in given or "cases" not in given or min(given.values()) < 1:
        raise InputError(
            f"cases: found {text!r}, expected as in 'train H=64 N=32', with threads=, T=, C= where you like"
        )
    return Case(task, **{"threads": 1, **given})  # type: ignore[arg-type]
