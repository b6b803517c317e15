"""`quadgate explain`: what the numbers of a kernel are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from quadgate.cli.progress import announcer
from quadgate.errors import InputError
from quadgate.explain import (
    KernelShape,
    Products,
    Reading,
    explain_cell,
    explain_kernel,
    explain_others,
    explain_products,
    explain_reading,
    kernel_of,
    measure_products,
    parse_shape,
    readings,
    statistics,
    trace,
    trace_text,
)
from quadgate.explain.kernel_page import kernel_page
from quadgate.explain.kernel_picture import kernel_picture, new_model
from quadgate.explain.texts import texts
from quadgate.explain.texts.pages import words
from quadgate.model import Cell, Ensemble, Model, write_atomically


def explain(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A model, to draw the kernel of each of its layers; with --case a run."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="With --case: the data in place of those of the training, read likewise."),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option(help="Explain one prediction: a case of the run's test part, by number (from 0) or name."),
    ] = None,
    inputs: Annotated[int | None, typer.Option(help="Numbers that arrive at each step.")] = None,
    units: Annotated[int | None, typer.Option(help="Units of the layer.")] = None,
    shape: Annotated[str | None, typer.Option(help="Shape of a kernel that you met, such as 76x256.")] = None,
    step: Annotated[bool, typer.Option("--trace", help="Work one small step in numbers.")] = False,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    html: Annotated[Path | None, typer.Option(help="A page to write: the map of every number, to point at.")] = None,
    png: Annotated[Path | None, typer.Option(help="A figure of the first layer's kernel to write.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say why a kernel has its shape, what each of its blocks does, and where the forget bias is; or why an answer."""
    if case is not None:
        if file is None or inputs is not None or units is not None or shape is not None or step:
            raise InputError("--case: expected a RUN and nothing else that is explained: quadgate explain RUN --case 3")
        _explain_case(file, data, case, lang, html, png, as_json)
        return
    if data is not None:
        raise InputError(f"DATA: found {data}, expected it with --case alone")
    kernel: KernelShape | None
    model: Model | None = None
    products: Products | None = None
    loaded = ""
    match (file, shape, inputs, units):
        case (Path() as path, None, None, None):
            model, loaded = _loaded(path, lang)
            kernel, sections, facts, products = _of_model(model, lang)
        case (None, str() as text, None, None):
            kernel, sections, facts = _of_shape(text, lang)
        case (None, None, int() as C, int() as H):
            kernel = KernelShape(C, H)
            sections, facts = [explain_kernel(kernel, lang)], _facts(kernel)
        case _:
            raise InputError(
                "nothing to explain: expected --inputs 12 --units 64, --shape 76x256 alone, or a FILE alone"
            )
    if step and kernel is None:
        raise InputError("--trace: found a GRU, expected an LSTM, whose step it works in numbers")
    if step and kernel is not None:
        sections.append(trace_text(kernel, lang))
        facts["trace"] = trace(kernel).as_json()
    if html is not None or png is not None:
        if model is None and kernel is not None:
            model = new_model(kernel, lang)
        assert model is not None  # noqa: S101
        if html is not None:
            title = words(lang)["title"].format(name=file.name) if file else model.source
            page = kernel_page(model, lang, products, title, loaded)
            with write_atomically(html) as beside:
                beside.write_text(page, encoding="utf-8")
        if png is not None:
            with write_atomically(png) as beside:
                kernel_picture(model, beside, lang)
        for written in filter(None, (html, png)):
            typer.echo(f"written: {written}", err=True)
    typer.echo(json.dumps(facts) if as_json else "\n\n".join(section for section in sections if section))


