"""Pages for people: one self-contained HTML file from one template, with figures, tables and a small script inside."""

from quadgate.explain.pages.document import Block, Code, Figure, Note, Raw, Section, Table, render
from quadgate.explain.pages.figures import drawing, figure_font, png, svg

__all__ = [
    "Block",
    "Code",
    "Figure",
    "Note",
    "Raw",
    "Section",
    "Table",
    "drawing",
    "figure_font",
    "png",
    "render",
    "svg",
]
