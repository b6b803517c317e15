"""One prediction in the terminal, at most 80 columns wide; and as a figure for a paper or a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.explain.case import Case
from quadgate.explain.case_page import (
    MOST_DRAWN,
    case_lead,
    draw_gates,
    draw_map,
    draw_near,
    draw_series,
    draw_steps,
)
from quadgate.explain.pages import drawing, figure_font, png
from quadgate.explain.terminal import WIDTH, cells, left, right, wrap
from quadgate.explain.texts.pages import words

_MOST = 8  # channels, stretches of steps and points of time that are listed
_BAR = 30


def case_text(case: Case, language: str = "en") -> str:
    """Say what led to a prediction: channels, stretches of steps, gates over time, the nearest training cases.

    >>> from quadgate.explain.case import explain_case
    >>> from quadgate.model import Model, Network
    >>> network = Network(inputs=2, units=3, classes=2)
    >>> rng = np.random.default_rng(0)
    >>> variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    >>> print(case_text(explain_case(Model(network, variables), rng.normal(size=(5, 2)))).splitlines()[0])
    case: 5 steps x 2 channels
    """
    said = words(language)["case"]
    T, C = case.series.shape
    told = case.contribution
    lines = [f"{case.name}: {said['sizes'].format(T=T, C=C)}", *wrap(case_lead(case, language), WIDTH)]
    order = np.argsort(-np.abs(told.channels), kind="stable")[:_MOST]
    lines += ["", said["contributed"]]
    lines += _bars([case.channels[k] for k in order], told.channels[order])
    pieces = np.array_split(np.arange(T), min(_MOST, T))
    lines += ["", said["when"]]
    lines += _bars([_stretch(piece) for piece in pieces], np.array([told.steps[piece].sum() for piece in pieces]))
    lines += ["", *wrap(said["over_time"].format(layer=case.activity.name), WIDTH), *_over_time(case, said)]
    lines += ["", said["nearest"] if case.neighbors else said["unknown"]]
    rows = [[one.name, "" if one.label is None else str(one.label), f"{one.distance:.4g}"] for one in case.neighbors]
    if rows:
        lines += _table([[said["training_case"], said["label"], said["distance"]], *rows])
    return "\n".join(lines)


def case_picture(case: Case, path: Path, language: str = "en") -> None:
    """Write the whole prediction as one PNG.

    Raises:
        InputError: the machine has no Chinese font for a picture in Chinese.
        MissingDependencyError: matplotlib is not installed.
    """
    said = words(language)["case"]
    halves = (4, len(case.activity.values))
    with drawing(11, 8.5, font=figure_font(language), halves=halves) as (figure, (plots, gates)):
        series, contributed, steps, near = plots
        draw_series(series, case, said)
        image = draw_map(contributed, case, case.contribution.gradients, said)
        contributed.figure.colorbar(image, ax=contributed)
        draw_steps(steps, case, said)
        if any(one.series is not None for one in case.neighbors):
            draw_near(near, case, said)
        else:
            near.set_axis_off()
        draw_gates(gates, case, said)
        titles = {
            series: said["series"].format(shown=min(MOST_DRAWN, len(case.channels)), C=len(case.channels)),
            contributed: said["contributed"],
            steps: said["when"],
            near: said["nearest"],
            gates[0]: said["over_gates"].format(layer=case.activity.name),
        }
        for plot, title in titles.items():
            plot.set_title(title, fontsize=8, loc="left", pad=28 if plot in (series, near) else 6)  # above the legend
        figure.suptitle("\n".join(wrap(f"{case.name}: {case_lead(case, language)}", 130)), fontsize=9)
        png(figure, path)


def _stretch(piece: NDArray[np.int64]) -> str:
    return str(piece[0]) if len(piece) == 1 else f"{piece[0]} - {piece[-1]}"


def _bars(names: list[str], values: NDArray[Any]) -> list[str]:
    """Draw numbers as bars, those above zero filled."""
    width = min(24, max(map(cells, names)))
    largest = float(np.abs(values).max()) or 1.0
    lines = []
    for name, value in zip(names, values, strict=True):
        shown = name
        while cells(shown) > width:
            shown = shown[:-1]
        bar = ("█" if value >= 0 else "░") * round(abs(value) / largest * _BAR)
        lines.append(f"  {left(shown, width)}  {value:+8.3f}  {bar}".rstrip())
    return lines


def _over_time(case: Case, said: dict[str, Any]) -> list[str]:
    """List the mean over the units of what gates and memory did, at some points of time."""
    values = {name: one[0] for name, one in case.activity.values.items()}
    P = len(case.starts)
    places = np.unique(np.linspace(0, P - 1, min(_MOST, P)).round().astype(int))
    head = [said["step"], *(f"|{name}|" if name in "cjhn" else name for name in values)]
    rows = [
        [
            str(case.starts[k]),
            *(f"{(np.abs(one[k]) if name in 'cjhn' else one[k]).mean():.3f}" for name, one in values.items()),
        ]
        for k in places
    ]
    return _table([head, *rows])


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join([left(row[0], widths[0]), *(right(cell, w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
