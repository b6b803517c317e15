"""The C functions that a network may need, kept in `functions.c.txt`, for float and for double."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NUMBERS = {
    "f": {
        "real": "float", "fma": "fmaf", "zero": "0.0f", "half": "0.5f", "one": "1.0f", "two": "2.0f", "six": "6.0f",
        "fifth": "0.2f", "least": "-87.0f", "most": "87.0f", "flat": "21.0f", "factor_most": "66.0f",
    },
    "d": {
        "real": "double", "fma": "fma", "zero": "0.0", "half": "0.5", "one": "1.0", "two": "2.0", "six": "6.0",
        "fifth": "0.2", "least": "-708.0", "most": "708.0", "flat": "44.0", "factor_most": "660.0",
    },
}  # fmt: skip


def template(name: str) -> str:
    """Return a text of this package."""
    return files("quadgate.export_c").joinpath(name).read_text(encoding="utf-8")


@cache
def _functions() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return what each function needs and its text, in the order of the file."""
    parts = re.split(r"^/\*: (.*) \*/\n", template("functions.c.txt"), flags=re.MULTILINE)[1:]
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for head, text in zip(parts[::2], parts[1::2], strict=True):
        title, _, needs = head.partition(" needs ")
        for suffix in _NUMBERS if "@" in title else ("",):
            numbers = _NUMBERS.get(suffix, {})
            words = [word.replace("@", suffix) for word in (title, *needs.split())]
            text_of = re.sub(r"@(\w+)", lambda m, numbers=numbers: numbers[m[1]], text)
            found[words[0]] = tuple(words[1:]), text_of.replace("@", suffix)
    return found


def functions(wanted: set[str]) -> str:
    """Return the texts of these functions and of those that they need."""
    known = _functions()
    todo, taken = ["guards", *wanted], set()
    while todo:
        name = todo.pop()
        if name not in taken:
            taken.add(name)
            todo += known[name][0]
    return "\n".join(text for name, (_, text) in known.items() if name in taken)


def product(width: int, suffix: str) -> str:
    """Return a function that adds a product to `width` sums, each in one chain of multiply-adds."""
    real, fma = _NUMBERS[suffix]["real"], _NUMBERS[suffix]["fma"]
    sums = ", ".join(f"s{k} = sums[{k}]" for k in range(width))
    lines = [
        f"/* sums[{width}] += values[rows] * weights[rows][{width}] */",
        f"static void product_{width}_{suffix}(const {real} *weights, const {real} *values, int rows, {real} *sums) {{",
        f"  {real} {sums};",
        "  int k;",
        f"  for (k = 0; k < rows; ++k, weights += {width}) {{",
        f"    const {real} value = values[k];",
        *(f"    s{k} = {fma}(weights[{k}], value, s{k});" for k in range(width)),
        "  }",
        *(f"  sums[{k}] = s{k};" for k in range(width)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def real(suffix: str) -> str:
    """Return the C type: `float` or `double`."""
    return _NUMBERS[suffix]["real"]


def fma(suffix: str) -> str:
    """Return the C function that multiplies and adds with one rounding."""
    return _NUMBERS[suffix]["fma"]
