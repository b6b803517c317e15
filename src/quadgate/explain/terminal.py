"""Text in the cells of a terminal, where a Chinese character takes two: width, placing and wrapping."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

WIDTH = 80

_OPENING = "（《“"
_CLOSING = "，。、：；！？）》”"
_SPACELESS = _OPENING + _CLOSING
# What a line break never parts: a Latin word, or one Chinese character, with the punctuation that clings to it.
_PIECE = re.compile(rf" +|[{_OPENING}]*(?:[^\s\u2e80-\uffef]+|\S)[{_CLOSING}]*")


def cells(text: str) -> int:
    """Return the cells that a line takes.

    >>> cells("kernel"), cells("遗忘门 f")
    (6, 8)
    """
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def left(text: str, width: int) -> str:
    """Fill the text with spaces on its right."""
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """Fill the text with spaces on its left."""
    return " " * (width - cells(text)) + text


def centre(text: str, width: int) -> str:
    """Fill the text with spaces on both sides.

    >>> centre("门", 6)
    '  门  '
    """
    return left(" " * ((width - cells(text)) // 2) + text, width)


def wrap(text: str, width: int) -> list[str]:
    """Break a line where words end, or between Chinese characters; a single word longer than `width` stays whole.

    As in TeX, `~` is a space at which no line breaks.

    >>> wrap("one product, not eight", 12)
    ['one product,', 'not eight']
    >>> wrap("one for W~@~x", 12)
    ['one for', 'W @ x']
    >>> wrap("一次乘法，不是八次。", 10)
    ['一次乘法，', '不是八次。']
    """
    lines = [""]
    for piece in _PIECE.findall(text):
        if cells(lines[-1] + piece.rstrip()) > width and lines[-1].strip():
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip().replace("~", " ") for line in lines]


def flow(template: str, width: int = WIDTH) -> str:
    r"""Set a text: its paragraphs are wrapped, its indented lines stay as they stand and are wrapped only if too long.

    >>> print(flow("One step\nis one\n  product", 12))
    One step is
    one
      product
    """
    lines: list[str] = []
    paragraph = ""
    for line in [*template.strip("\n").split("\n"), ""]:
        if line and not line.startswith(" "):
            paragraph = _join(paragraph, line)
            continue
        if paragraph:
            lines += wrap(paragraph, width)
            paragraph = ""
        lines += _wrap_indented(line, width)
    return "\n".join(lines).rstrip()


def _join(first: str, second: str) -> str:
    """Join two lines of one paragraph; Chinese needs no space between them."""
    both_wide = first and cells(first[-1]) == cells(second[0]) == 2
    clings = first and (first[-1] in _SPACELESS or second[0] in _SPACELESS)
    return first + second if not first or both_wide or clings else f"{first} {second}"


def _wrap_indented(line: str, width: int) -> list[str]:
    if cells(line) <= width:
        return [line.replace("~", " ")]
    indent = len(line) - len(line.lstrip())
    first, *others = wrap(line.lstrip(), width - indent)
    return [" " * indent + first, *(" " * indent + other for other in others)]
