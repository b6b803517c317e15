"""What the parts of a C program are gathered in while it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.export_c.functions import product, real

Array = NDArray[Any]


@dataclass
class Program:
    """Constants, functions and state of the program so far.

    Attributes:
        constants: the text of every constant array.
        flash: their bytes.
        needs: the functions of `functions.c.txt` that are called.
        products: pairs of a width and a type, each a function of its own.
        state: fields of the state: type, name, size.
        bodies: the functions of the layers and the head.
    """

    constants: list[str] = field(default_factory=list)
    flash: int = 0
    needs: set[str] = field(default_factory=set)
    products: set[tuple[str, int]] = field(default_factory=set)
    state: list[tuple[str, str, int]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def constant(self, name: str, numbers: Array, suffix: str) -> str:
        """Write an array down to its last bit and return its name."""
        values = np.asarray(numbers, np.float64 if suffix == "d" else np.float32).ravel().tolist()
        words = [f"{value:.16e}" if suffix == "d" else f"{value:.8e}f" for value in values]
        rows = [", ".join(words[k : k + 6]) for k in range(0, len(words), 6)]
        text = ",\n  ".join(rows)
        self.constants.append(f"static const {real(suffix)} {name}[{len(words)}] = {{\n  {text}\n}};")
        self.flash += len(words) * (8 if suffix == "d" else 4)
        return name

    def keep(self, suffix: str, name: str, size: int) -> str:
        """Give the state a field and return how it is read."""
        self.state.append((real(suffix), name, size))
        return f"s->{name}"

    def call_product(self, width: int, suffix: str, weights: str, values: str, rows: int, sums: str) -> str:
        """Return the call that adds a product to `width` sums."""
        self.products.add((suffix, width))
        return f"product_{width}_{suffix}({weights}, {values}, {rows}, {sums});"

    @property
    def ram(self) -> int:
        """The size of the state, as a C compiler lays it out: doubles first, so that nothing lies between."""
        return -(-sum(size * (8 if kind == "double" else 4) for kind, _, size in self.state) // self.alignment) * (
            self.alignment
        )

    @property
    def alignment(self) -> int:
        """Of the state."""
        return 8 if any(kind == "double" for kind, _, _ in self.state) else 4

    @property
    def product_functions(self) -> str:
        """The text of the functions that multiply."""
        return "\n".join(product(width, suffix) for suffix, width in sorted(self.products))


def panels(matrix: Array, width: int) -> list[Array]:
    """Cut `[rows, columns]` into panels of `width` columns, each read from front to back; the last may be less."""
    return [matrix[:, first : first + width] for first in range(0, matrix.shape[1], width)]


def blocks(*parts: tuple[Array, ...], units: int) -> Array:
    """Return the order in which blocks of units are read.

    Args:
        parts: each some matrices `[rows, H]`, which are read side by side.
        units: of a block, at most.
    """
    H = parts[0][0].shape[1]
    pieces = []
    for first in range(0, H, units):
        for part in parts:
            side = [matrix[:, first : first + units] for matrix in part]
            pieces.append(np.concatenate(side, axis=1).ravel())
    return np.concatenate(pieces)
