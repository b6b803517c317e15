"""What the shape of an LSTM's kernel says: the sizes behind it, and the ways in which a bare shape can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from quadgate.errors import InputError

Arrangement = Literal["stacked", "input", "stacked_transposed", "input_transposed"]

LARGEST = 10**7


@dataclass(frozen=True)
class KernelShape:
    """The sizes of one LSTM layer, and where each part of its `kernel [C+P, 4H]` lies; P is H without a projection.

    Attributes:
        inputs: C, the numbers that arrive at each step.
        units: H, the numbers that the layer remembers.
        projected: P, the numbers that it feeds back, where a projection makes them another number than H.

    Raises:
        InputError: a size is below 1 or above `LARGEST`.

    >>> shape = KernelShape(inputs=12, units=64)
    >>> shape.rows, shape.columns, shape.numbers
    (76, 256, 19456)
    >>> shape.rows_of("h"), shape.columns_of("f")
    (range(12, 76), range(128, 192))
    """

    inputs: int
    units: int
    projected: int | None = None

    def __post_init__(self) -> None:
        for name, size in (("inputs", self.inputs), ("units", self.units), ("projected", self.state_width)):
            if not 1 <= size <= LARGEST:
                raise InputError(f"{name}: found {size}, expected a number from 1 to {LARGEST:,}")

    @property
    def state_width(self) -> int:
        """P, the width of the fed-back state h: the projection's, else H."""
        return self.units if self.projected is None else self.projected

    @property
    def rows(self) -> int:
        """C+P: one row for each number that is multiplied."""
        return self.inputs + self.state_width

    @property
    def columns(self) -> int:
        """4H: four columns for each unit; also the length of the bias."""
        return 4 * self.units

    @property
    def numbers(self) -> int:
        """The count of weights in the kernel, without the bias."""
        return self.rows * self.columns

    def rows_of(self, source: Literal["x", "h"]) -> range:
        """Return the rows that multiply the input x, or the fed-back state h."""
        return range(self.inputs) if source == "x" else range(self.inputs, self.rows)

    def columns_of(self, gate: Literal["i", "j", "f", "o"]) -> range:
        """Return the columns that belong to a gate, in TensorFlow's order i, j, f, o."""
        start = "ijfo".index(gate) * self.units
        return range(start, start + self.units)


@dataclass(frozen=True)
class Reading:
    """One way to read a bare shape.

    Attributes:
        arrangement: "stacked" for TensorFlow 1's `[C+H, 4H]`, "input" for the rows of x alone `[C, 4H]`, as Keras
            keeps them; with "_transposed" for the same with the gates along the rows, as PyTorch keeps them.
        kernel: the sizes under this reading.
    """

    arrangement: Arrangement
    kernel: KernelShape

    @property
    def could_be_recurrent(self) -> bool:
        """Whether the matrix may as well be the rows of h alone, `[H, 4H]` (or `[4H, H]`)."""
        return self.arrangement.startswith("input") and self.kernel.inputs == self.kernel.units


def parse_shape(text: str) -> tuple[int, int]:
    """Read rows and columns from `76x256`, `76,256` or `(76, 256)`.

    Raises:
        InputError: the text is not two numbers; one number alone is recognised as a bias.

    >>> parse_shape("76x256"), parse_shape("(76, 256)")
    ((76, 256), (76, 256))
    """
    if not re.fullmatch(r"[\s(\[]*\d+(\s*[x×*,]\s*\d+)*[\s,)\]]*", text, re.IGNORECASE | re.ASCII):
        raise InputError(f"shape {text!r}: expected rows and columns, such as 76x256")
    sizes = [int(size) for size in re.findall(r"\d+", text)]
    if len(sizes) == 2:
        return sizes[0], sizes[1]
    if len(sizes) == 1 and sizes[0] and not sizes[0] % 4:
        raise InputError(
            f"shape {text!r}: one size alone is a bias, of {sizes[0] // 4} units here, and does not tell the inputs; "
            f"expected the kernel's rows and columns, such as 76x256, or --inputs C --units {sizes[0] // 4}"
        )
    raise InputError(f"shape {text!r}: found {len(sizes)} sizes, expected rows and columns, such as 76x256")


def readings(rows: int, columns: int) -> tuple[Reading, ...]:
    """Return every way to read a matrix of this shape as a part of an LSTM, the likeliest first.

    A shape seldom has one reading only: (76, 256) is the stacked kernel of 12 inputs and 64 units, and just as well
    the input kernel of 76 inputs. Gates along the columns and gates along the rows are told apart by what people
    choose: units are round numbers, and the side of the 4 * units is the longer one.

    Raises:
        InputError: no side can be cut into four gates.

    >>> [(r.arrangement, r.kernel.inputs, r.kernel.units) for r in readings(76, 256)][:2]
    [('stacked', 12, 64), ('input', 76, 64)]
    >>> readings(256, 12)[0].arrangement
    'input_transposed'
    """
    if min(rows, columns) < 1:
        raise InputError(f"shape ({rows}, {columns}): expected at least one row and one column")
    upright = _readings_along(rows, columns, "stacked", "input")
    transposed = _readings_along(columns, rows, "stacked_transposed", "input_transposed")
    if not upright and rows < columns:
        hint = "" if not transposed else f"; if the {rows} rows are the gates, turn it round: --shape {columns}x{rows}"
        raise InputError(
            f"shape ({rows}, {columns}): found {columns} columns, expected a multiple of 4 (gates x units){hint}"
        )
    if not upright and not transposed:
        raise InputError(
            f"shape ({rows}, {columns}): neither {rows} nor {columns} is a multiple of 4, expected 4 gates x units"
        )
    if not upright or not transposed:
        return upright or transposed
    if (_roundness(transposed), rows) > (_roundness(upright), columns):
        return transposed + upright
    return upright + transposed


def _readings_along(others: int, gates: int, stacked: Arrangement, alone: Arrangement) -> tuple[Reading, ...]:
    """Read the side `gates` as 4 * units: as a whole kernel where `others` is more than the units, and as x alone."""
    if gates % 4:
        return ()
    units = gates // 4
    found = [Reading(stacked, KernelShape(others - units, units))] if others > units else []
    return (*found, Reading(alone, KernelShape(others, units)))


def _roundness(candidates: tuple[Reading, ...]) -> int:
    """Return the largest power of two that divides the units: 64 for 64, 4 for 100, 1 for 19."""
    units = candidates[0].kernel.units
    return units & -units
