"""`quadgate export-c`: a network as C99 for machines without Python."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Json


def export_c(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder, or a model of any format.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where NAME.c and NAME.h are written.")],
    name: Annotated[str, typer.Option(help="What files and functions are called.")] = "network",
    output: Annotated[str | None, typer.Option(help="logits, probabilities or outputs, the top layer's.")] = None,
    as_json: Json = False,
) -> None:
    """Write a network as one C99 source and header, without malloc, and compare it with the model."""
    from quadgate import export_c as room
    from quadgate.formats import load

    loaded = load(model)
    done = room.export_c(loaded, folder, name, output)
    typer.echo(f"{done.source} and {done.header}: {name}_init, {name}_step, {name}_reset", err=as_json)
    typer.echo(f"a step takes {loaded.inputs} floats and answers with {done.outputs}: {done.output}", err=as_json)
    typer.echo(f"flash: {done.flash:,} bytes of constants, and the code", err=as_json)
    typer.echo(f"RAM: {done.ram:,} bytes for each stream, and the stack", err=as_json)
    checked = room.check(loaded, done)
    typer.echo(str(checked or "not compiled here: found no cc, gcc or clang"), err=as_json)
    if as_json:
        sizes = {"flash": done.flash, "ram": done.ram, "output": done.output, "outputs": done.outputs}
        files = {"source": str(done.source), "header": str(done.header)}
        typer.echo(json.dumps({**files, **sizes, "check": None if checked is None else asdict(checked)}))
    if checked is not None and not checked.largest <= checked.bound:
        raise typer.Exit(1)
