"""The table of a model's variables, and where the number of each layer's weights comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class SummaryRow:
    """One variable: its name, its shape and how many numbers it holds."""

    name: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers the variable holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class SummaryTable:
    """Names, shapes and counts of variables, with their total; `str` prints them as columns.

    >>> print(SummaryTable.of({"Variable:0": (64, 2), "Variable_1:0": (2,)}))
    Variable:0    (64, 2)  128
    Variable_1:0  (2,)       2
    total                  130
    """

    rows: tuple[SummaryRow, ...]
    layers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], layers: Mapping[str, str] | None = None) -> SummaryTable:
        """Build the table from ordered names and shapes, and the arithmetic of each layer by its name."""
        rows = tuple(SummaryRow(name, shape) for name, shape in shapes.items())
        return cls(rows, tuple((layers or {}).items()))

    @property
    def total(self) -> int:
        """How many numbers all variables hold."""
        return sum(row.count for row in self.rows)

    def __str__(self) -> str:
        lines = [(row.name, str(row.shape), str(row.count)) for row in self.rows]
        lines.append(("total", "", str(self.total)))
        name, shape, count = (max(map(len, column)) for column in zip(*lines, strict=True))
        table = "\n".join(f"{a:<{name}}  {b:<{shape}}  {c:>{count}}" for a, b, c in lines)
        return table + "".join(f"\n\n{name}\n  {arithmetic}" for name, arithmetic in self.layers)
