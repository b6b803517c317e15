"""The kernel as a picture: rows of x and h by columns of i, j, f and o, in line-drawing characters."""

from __future__ import annotations

from typing import Literal, TypeVar

from quadgate.explain.kernel_shape import KernelShape
from quadgate.explain.terminal import cells, centre, left, right, wrap
from quadgate.explain.texts import Texts, texts

_GATES: tuple[Literal["i", "j", "f", "o"], ...] = ("i", "j", "f", "o")
_SOURCES: tuple[Literal["x", "h"], ...] = ("x", "h")

Line = TypeVar("Line", str, list[str])

_LABEL = 17
_COLUMN = 14
_LINES = 10


def draw(kernel: KernelShape, language: str = "en") -> str:
    """Draw the kernel and the bias within 80 cells: the heights in proportion, every block named, its range beside it.

    >>> for line in draw(KernelShape(inputs=1, units=2)).splitlines()[3:6]:
    ...     print(line.strip())
    ┌──────────────┬──────────────┬──────────────┬──────────────┐
    x: 1 input       │     W_xi     │     W_xj     │     W_xf     │     W_xo     │
    row 0            │    1 x 2     │    1 x 2     │    1 x 2     │    1 x 2     │
    """
    said = texts(language)
    lines = _header(kernel, said)
    lines.append(_rule("┌", "┬", "┐"))
    for source in _SOURCES:
        lines += _block(kernel, source, said)
        lines.append(_rule("├", "┼", "┤") if source == "x" else _rule("└", "┴", "┘"))
    lines.append(_rule("┌", "┬", "┐"))
    lines.append(_row(said.bias.format(columns=kernel.columns), [f"b_{gate}" for gate in _GATES]))
    lines.append(_rule("└", "┴", "┘"))
    forget_gate = _LABEL + 2 * (_COLUMN + 1) + (_COLUMN - 1) // 2
    lines.append(right(f"{said.forget_bias} ─┘", forget_gate + 1))
    return "\n".join(line.rstrip() for line in lines)


def _header(kernel: KernelShape, said: Texts) -> list[str]:
    ranges = [_span(kernel.columns_of(gate)) for gate in _GATES]
    fits = all(cells("..".join(ends)) <= _COLUMN for ends in ranges)
    lines: list[list[str]] = [list(_GATES), [said.gates[gate] for gate in _GATES]]
    if fits:
        lines.append(["..".join(ends) for ends in ranges])
    else:
        lines += [[f"{ends[0]}.." for ends in ranges], [ends[-1] for ends in ranges]]
    return [" " * (_LABEL + 1) + " ".join(centre(cell, _COLUMN) for cell in line) for line in lines]


def _block(kernel: KernelShape, source: Literal["x", "h"], said: Texts) -> list[str]:
    """Draw the rows of one source: the label on the left, the blocks' names and sizes in the middle."""
    rows = kernel.rows_of(source)
    span = _span(rows)
    name = said.x_rows if source == "x" else said.h_rows
    labels = wrap(name.format(**said.sizes(kernel)), _LABEL - 1)
    numbered = said.row_numbers[len(rows) > 1].format("..".join(span))
    labels += [numbered] if cells(numbered) < _LABEL else [f"{span[0]}..", span[-1]]
    height = max(len(labels), round(_LINES * len(rows) / kernel.rows))
    size = f"{len(rows)} x {kernel.units}"
    contents = [[f"W_{source}{gate}" for gate in _GATES], [size if cells(size) <= _COLUMN else ""] * 4]
    return [
        _row(label, content)
        for label, content in zip(_amid(labels, height, ""), _amid(contents, height, [""] * 4), strict=True)
    ]


def _amid(lines: list[Line], height: int, empty: Line) -> list[Line]:
    """Place the lines in the middle of `height` lines."""
    above = (height - len(lines)) // 2
    return [empty] * above + lines + [empty] * (height - above - len(lines))


def _span(indices: range) -> list[str]:
    """Return the first and the last of the indices, or the only one."""
    return [str(indices[0]), str(indices[-1])] if len(indices) > 1 else [str(indices[0])]


def _row(label: str, contents: list[str]) -> str:
    return left(label, _LABEL) + "│" + "│".join(centre(content, _COLUMN) for content in contents) + "│"


def _rule(start: str, between: str, end: str) -> str:
    return " " * _LABEL + start + between.join(["─" * _COLUMN] * 4) + end
