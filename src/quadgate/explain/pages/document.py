"""A page as data: sections of figures, tables and notes, which the one template sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from quadgate.dependencies import require


@dataclass(frozen=True)
class Table:
    """Numbers in rows.

    Attributes:
        head: what stands above each column.
        rows: cells, set as text.
        caption: what the table is.
        open: whether it is shown at once, or when the reader asks for it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    open: bool = True
    kind: str = "table"


@dataclass(frozen=True)
class Figure:
    """A plot: the picture, what it shows in words, and its numbers."""

    svg: str
    caption: str
    alt: str
    table: Table | None = None
    wide: bool = False
    kind: str = "figure"


@dataclass(frozen=True)
class Note:
    """A sentence that the reader must not miss: `warning`, `good` or `plain`."""

    text: str
    tone: str = "plain"
    kind: str = "note"


@dataclass(frozen=True)
class Raw:
    """A piece of the page that the script fills."""

    html: str
    kind: str = "raw"


@dataclass(frozen=True)
class Code:
    """Lines that a reader copies and runs."""

    text: str
    caption: str
    kind: str = "code"


Block = Table | Figure | Note | Raw | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]
    id: str = ""
    lead: str = ""
    case: str = field(default="")


def render(
    title: str,
    lead: str,
    sections: Sequence[Section],
    language: str = "en",
    script: str = "",
    data: Any = None,
    numbers: str = "numbers",
) -> str:
    """Return the page as one HTML text that loads nothing.

    Args:
        title: of the page.
        lead: a sentence under it.
        sections: what follows.
        language: of the text.
        script: the name of the script in this package that brings it to life, or none.
        data: what the script reads, as JSON.
        numbers: what the fold with a figure's table is called.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    jinja2 = require("jinja2", "pages and pictures", "pictures")
    here = files("quadgate.explain.pages")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(here.joinpath("page.html").read_text(encoding="utf-8"))
    text: str = template.render(
        title=title,
        lead=lead,
        sections=sections,
        language="zh-Hans" if language == "zh" else language,
        numbers=numbers,
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        script=here.joinpath(script).read_text(encoding="utf-8") if script else "",
        # "</" would end the element that holds the data
        data=json.dumps(data, ensure_ascii=False, allow_nan=False).replace("</", "<\\/"),
    )
    return text
