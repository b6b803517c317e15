"""The page that explains a file's kernels: a heat map to point at, five answers, and what the numbers say."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.explain.layer import steps_text
from quadgate.explain.pages import Code, Figure, Note, Raw, Section, Table, drawing, render, svg
from quadgate.explain.pages.figures import COLOURS, GATE_COLOURS
from quadgate.explain.products import WAYS, Products
from quadgate.explain.pytorch import PYTORCH, pytorch_code
from quadgate.explain.statistics import Statistics, statistics
from quadgate.explain.texts.pages import words
from quadgate.layouts import LAYOUTS, Layout, decode, encode
from quadgate.layouts.sizes import Sizes
from quadgate.model import Cell, Model

CHOICES = {
    "lstm": (
        "tf1.BasicLSTMCell",
        "keras.LSTM",
        "torch.nn.LSTM",
        "onnx.LSTM",
        "flax.linen.OptimizedLSTMCell",
        "chainer.LSTM",
    ),
    "gru": ("tf1.GRUCell", "keras.GRU", "torch.nn.GRU", "onnx.GRU", "flax.linen.GRUCell"),
}
_NUMBERS = 900_000  # that a page holds, so that it stays under 5 MB
_MOST_ROWS = 1024  # of a table of units
_VIEWER = """
<div id="viewer">
<div id="questions"></div>
<div id="controls"><label>{layer} <select id="cells"></select></label></div>
<div id="layouts" role="radiogroup" aria-label="{layouts}"></div>
<div id="stage" tabindex="0" role="application" aria-label="{map}" aria-describedby="readout">
<div id="cross" style="display:none"></div></div>
<div id="readout" role="status" aria-live="polite"></div>
<div id="scale"><span id="least"></span><i id="bar"></i><span id="most"></span></div>
<p id="folded" class="lead"></p>
<noscript><p class="note warning">{script}</p></noscript>
</div>
"""


def kernel_page(
    model: Model, language: str = "en", products: Products | None = None, title: str = "", loaded: str = ""
) -> str:
    """Return the page of every layer of a model, one HTML text that loads nothing.

    Args:
        model: whose layers to show.
        language: of the text.
        products: what was measured of eight products and one, for the first layer.
        title: what the page is called; the model's source without it.
        loaded: the expression that loads the model, for the lines that read it in PyTorch, which else make a new layer.

    Raises:
        MissingDependencyError: matplotlib or Jinja2 is not installed.
    """
    said = words(language)
    cells = [cell for layer in model.cells for cell in layer]
    parameters = [one for layer in model.layers for one in layer]
    found = statistics(model)
    total = sum(p.w_x.size + p.w_h.size for p in parameters)
    every = 1
    while total / every**2 > _NUMBERS:
        every += 1
    data = {
        "words": {**said["viewer"], "gates": said["gates"]},
        "cells": [_viewed(cell, p, model, every, said) for cell, p in zip(cells, parameters, strict=True)],
    }
    viewer = _VIEWER.format(**{key: said[key] for key in ("layer", "layouts", "map", "script")})
    sections = [Section("", [Raw(viewer)])]
    for number, (cell, one) in enumerate(zip(cells, found, strict=True)):
        section = _statistics_section(number, cell, one, model, said)
        if code := pytorch_code(parameters[number], _place(model, cell), loaded):
            section = replace(section, blocks=[Code(code, said["code"]), *section.blocks])
        sections.append(section)
    if products is not None:
        sections.append(_products_section(products, cells[0].name, said))
    if model.assumptions:
        rows = [[str(one)] for one in model.assumptions]
        sections.append(Section(said["assumed"], [Table([""], rows)]))
    name = title or model.source
    return render(said["title"].format(name=name), said["lead"], sections, language, "kernel.js", data, said["numbers"])


def _place(model: Model, cell: Cell) -> tuple[int, int]:
    return next((k, layer.index(cell)) for k, layer in enumerate(model.cells) if cell in layer)


def _viewed(
    cell: Cell, p: LSTMParameters | GRUParameters, model: Model, every: int, said: dict[str, Any]
) -> dict[str, Any]:
    """Return what the script needs of one layer."""
    first = cell in model.cells[0]
    finite = [block[np.isfinite(block)] for block in (p.w_x, p.w_h)]
    sizes = np.abs(np.concatenate([block.reshape(-1) for block in finite]))
    largest = float(np.quantile(sizes, 0.995)) if sizes.size else 0.0
    names = list(dict.fromkeys([cell.layout, *CHOICES[cell.kind]]))
    layouts = [one for name in names if (one := _as_kept(LAYOUTS[name], cell, p, own=name == cell.layout)) is not None]
    return {
        "title": cell.name,
        "gates": cell.row.normal_gates,
        "inputs": cell.inputs,
        "units": cell.units,
        "width": cell.width,
        "every": every,
        "largest": largest or 1.0,
        "channels": list(model.channels) if first and model.channels else None,
        "w_x": _packed(_thinned(p.w_x, every)),
        "w_h": _packed(_thinned(p.w_h, every)),
        "layouts": layouts,
        "questions": _questions(cell, p, said),
    }


def _as_kept(row: Layout, cell: Cell, p: LSTMParameters | GRUParameters, own: bool) -> dict[str, Any] | None:
    """Describe where each number stands in a layout, or None where it cannot hold the layer."""
    try:
        encoded = encode(p, row)
    except InputError:
        if not own:
            return None
        encoded = None
    sizes = Sizes(cell.inputs, cell.units, cell.width)
    file_names = {pair[0]: pair[1] for pair in cell.tensors}
    tensors = []
    biases: dict[str, Any] = {}
    for tensor in row.tensors:
        name = row.name_of(tensor, 0, cell.reverse)
        matrices = [part for part in tensor.parts if part.array in ("w_x", "w_h", "b_x", "b_h")]
        there = name in file_names if own else encoded is not None and name in encoded.tensors
        if not there or len(matrices) != len(tensor.parts) or row.flat:
            continue
        axes = [
            axis
            for axis in range(tensor.rank)
            if any(part.groups[axis] for part in tensor.parts) or (axis == tensor.axis and len(tensor.parts) > 1)
        ]
        tensors.append(
            {
                "name": file_names[name] if own else name,
                "label": name,
                "shape": sizes.shape(row, tensor),
                "axis": tensor.axis,
                "axes": axes,
                "parts": [
                    {
                        "array": part.array,
                        "groups": part.groups,
                        "gates": row.gates_of(part),
                        "reread": part.reread,
                    }
                    for part in tensor.parts
                ],
            }
        )
    if not tensors:
        return None
    kept = p if own or encoded is None else _decoded(row, cell, encoded)
    for side in ("b_x", "b_h"):
        bias = getattr(kept, side)
        biases[side] = None if bias is None else _packed(bias)
    values = [np.abs(bias[np.isfinite(bias)]) for side in ("b_x", "b_h") if (bias := getattr(kept, side)) is not None]
    return {
        "name": row.name,
        "orientation": row.orientation,
        "tensors": tensors,
        "folded": [] if own or encoded is None else [f"{row.name}: {line}." for line in encoded.folded],
        "largest": max((float(one.max()) for one in values if one.size), default=0.0) or 1.0,
        **biases,
    }


def _decoded(row: Layout, cell: Cell, encoded: Any) -> Any:
    return decode(encoded.tensors, row, inputs=cell.inputs, units=cell.units, **encoded.settings)


def _thinned(gates: NDArray[Any], every: int) -> NDArray[np.float64]:
    """Return the mean of every so many rows and units of `[G, R, H]`."""
    blocks = np.asarray(gates, np.float64)
    for axis in (1, 2):
        starts = np.arange(0, blocks.shape[axis], every)
        sizes = np.diff([*starts, blocks.shape[axis]])
        shape = [1, 1, 1]
        shape[axis] = -1
        blocks = np.add.reduceat(blocks, starts, axis=axis) / sizes.reshape(shape)
    return blocks


def _packed(array: NDArray[Any]) -> str:
    """Return numbers as base64 of float16: three digits, which is what the page shows."""
    clipped = np.clip(array, -65504, 65504)
    return b64encode(np.ascontiguousarray(clipped, "<f2").tobytes()).decode("ascii")


def _questions(cell: Cell, p: LSTMParameters | GRUParameters, said: dict[str, Any]) -> list[dict[str, Any]]:
    """Answer what a newcomer asks, with the numbers of this layer; each answer says which blocks light up."""
    gates, C, H, P = cell.row.normal_gates, cell.inputs, cell.units, cell.width
    keeps = "f" if cell.kind == "lstm" else "z"
    name = PYTORCH[cell.kind]
    row = LAYOUTS[name]
    everything = {"gates": gates, "arrays": ["w_x", "w_h"]}
    fields = {
        "rows": C + P,
        "columns": len(gates) * H,
        "C": C,
        "inputs": said["inputs"][C != 1].format(C),
        "H": H,
        "P": P,
        "G": len(gates),
        "keeps": said["gates"][keeps],
        "added": f"{getattr(p, 'forget_bias', 0.0):g}",
        "order": ", ".join(row.gates),
        "weight_ih": f"weight_ih_l0 ({len(gates) * H}, {C})",
        "weight_hh": f"weight_hh_l0 ({len(gates) * H}, {P})",
    }
    bias = "bias_gru" if cell.kind == "gru" else "bias_added" if getattr(p, "forget_bias", 0.0) else "bias_stored"
    folded: tuple[str, ...] = ()
    try:
        folded = encode(p, row).folded
        pytorch = said["pytorch"].format(**fields)
    except InputError as error:
        pytorch = said["not_pytorch"].format(why=error)
    if folded:
        pytorch += " " + said["folded"].format(folded="; ".join(folded))
    answers = (
        ("rows", said["why_rows"], said["rows_because"], everything, None),
        ("columns", said["why_columns"], said["columns_because"], everything, None),
        (
            "forget",
            said["which_block"],
            said["block_is"],
            {"gates": keeps, "arrays": ["w_x", "w_h", "b_x", "b_h"]},
            None,
        ),
        ("bias", said["why_bias"], said[bias], {"gates": gates, "arrays": ["b_x", "b_h"]}, None),
        ("pytorch", said["how_pytorch"], pytorch, {"gates": gates, "arrays": ["w_x", "w_h", "b_x", "b_h"]}, name),
    )
    return [
        {
            "key": key,
            "question": question.format(**fields),
            "answer": answer if key == "pytorch" else answer.format(**fields, where="{where}", layout="{layout}"),
            "highlight": {"gates": list(lit["gates"]), "arrays": lit["arrays"]},
            "layout": layout,
            "gate": keeps,
        }
        for key, question, answer, lit, layout in answers
    ]


def _statistics_section(number: int, cell: Cell, one: Statistics, model: Model, said: dict[str, Any]) -> Section:
    place = f"cell-{number}"
    blocks: list[Any] = []
    if one.loudest is not None:
        stuck = {gate: count for gate, count in one.stuck.items() if count}
        if len(one.silent) or stuck:
            listed = ", ".join(f"{said['gates'][gate]} {count}" for gate, count in stuck.items()) or "0"
            blocks.append(Note(said["stuck"].format(silent=len(one.silent), stuck=listed, H=cell.units), "warning"))
        else:
            blocks.append(Note(said["all_work"].format(H=cell.units), "good"))
    blocks.append(_memory_figure(place, one, said))
    if one.open is not None:
        blocks.append(_gates_figure(place, one, said))
    if cell.inputs > 1:  # one alone has nothing to be compared with
        blocks.append(_inputs_figure(place, cell, one, model, said))
    if one.radius:
        rows = [[said["gates"][gate], f"{value:.3f}"] for gate, value in one.radius.items()]
        blocks.append(Table([said["gate"], said["radius"]], rows, said["radius_means"]))
    title = f"{said['numbers_say']}: {cell.name}"
    return Section(title, blocks, case=place)


def _memory_figure(place: str, one: Statistics, said: dict[str, Any]) -> Figure:
    memory = np.where(np.isfinite(one.memory), one.memory, np.nan)
    with drawing(4.2, 2.6) as (figure, axes):
        axes.scatter(one.forget, memory, s=16, color=COLOURS[2], alpha=0.7, linewidths=0)
        if np.nanmax(memory) > 20 * np.nanmin(memory):
            axes.set_yscale("log")
        axes.set_xlabel(said["forget_bias"])
        axes.set_ylabel(said["memory"])
        picture = svg(figure, f"{place}-memory")
    low, middle, high = (steps_text(value) for value in np.quantile(one.memory, [0, 0.5, 1]))
    caption = said["memory_caption"].format(low=low, middle=middle, high=high)
    head = [said["unit"], said["forget_bias"], said["memory"]]
    columns: list[Any] = [range(len(one.forget)), one.forget, one.memory]
    if one.loudest is not None:
        head.append(said["loudest"])
        columns.append(one.loudest)
    rows = [[unit, *(f"{value:.4g}" for value in values)] for unit, *values in zip(*columns, strict=True)]
    return Figure(picture, caption, caption, Table(head, rows[:_MOST_ROWS]))


def _gates_figure(place: str, one: Statistics, said: dict[str, Any]) -> Figure:
    assert one.open is not None and one.shut is not None  # noqa: S101, PT018
    gates = list(one.open)
    shares = {
        gate: (
            float(one.shut[gate].mean()),
            float(1 - one.shut[gate].mean() - one.open[gate].mean()),
            float(one.open[gate].mean()),
        )
        for gate in gates
    }
    with drawing(4.2, 2.2) as (figure, axes):
        left = np.zeros(len(gates))
        for k, (name, colour) in enumerate(zip(said["shares"], ("#444466", "#9aa0b5", "#E69F00"), strict=True)):
            widths = [100 * shares[gate][k] for gate in gates]
            axes.barh(gates, widths, left=left, color=colour, label=name)
            left += widths
        axes.invert_yaxis()
        axes.set_xlabel("%")
        axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8)
        picture = svg(figure, f"{place}-gates")
    rows = [
        [said["gates"][gate], *(f"{100 * share:.1f} %" for share in shares[gate]), one.stuck[gate]] for gate in gates
    ]
    table = Table([said["gate"], *said["shares"], said["stuck_units"]], rows)
    return Figure(picture, said["gates_caption"], said["gates_caption"], table)


def _inputs_figure(place: str, cell: Cell, one: Statistics, model: Model, said: dict[str, Any]) -> Figure:
    named = model.channels if cell in model.cells[0] and model.channels else tuple(map(str, range(cell.inputs)))
    order = np.argsort(-one.inputs, kind="stable")
    shown = order[:24]
    with drawing(4.2, max(1.6, 0.19 * len(shown) + 0.6)) as (figure, axes):
        axes.barh([str(named[k])[:18] for k in shown], one.inputs[shown], color=GATE_COLOURS["i"])
        axes.invert_yaxis()
        axes.set_xlabel(said["root_mean_square"])
        picture = svg(figure, f"{place}-inputs")
    caption = said["inputs_caption"].format(first=named[order[0]], last=named[order[-1]], C=cell.inputs)
    rows = [[named[k], f"{one.inputs[k]:.4g}"] for k in order[:_MOST_ROWS]]
    return Figure(picture, caption, caption, Table([said["input"], said["root_mean_square"]], rows))


def _products_section(products: Products, name: str, said: dict[str, Any]) -> Section:
    cases = sorted(products.microseconds)
    with drawing(4.2, 2.0) as (figure, axes):
        for k, count in enumerate(cases):
            ratios = [products.ratio(count, way) for way in WAYS]
            axes.barh(
                np.arange(4) + 0.38 * k - 0.19,
                ratios,
                0.36,
                color=COLOURS[k],
                label=said["cases"][count != 1].format(count),
            )
        axes.set_yticks(range(4), list(map(str, WAYS)))
        axes.invert_yaxis()
        axes.set_xlabel(said["of_one"])
        axes.set_ylabel(said["products"])
        axes.legend(fontsize=8)
        picture = svg(figure, "products")
    rows = [[way, *(f"{products.microseconds[count][way]:,.1f} µs" for count in cases)] for way in WAYS]
    table = Table([said["products"], *(said["cases"][count != 1].format(count) for count in cases)], rows)
    caption = said["products_caption"].format(name=name, first=products.ratio(cases[0]), last=products.ratio(cases[-1]))
    return Section(said["why_one"], [Figure(picture, caption, caption, table)])
