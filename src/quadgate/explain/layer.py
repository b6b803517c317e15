"""A layer of a file in the terminal: as the reader's own framework keeps it."""

from __future__ import annotations

from quadgate.explain.kernel_shape import KernelShape
from quadgate.explain.products import WAYS, Products
from quadgate.explain.statistics import Statistics
from quadgate.explain.terminal import WIDTH, cells, flow, left, right
from quadgate.explain.texts import texts
from quadgate.layouts import drawing
from quadgate.layouts.sizes import Sizes, shape_text
from quadgate.model import Cell

_COLUMN = 14


def kernel_of(cell: Cell) -> KernelShape:
    """Return the sizes of an LSTM's cell that a file holds."""
    return KernelShape(cell.inputs, cell.units, cell.width if cell.holds("projection") else None)


def explain_cell(cell: Cell, found: Statistics, language: str = "en") -> str:
    """Draw the tensors of a cell as its framework keeps them, under its name, and say what else the cell has.

    Args:
        cell: the layer in one direction.
        found: what `statistics` says of it.
        language: of the text.
    """
    said = texts(language)
    sizes = {"C": cell.inputs, "H": cell.units, "P": cell.width}
    forget = said.forget if cell.kind == "lstm" else said.update
    text = said.cell.format(
        **sizes,
        name=cell.name,
        layout=cell.layout,
        order=", ".join(cell.row.gates),
        arithmetic=cell.arithmetic if language == "en" else _arithmetic(cell, language),
        tensors=_tensors(cell),
        forget=forget.format(
            added=cell.forget_bias,
            low=found.forget.min(),
            high=found.forget.max(),
            shortest=steps_text(found.memory.min()),
            longest=steps_text(found.memory.max()),
        ).rstrip(),
    )
    if cell.holds("projection"):
        text += said.projection.format(**sizes)
    if cell.holds("peepholes"):
        text += said.peepholes.format(**sizes)
    return flow(text)


def explain_products(name: str, products: Products, language: str = "en") -> str:
    """Tell the measured time of eight, four, two products and one."""
    said = texts(language)
    rows = [[said.products_head[0], *said.products_head[1:3], said.products_head[3]]]
    for way in WAYS:
        times = [f"{products.microseconds[cases][way]:,.1f} µs" for cases in sorted(products.microseconds)]
        ratios = " / ".join(f"{products.ratio(cases, way):.2f}" for cases in sorted(products.microseconds))
        rows.append([str(way), *times, ratios])
    first = max(cells(row[0]) for row in rows)
    table = "\n".join(
        "  " + left(row[0], first) + "".join(right(cell, max(_COLUMN, cells(cell) + 2)) for cell in row[1:])
        for row in rows
    )
    return flow(said.products.format(name=name, table=table))


def steps_text(steps: float) -> str:
    """Write a number of steps with what is worth reading of it.

    >>> steps_text(3.187), steps_text(1443.7)
    ('3.2', '1,444')
    """
    return f"{steps:,.1f}" if steps < 100 else f"{steps:,.0f}"


def _tensors(cell: Cell) -> str:
    """Draw every tensor that is there, with its shape in sizes and in numbers."""
    sizes = Sizes(cell.inputs, cell.units, cell.width)
    names = {pair[0]: pair[1] for pair in cell.tensors}
    drawn = []
    for tensor in cell.row.tensors:
        there = cell.row.present(tensor, names, 0, cell.reverse)
        if not there:
            continue
        projected = cell.holds("projection")
        shape = sizes.shape(cell.row, tensor)
        own = f"{names[there[0]]}" + (f" .. {names[there[-1]]}" if len(there) > 1 else "")
        heading = f"  {own}  {shape_text(cell.row, tensor, projected)} = {list(shape)}"
        blocks = len(tensor.parts) > 1 or "g" in tensor.parts[0].letters
        drawn.append(f"{heading}\n{drawing.draw(cell.row, tensor, sizes, WIDTH)}" if blocks else heading)
    return "\n\n".join(drawn)


def _arithmetic(cell: Cell, language: str) -> str:
    if cell.kind == "gru":
        return cell.arithmetic
    said = texts(language)
    return said.arithmetic.format(**said.sizes(kernel_of(cell)))
