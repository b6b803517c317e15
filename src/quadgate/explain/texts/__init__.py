"""What explain says, per language, as data: templates whose fields the explanations fill in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from quadgate.errors import InputError, suggest
from quadgate.explain.kernel_shape import Arrangement, KernelShape

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Texts:
    """Everything that explain says in one language.

    The templates are filled with `str.format` and set by `terminal.flow`: paragraphs wrap, indented lines stay. A pair
    is the wording for one thing and for several.
    """

    inputs: tuple[str, str]
    units: tuple[str, str]
    row_numbers: tuple[str, str]
    arithmetic: str
    gates: Mapping[str, str]
    x_rows: str
    h_rows: str
    bias: str
    forget_bias: str
    page: str
    cell: str
    forget: str
    update: str
    products: str
    products_head: tuple[str, str, str, str]
    projection: str
    peepholes: str
    found_as: Mapping[Arrangement, str]
    could_be_recurrent: str
    others: str
    other: Mapping[Arrangement, str]
    trace: str
    trace_smaller: str
    x_part: str
    h_part: str
    eight: str
    one: str

    def sizes(self, kernel: KernelShape) -> dict[str, str | int]:
        """Return the fields that every template may use for the sizes of a kernel."""
        return {
            "inputs": self.inputs[kernel.inputs > 1].format(kernel.inputs),
            "units": self.units[kernel.units > 1].format(kernel.units),
            "C": kernel.inputs,
            "H": kernel.units,
            "P": kernel.state_width,
            "rows": kernel.rows,
            "columns": kernel.columns,
            "numbers": kernel.numbers,
        }


def texts(language: str) -> Texts:
    """Return the texts of a language.

    Raises:
        InputError: explain does not speak it.
    """
    if language not in LANGUAGES:
        raise InputError(f"language {language!r}: {suggest(language, LANGUAGES)}")
    spoken = import_module(f"quadgate.explain.texts.{language}").TEXTS
    assert isinstance(spoken, Texts)  # noqa: S101
    return spoken
