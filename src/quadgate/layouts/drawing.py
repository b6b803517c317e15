"""A tensor as a picture: its blocks in the order of memory, each with its gate, its place and its size."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from quadgate.layouts.layout import ArrayName, Layout, Part, Tensor
from quadgate.layouts.sizes import Sizes

WIDTH = 100
SYMBOLS: dict[ArrayName, str] = {
    "w_x": "W_x",
    "w_h": "W_h",
    "b_x": "b_x",
    "b_h": "b_h",
    "peepholes": "p_",
    "projection": "W_p",
}
_LABEL = 22
_MOST_COLUMNS = 8
_WIDEST = 16


@dataclass(frozen=True)
class _Stretch:
    """A range of indices on one axis: what stands there, and the part and the gate where the axis tells them."""

    start: int
    length: int
    label: str = ""
    part: Part | None = None
    gate: str = ""

    @property
    def span(self) -> str:
        return f"{self.start}" if self.length == 1 else f"{self.start}..{self.start + self.length - 1}"


def draw(row: Layout, tensor: Tensor, sizes: Sizes, within: int = WIDTH) -> str:
    """Draw one tensor of a layer of the given sizes, `within` so many cells; an axis of one is left out.

    >>> from quadgate.layouts import LAYOUTS
    >>> row = LAYOUTS["keras.LSTM"]
    >>> print(draw(row, row.tensors[2], Sizes(C=2, H=3, P=3)))
                                   i                f                j                o
                                  0..2             3..5             6..8            9..11
                          ┌────────────────┬────────────────┬────────────────┬────────────────┐
                          │      b_xi      │      b_xf      │      b_xj      │      b_xo      │
                          └────────────────┴────────────────┴────────────────┴────────────────┘
    """
    axes = [axis for axis in range(tensor.rank) if _is_shown(tensor, axis)]
    down = _stretches(row, tensor, axes[0], sizes) if len(axes) == 2 else [_Stretch(0, 1)]
    across = _stretches(row, tensor, axes[-1], sizes)
    width = min(_WIDEST, (within - _LABEL - 1) // len(across) - 1)
    if len(across) > _MOST_COLUMNS or any(len(stretch.label) > width for stretch in across):
        return _listed(tensor, across)
    lines = [
        " " * (_LABEL + 1) + " ".join(words.center(width) for words in header) for header in _headers(across, width)
    ]
    lines.append(_rule("┌", "┬", "┐", width, len(across)))
    for place, stretch in enumerate(down):
        lines += _band(tensor, stretch, across, width, framed=len(axes) == 2)
        ends = ("└", "┴", "┘") if place == len(down) - 1 else ("├", "┼", "┤")
        lines.append(_rule(*ends, width, len(across)))
    return "\n".join(line.rstrip() for line in lines)


def _is_shown(tensor: Tensor, axis: int) -> bool:
    return any(part.groups[axis] for part in tensor.parts) or (axis == tensor.axis and len(tensor.parts) > 1)


def _stretches(row: Layout, tensor: Tensor, axis: int, sizes: Sizes) -> list[_Stretch]:
    """Cut an axis into what stands on it: the parts one after the other, and in each its gates."""
    found: list[_Stretch] = []
    along = axis == tensor.axis
    start = 0
    for part in tensor.parts if along else tensor.parts[:1]:
        lengths = sizes.lengths(row, part)
        group = part.groups[axis]
        extent = prod(lengths[letter] for letter in group)
        owner = part if along else None
        gates = row.gates_of(part)
        if group.startswith("g"):
            each = extent // len(gates)
            found += [_Stretch(start + k * each, each, gate, owner, gate) for k, gate in enumerate(gates)]
        elif "g" in group:
            found += _interleaved(gates, start, sizes.H, owner)
        else:
            found.append(_Stretch(start, extent, _meaning(part, group), owner))
        start += extent
    return found


def _interleaved(gates: str, start: int, units: int, owner: Part | None) -> list[_Stretch]:
    """Show the gates of the first unit and of the last, with the gap between them."""
    shown = {0: gates, units - 1: gates}
    found = [
        _Stretch(start + unit * len(gates) + k, 1, f"unit {unit}: {gate}", owner, gate)
        for unit, letters in shown.items()
        for k, gate in enumerate(letters)
    ]
    if units > 2:
        found.insert(len(gates), _Stretch(start + len(gates), (units - 2) * len(gates), "and so on", owner))
    return found


def _meaning(part: Part, group: str) -> str:
    if group == "r":
        return "x" if part.array == "w_x" else "h"
    return {"u": "units", "p": "outputs", "": "x" if part.array == "b_x" else "h"}[group]


def _headers(across: list[_Stretch], width: int) -> list[list[str]]:
    """Return what stands on each column, and its range; on two lines where one is too narrow for it."""
    labels, spans = [s.label for s in across], [s.span for s in across]
    if all(len(span) <= width for span in spans):
        return [labels, spans]
    return [labels, [f"{s.start}.." for s in across], [f"{s.start + s.length - 1}" for s in across]]


def _band(tensor: Tensor, down: _Stretch, across: list[_Stretch], width: int, *, framed: bool) -> list[str]:
    """Draw one row of blocks: their names, and in a matrix their sizes where they fit."""
    names = [_block(tensor, down, column) for column in across]
    lines = [(f"{down.label}  {down.span}" if framed else "", names)]
    if framed and down.length > 1 and all(names):
        sizes = [f"{down.length} x {column.length}" for column in across]
        lines.append(("", [size if len(size) <= width else "" for size in sizes]))
    return [
        label.rjust(_LABEL - 2).ljust(_LABEL) + "│" + "│".join(cell.center(width) for cell in cells) + "│"
        for label, cells in lines
    ]


def _block(tensor: Tensor, down: _Stretch, across: _Stretch) -> str:
    """Name a block: the array, and the gate that one of the two axes tells."""
    part = down.part or across.part or tensor.parts[0]
    gate = down.gate or across.gate or part.gates
    if "and so on" in (down.label, across.label):
        return ""
    return f"{SYMBOLS[part.array]}{gate}{'*' if part.reread else ''}"


def _listed(tensor: Tensor, stretches: list[_Stretch]) -> str:
    """Tell the stretches of a long vector one below the other."""
    names = [_block(tensor, _Stretch(0, 1), stretch) or stretch.label for stretch in stretches]
    return "\n".join(f"{stretch.span:>{_LABEL - 2}}  {name}" for stretch, name in zip(stretches, names, strict=True))


def _rule(start: str, between: str, end: str, width: int, columns: int) -> str:
    return " " * _LABEL + start + between.join(["─" * width] * columns) + end
