"""Figures by matplotlib: as SVG inside a page, where they take the page's colours, or as PNG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quadgate.dependencies import require
from quadgate.errors import InputError

# Okabe and Ito (2008): told apart by every kind of colour vision; the order gives neighbours different lightness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#777777")
DIVERGING = "PuOr_r"
GATE_COLOURS = {"i": "#0072B2", "j": "#E69F00", "f": "#009E73", "o": "#CC79A7", "z": "#009E73", "r": "#0072B2"}
CHINESE = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "SimHei")

_NEEDED = ("pages and pictures", "pictures")
_INK = "#010203"  # stands for the colour of the page's text


def figure_font(language: str) -> str:
    """Return the font of a picture: matplotlib's own, or for Chinese one that this machine has.

    Raises:
        InputError: none of the known Chinese fonts is installed.
    """
    if language != "zh":
        return "DejaVu Sans"
    installed = {font.name for font in require("matplotlib.font_manager", *_NEEDED).fontManager.ttflist}
    for name in CHINESE:
        if name in installed:
            return name
    raise InputError(
        f"picture in Chinese: found none of the fonts {', '.join(CHINESE)}, expected one of them; "
        "apt-get install fonts-noto-cjk"
    )


@contextmanager
def drawing(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    font: str = "",
    halves: tuple[int, int] | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Draw on axes `[rows, columns]` of a figure of this size in inches, in the style of the pages.

    Yields the figure and the array of axes (or the one axis), or with `halves`, how many plots stand left and right,
    those of each side.
    """
    matplotlib = require("matplotlib", *_NEEDED)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {
        "font.size": 9,
        "font.family": [font] if font else ["DejaVu Sans"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
        "axes.unicode_minus": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "quadgate",
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "legend.frameon": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        if halves is None:
            axes = figure.subplots(rows, columns, **options)
        else:
            parts: Any = figure.subfigures(1, 2)
            axes = [part.subplots(count, 1) for part, count in zip(parts, halves, strict=True)]
        yield figure, axes


def count_along(axes: Any, what: str) -> None:
    """Name what is counted along an axis, with marks at whole numbers alone."""
    axes.set_xlabel(what)
    axes.xaxis.get_major_locator().set_params(integer=True)


def svg(figure: Any, name: str) -> str:
    """Return a figure as SVG to stand inside a page; `name` keeps its ids apart from those of other figures."""
    file = io.StringIO()
    with warnings.catch_warnings():
        # The browser sets the text, in fonts of its own.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1
    )
    return text.replace(_INK, "currentColor").strip()


def png(figure: Any, path: Any, dots: int = 200) -> None:
    """Write a figure as PNG on white."""
    figure.savefig(path, format="png", dpi=dots, facecolor="white")
