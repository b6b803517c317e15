"""Why one product and not eight: the time of both on this machine, measured while you wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.explain.kernel_shape import KernelShape

Array = NDArray[Any]

WAYS = (8, 4, 2, 1)
CASES = (1, 32)
_SECONDS = 0.1  # for each number of cases
_ROUNDS = 200  # at most
_LARGEST = 16_000_000  # numbers of a kernel that is measured: 64 MB


@dataclass(frozen=True)
class Products:
    """The time of one step's pre-activations `[N, 4H]`, by the number of matrix products that it is cut into.

    Eight take x and h, and each gate, apart; four take each gate apart; two take x and h apart; one takes all.

    Attributes:
        kernel: the sizes.
        microseconds: the quickest of many turns, by N and number of products: what else the machine does only adds.
    """

    kernel: KernelShape
    microseconds: dict[int, dict[int, float]]

    def ratio(self, cases: int, ways: int = 8) -> float:
        """Return how many times as long `ways` products take as one."""
        return self.microseconds[cases][ways] / self.microseconds[cases][1]


def measure_products(kernel: KernelShape) -> Products | None:
    """Measure NumPy's float32 products for a kernel of these sizes, in turns; None where it is too large to try.

    >>> found = measure_products(KernelShape(inputs=3, units=4))
    >>> sorted(found.microseconds[1]) == [1, 2, 4, 8] and found.ratio(1) > 0
    True
    """
    if kernel.numbers > _LARGEST:
        return None
    return Products(kernel, {cases: _measure(kernel, cases) for cases in CASES})


def _measure(kernel: KernelShape, cases: int) -> dict[int, float]:
    ways = steps(kernel, cases)
    times: dict[int, list[float]] = {way: [] for way in WAYS}
    end = perf_counter() + _SECONDS
    for turn in range(_ROUNDS):
        for way, step in ways.items():
            start = perf_counter()
            step()
            times[way].append(perf_counter() - start)
        if turn > 5 and perf_counter() > end:
            break
    return {way: 1e6 * min(one) for way, one in times.items()}


def steps(kernel: KernelShape, cases: int) -> dict[int, Callable[[], Any]]:
    """Return the four ways to compute `[x, h] @ kernel + bias`, each giving `[N, 4H]`; every weight is contiguous."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    C, H = kernel.inputs, kernel.units
    x, h = normal(cases, C), normal(cases, kernel.state_width)
    weights, bias = normal(kernel.rows, kernel.columns), normal(kernel.columns)
    xh = np.empty((cases, kernel.rows), np.float32)
    z = np.empty((cases, kernel.columns), np.float32)
    W_x, W_h = (np.ascontiguousarray(part) for part in (weights[:C], weights[C:]))
    gates, x_gates, h_gates = (
        [np.ascontiguousarray(part) for part in np.split(matrix, 4, axis=1)] for matrix in (weights, W_x, W_h)
    )
    columns = [slice(gate * H, gate * H + H) for gate in range(4)]

    def laid_together() -> Any:
        xh[:, :C] = x
        xh[:, C:] = h
        return xh

    def eight() -> Any:
        for place, of_x, of_h in zip(columns, x_gates, h_gates, strict=True):
            z[:, place] = x @ of_x + h @ of_h
        return z + bias

    def four() -> Any:
        both = laid_together()
        for place, of_both in zip(columns, gates, strict=True):
            z[:, place] = both @ of_both
        return z + bias

    def two() -> Any:
        return x @ W_x + h @ W_h + bias

    def one() -> Any:
        return laid_together() @ weights + bias

    return {8: eight, 4: four, 2: two, 1: one}
