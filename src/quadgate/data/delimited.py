"""Delimited text as people's instruments and programs write it: find its comments, delimiter and header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from quadgate.data.columns import refuse_twice
from quadgate.data.text import read_text
from quadgate.dependencies import require
from quadgate.errors import FileFormatError

if TYPE_CHECKING:
    import pandas as pd

_COMMENT = re.compile(r"\s*(#|%|//)")
_DECIMAL_COMMA = re.compile(r"(?<![\d,])[-+]?\d+,\d+(?![\d,])")
_DECIMAL_POINT = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])")  # dates such as 31.12.2024 have two
_COMMENT_NAMES = re.compile(r"^[\s#%/]*(columns\b\s*:?)?\s*", re.IGNORECASE)
_DELIMITERS = {"\t": "tab", ";": "semicolon", ",": "comma", " ": "space"}


@dataclass(frozen=True)
class Delimited:
    """The rows of a delimited file, before their numbers are read.

    Attributes:
        path: the file.
        lines: its rows, without comments, header, blank lines and delimiters at their ends.
        first_line: the number of the first row in the file, from 1.
        delimiter: tab, semicolon, comma, or space for any run of white space.
        names: of the columns, from a header line or from the comments before the data; None where there are none.
        width: how many columns there are.
        how: what was found, in words.
    """

    path: Path
    lines: tuple[str, ...]
    first_line: int
    delimiter: str
    names: tuple[str, ...] | None
    width: int
    how: str

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names; `column 1`, `column 2`, ... where there are none."""
        return self.names or tuple(f"column {number}" for number in range(1, self.width + 1))

    def renamed(self, names: tuple[str, ...]) -> Delimited:
        """Return the same rows with other names for their columns."""
        return replace(self, names=names)

    def frame(self, text_columns: Collection[str] = ()) -> pd.DataFrame:
        """Return the rows as a table; `text_columns` are kept as text, others become numbers where all are numbers.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        pandas = require("pandas", f"{self.path} (a table) cannot be read")
        names = list(self.column_names)
        decimal = "," if self._has_decimal_commas() else "."
        table: pd.DataFrame = pandas.read_csv(
            io.StringIO("\n".join(self.lines)),
            sep=r"\s+" if self.delimiter == " " else self.delimiter,
            header=None,
            names=names,
            index_col=False,
            dtype={name: str for name in names if name in text_columns},
            keep_default_na=False,
            na_values={name: ["", "NaN", "nan", "NA", "?"] for name in names if name not in text_columns},
            skipinitialspace=True,
            skip_blank_lines=False,
            decimal=decimal,
            float_precision="round_trip",
        )
        return table

    def _has_decimal_commas(self) -> bool:
        """Tell whether a number has a comma in it, and none a point: only where the comma separates nothing."""
        text = "\n".join(self.lines)
        return self.delimiter != "," and bool(_DECIMAL_COMMA.search(text)) and not _DECIMAL_POINT.search(text)


def read_delimited(path: Path, known_names: Collection[str]) -> Delimited:
    """Find the form of a delimited file.

    Comment lines begin with `#`, `%` or `//`; the last one that has a name for each column is the header where
    no header line follows. A line is a header if none of its fields is a number, or if one of text stands above a
    number, or is one of `known_names` and is not repeated below.

    Raises:
        FileFormatError: no rows, or a row with more or fewer fields than the others.
        InputError: the file cannot be opened.
    """
    text, encoding = read_text(path)
    numbered = [(number, line.strip(" \n")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    comments = [line for _, line in numbered if _COMMENT.match(line)]
    numbered = [(number, line) for number, line in numbered if not _COMMENT.match(line)]
    if not numbered:
        raise FileFormatError(f"{path}: found no row, expected one for each step or case")
    delimiter = _delimiter_of([line for _, line in numbered[:50]])
    rows, width = _without_empty_ends(path, numbered, delimiter)
    first = _fields(rows[0], delimiter)
    second = _fields(rows[1], delimiter) if len(rows) > 1 else None
    names: tuple[str, ...] | None = None
    header = "no header"
    if _is_header(first, second, known_names):
        names, header = tuple(first), "a header"
        rows, numbered = rows[1:], numbered[1:]
        if not rows:
            raise FileFormatError(f"{path}: found a header and no row after it")
    else:
        for comment in reversed(comments):
            candidates = _fields(_COMMENT_NAMES.sub("", comment, count=1), delimiter)
            if len(candidates) == width and not any(map(_is_number, candidates)):
                names, header = tuple(candidates), "a header in the comments"
                break
    if names is not None:
        refuse_twice(names, str(path), FileFormatError)
    parts = [f"{_DELIMITERS[delimiter]}-delimited", encoding, header]
    if comments:
        parts.append(f"{len(comments)} comment {'line' if len(comments) == 1 else 'lines'}")
    return Delimited(path, tuple(rows), numbered[0][0], delimiter, names, width, ", ".join(parts))


def _delimiter_of(lines: list[str]) -> str:
    """Return the first delimiter that gives all lines (but for the header, or for ends) the same several fields."""
    for delimiter in _DELIMITERS:
        counts = Counter(len(_fields(line.rstrip(delimiter), delimiter)) for line in lines)
        width, times = counts.most_common(1)[0]
        if width > 1 and times >= 0.8 * len(lines):
            return delimiter
    return ","


def _without_empty_ends(path: Path, numbered: list[tuple[int, str]], delimiter: str) -> tuple[list[str], int]:
    """Cut a delimiter that ends a row after as many values as the first row has; return the rows and their width."""
    width = len(_fields(numbered[0][1].removesuffix(delimiter), delimiter))
    lines = []
    for number, line in numbered:
        found = len(_fields(line, delimiter))
        if found != width and not (found == width + 1 and line.endswith(delimiter)):
            decimal = "; if commas are decimal, separate the values by semicolons or tabs"
            hint = decimal if delimiter == "," and width < found <= 2 * width else ""
            raise FileFormatError(
                f"{path}, line {number}: found {found} fields, expected {width} as in line {numbered[0][0]}{hint}"
            )
        lines.append(line if found == width else line.removesuffix(delimiter))
    return lines, width


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]


def _is_header(first: list[str], second: list[str] | None, known_names: Collection[str]) -> bool:
    numbers = [_is_number(field) for field in first]
    if not any(numbers) or second is None:
        return not any(numbers)
    return any(
        not number and (_is_number(below) or (field.lower() in known_names and field != below))
        for field, number, below in zip(first, numbers, second, strict=True)
    )


def _is_number(field: str) -> bool:
    try:
        float(field.replace(",", "."))
    except ValueError:
        return False
    return True