def _explain_case(
    run: Path, data: str | None, which: str, lang: str, html: Path | None, png: Path | None, as_json: bool
) -> None:
    from quadgate.explain.case import explain_case
    from quadgate.explain.case_page import case_page
    from quadgate.explain.case_text import case_picture, case_text
    from quadgate.formats import load
    from quadgate.report import matched_channels
    from quadgate.report.parts import data_of_run, find_case, parts_of_run, trained_of_run

    texts(lang)  # refuses an unknown language before the work
    progress = announcer()
    model = load(run)
    train, part, told = parts_of_run(run, None if data is None else data_of_run(run, data))
    typer.echo(told, err=True)
    part = matched_channels(model, part)
    k = find_case(part, which, "--case")
    trained = trained_of_run(run, model, train, progress)
    progress(f"explaining {part.name(k)}")
    truth = None if part.labels is None else part.labels[k].item()
    found = explain_case(model, part.series[k], part.name(k), part.channels, truth, trained)
    if html is not None:
        with write_atomically(html) as beside:
            beside.write_text(case_page(found, model.source or str(run), lang), encoding="utf-8")
    if png is not None:
        with write_atomically(png) as beside:
            case_picture(found, beside, lang)
    for written in filter(None, (html, png)):
        typer.echo(f"written: {written}", err=True)
    typer.echo(json.dumps(found.as_json()) if as_json else case_text(found, lang))


def _of_shape(text: str, lang: str) -> tuple[KernelShape, list[str], dict[str, Any]]:
    found = parse_shape(text)
    likeliest, *others = readings(*found)
    sections = [
        explain_reading(found, likeliest, lang),
        explain_kernel(likeliest.kernel, lang),
        explain_others(found, tuple(others), lang),
    ]
    return likeliest.kernel, sections, _facts(likeliest.kernel) | {"readings": [*map(_reading, (likeliest, *others))]}


def _loaded(path: Path, lang: str) -> tuple[Model, str]:
    """Return a model, or the layers of an ensemble, and the expression that gives it."""
    from quadgate.formats import load

    if re.fullmatch(r"\d+x\d+", str(path)) and not path.exists():
        raise InputError(f"{path}: no such file; for a shape, quadgate explain --shape {path}")
    texts(lang)  # refuses an unknown language before the work
    found = load(path)
    loading = f"quadgate.load({str(path)!r})"
    return (found.recurrent, f"{loading}.recurrent") if isinstance(found, Ensemble) else (found, loading)


def _of_model(model: Model, lang: str) -> tuple[KernelShape | None, list[str], dict[str, Any], Products | None]:
    cells = [cell for layer in model.cells for cell in layer]
    found = statistics(model)
    sections = [explain_cell(cell, one, lang) for cell, one in zip(cells, found, strict=True)]
    facts: dict[str, Any] = {
        "cells": [_cell_facts(cell) | one.as_json() for cell, one in zip(cells, found, strict=True)],
        "assumptions": list(map(str, model.assumptions)),
    }
    kernel, products = None, None
    if first := next((cell for cell in cells if cell.kind == "lstm"), None):
        kernel = kernel_of(first)
        if products := measure_products(kernel):
            sections.append(explain_products(first.name, products, lang))
            facts["products_in_microseconds"] = {"cell": first.name, "cases": products.microseconds}
    return kernel, [*sections, *map(str, model.assumptions)], facts, products


def _cell_facts(cell: Cell) -> dict[str, Any]:
    told = {"name": cell.name, "layout": cell.layout, "kind": cell.kind, "reverse": cell.reverse}
    if cell.kind == "gru":
        return told | {"inputs": cell.inputs, "units": cell.units, "gates": list(cell.row.normal_gates)}
    return told | {"forget_bias": cell.forget_bias, **_facts(kernel_of(cell))}


def _facts(kernel: KernelShape) -> dict[str, Any]:
    return {
        "inputs": kernel.inputs,
        "units": kernel.units,
        "kernel": [kernel.rows, kernel.columns],
        "bias": [kernel.columns],
        "numbers": {"kernel": kernel.numbers, "bias": kernel.columns, "total": kernel.numbers + kernel.columns},
        "rows": {source: _ends(kernel.rows_of(source)) for source in ("x", "h")},
        "columns": {gate: _ends(kernel.columns_of(gate)) for gate in ("i", "j", "f", "o")},
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {"arrangement": reading.arrangement, "inputs": reading.kernel.inputs, "units": reading.kernel.units}


def _ends(indices: range) -> list[int]:
    """Return the first index and the one past the last, as a slice takes them."""
    return [indices.start, indices.stop]
