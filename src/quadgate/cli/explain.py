"""`quadgate explain`: what the numbers of a kernel are."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from quadgate.errors import InputError
from quadgate.explain import (
    KernelShape,
    Reading,
    explain_kernel,
    explain_others,
    explain_reading,
    parse_shape,
    readings,
    trace,
    trace_text,
)


def explain(
    inputs: Annotated[int | None, typer.Option(help="Numbers that arrive at each step.")] = None,
    units: Annotated[int | None, typer.Option(help="Units of the layer.")] = None,
    shape: Annotated[str | None, typer.Option(help="Shape of a kernel that you met, such as 76x256.")] = None,
    step: Annotated[bool, typer.Option("--trace", help="Work one small step in numbers.")] = False,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say why a kernel has its shape, what each of its blocks does, and where the forget bias is."""
    kernel, found, read_as = _asked(inputs, units, shape)
    if as_json:
        typer.echo(json.dumps(_as_json(kernel, read_as) | ({"trace": trace(kernel).as_json()} if step else {})))
        return
    sections = [explain_kernel(kernel, lang)]
    if found:
        sections = [explain_reading(found, read_as[0], lang), *sections, explain_others(found, read_as[1:], lang)]
    if step:
        sections.append(trace_text(kernel, lang))
    typer.echo("\n\n".join(section for section in sections if section))


def _asked(
    inputs: int | None, units: int | None, shape: str | None
) -> tuple[KernelShape, tuple[int, int] | None, tuple[Reading, ...]]:
    """Return the kernel to explain and, where a bare shape was given, that shape and its readings, likeliest first."""
    if shape is not None and inputs is None and units is None:
        found = parse_shape(shape)
        read_as = readings(*found)
        return read_as[0].kernel, found, read_as
    if shape is None and inputs is not None and units is not None:
        return KernelShape(inputs, units), None, ()
    raise InputError("nothing to explain: expected --inputs 12 --units 64, or --shape 76x256 alone")


def _as_json(kernel: KernelShape, read_as: tuple[Reading, ...]) -> dict[str, object]:
    return {
        "inputs": kernel.inputs,
        "units": kernel.units,
        "kernel": [kernel.rows, kernel.columns],
        "bias": [kernel.columns],
        "numbers": {"kernel": kernel.numbers, "bias": kernel.columns, "total": kernel.numbers + kernel.columns},
        "forget_bias": {"default": 1.0, "stored": False},
        "rows": {source: _ends(kernel.rows_of(source)) for source in ("x", "h")},
        "columns": {gate: _ends(kernel.columns_of(gate)) for gate in ("i", "j", "f", "o")},
        "readings": [{"arrangement": reading.arrangement, **asdict(reading.kernel)} for reading in read_as],
    }


def _ends(indices: range) -> list[int]:
    """Return the first index and the one past the last, as a slice takes them."""
    return [indices.start, indices.stop]
