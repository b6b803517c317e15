"""`quadgate layouts`: how every framework arranges the gates."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def layouts(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A framework's class, such as keras.LSTM; all without it.")
    ] = None,
    inputs: Annotated[int, typer.Option(help="Inputs of the layer that is drawn.")] = 12,
    units: Annotated[int, typer.Option(help="Units of the layer that is drawn.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List how the frameworks arrange the numbers of an LSTM or a GRU, or draw one of them."""
    from quadgate.layouts import LAYOUTS, listing

    if as_json:
        rows = LAYOUTS if name is None else [name]
        objects = {row: listing.as_json(row, inputs, units) for row in rows}
        typer.echo(json.dumps(objects if name is None else objects[name], indent=2))
    elif name is None:
        typer.echo(listing.table())
    else:
        typer.echo(listing.describe(name, inputs, units))
