"""`quadgate summary`: the variables of a file, the arithmetic of its layers, and what was taken for granted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from quadgate.cell import Activations
from quadgate.formats import load
from quadgate.model import Cell, Ensemble, Model
from quadgate.model.summary import SummaryTable


def summary(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A run folder, or a file of any framework that is read.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the table of a model's variables and where each layer's numbers come from."""
    model = load(file)
    if as_json:
        facts = _ensemble_facts(model) if isinstance(model, Ensemble) else _facts(model)
        typer.echo(json.dumps(facts, indent=2))
        return
    if isinstance(model, Ensemble):
        _print_ensemble(model)
        return
    _print_table(model.summary())
    for cell in (cell for layer in model.cells for cell in layer):
        _print_list(f"{cell.name} ({cell.layout})", [cell.arithmetic, _how_it_runs(cell)])
    _print_list("scaling", [] if model.scaling is None else ["each channel is scaled first, as in training"])
    _print_list("assumed", [str(one) for one in model.assumptions])
    _print_list("left out", _gathered(model.left_out))


def _print_ensemble(ensemble: Ensemble) -> None:
    """Print the table of all members, then how a series is cut for them and the layers of each."""
    _print_table(ensemble.summary())
    cut, several = ensemble.patches, len(ensemble.members) > 1
    how = [f"{len(ensemble.members)} networks, whose probabilities are averaged"] if several else []
    if cut.length > 1:
        how.append(f"patches of {cut.length} steps, one every {cut.stride}: {ensemble.inputs * cut.length} inputs each")
    _print_list("how a series is read", how)
    for number, member in enumerate(ensemble.members):
        cells = [cell for layer in member.model.cells for cell in layer]
        lines = [
            line for cell in cells for line in (f"{cell.name} ({cell.layout}): {cell.arithmetic}", _how_it_runs(cell))
        ]
        if member.convolutions is not None:
            sizes = [" x ".join(map(str, kernel.shape)) for kernel in member.convolutions.kernels]
            lines.append(f"convolutions beside it, (steps x channels x filters): {', '.join(sizes)}")
        _print_list(f"network {number}", lines)
    _print_list("scaling", [] if ensemble.scaling is None else ["each channel is scaled first, as in training"])


def _print_table(rows: SummaryTable) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False)
    table.add_column("variable", "total", overflow="fold")
    table.add_column("shape", no_wrap=True)
    table.add_column("numbers", str(rows.total), justify="right", no_wrap=True)
    for row in rows.rows:
        table.add_row(row.name, str(row.shape), str(row.count))
    Console(highlight=False, markup=False).print(table)


def _how_it_runs(cell: Cell) -> str:
    """Say what is in no variable: the forget bias or the place of the reset, and options where there are any."""
    gates, candidate, output = cell.activations.gate, cell.activations.cell, cell.activations.output
    if cell.kind == "gru":
        first = f"reset {'after' if cell.reset_after else 'before'} the recurrent product"
        usual = f"gates {gates}, candidate {candidate}"
    else:
        first = f"forget bias {cell.forget_bias} added while running"
        usual = f"gates {gates}, candidate {candidate}, output {output}"
    options = {
        "read backward": cell.reverse,
        "with peepholes": cell.holds("peepholes"),
        f"projected to {cell.width}": cell.holds("projection"),
        f"cell state clipped at {cell.cell_clip}": cell.cell_clip is not None,
        f"projection clipped at {cell.projection_clip}": cell.projection_clip is not None,
        f"pre-activations clipped at {cell.input_clip}": cell.input_clip is not None,
        usual: cell.activations != Activations(),
    }
    return ", ".join([first, *(name for name, on in options.items() if on)])


def _gathered(left_out: tuple[str, ...]) -> list[str]:
    """Put variables that were left out for the same reason on one line: how many, and the first."""
    reasons = Counter(line.partition(": ")[2] for line in left_out)
    first = {line.partition(": ")[2]: line.partition(": ")[0] for line in reversed(left_out)}
    return [f"{first[reason]}{f' and {n - 1} more' if n > 1 else ''}: {reason}" for reason, n in reasons.items()]


def _print_list(title: str, lines: list[str] | tuple[str, ...]) -> None:
    if lines:
        typer.echo(f"\n{title}")
    for line in lines:
        typer.echo(fill(line, 80, initial_indent="  ", subsequent_indent="    ", break_long_words=False))


def _facts(model: Model) -> dict[str, Any]:
    table = model.summary()
    return {
        "source": model.source,
        "variables": [{"name": row.name, "shape": row.shape, "count": row.count} for row in table.rows],
        "total": table.total,
        "layers": [[_cell_facts(cell) for cell in layer] for layer in model.cells],
        "classes": model.classes,
        "labels": model.labels,
        "channels": model.channels,
        "assumptions": [asdict(one) for one in model.assumptions],
        "left_out": model.left_out,
    }


def _ensemble_facts(ensemble: Ensemble) -> dict[str, Any]:
    table = ensemble.summary()
    return {
        "source": ensemble.source,
        "variables": [{"name": row.name, "shape": row.shape, "count": row.count} for row in table.rows],
        "total": table.total,
        "patches": asdict(ensemble.patches),
        "members": [[[_cell_facts(cell) for cell in layer] for layer in one.model.cells] for one in ensemble.members],
        "classes": ensemble.classes,
        "labels": ensemble.labels,
        "channels": ensemble.channels,
    }


def _cell_facts(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.name,
        "layout": cell.layout,
        "inputs": cell.inputs,
        "units": cell.units,
        "width": cell.width,
        **cell.settings,
        "activations": asdict(cell.activations),
        "arithmetic": cell.arithmetic,
    }
