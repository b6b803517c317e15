"""`quadgate data pack`: series in any form into a set of Parquet files that need not fit into memory."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Axes, Case, Channels, Group, Json, Label, Time
from quadgate.cli.progress import bar

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended

data = typer.Typer(help="Sets of series that are larger than memory.", no_args_is_help=True)


@data.callback()
def sets() -> None:
    """Sets of series that are larger than memory."""


@data.command()
def pack(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A file, a folder, a name of the archive, or a URL of Parquet files."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of the set; new, or one to go on with.")],
    axes: Axes = None,
    channels: Channels = None,
    case: Case = None,
    time: Time = None,
    label: Label = None,
    group: Group = None,
    as_json: Json = False,
) -> None:
    """Pack series into a set of Parquet files; interrupted, the same command goes on where it was."""
    from quadgate.data import parquet

    given = {"axes": axes, "channels": channels, "case": case, "time": time, "label": label, "group": group}
    parts = parquet.open_source(source, given)
    packed = {}
    try:
        for name, part in parts.items():
            folder = out / name
            if part.how:
                typer.echo("\n".join(part.how), err=as_json)
            with bar("packing") as tell:
                parquet.pack(part, folder, parquet.identity_of(source, given, out) + name, tell)
            with bar("measuring") as tell:
                found = parquet.ParquetSet.open(folder)
                whole = parquet.Part.whole(found, parquet.statistics_of(found, tell))
            packed[str(folder)] = len(whole)
            typer.echo(f"{folder}: {whole.describe()}", err=as_json)
    except KeyboardInterrupt:
        kept = sum(parquet.packed_so_far(out / name) for name in parts)
        typer.echo(f"stopped; {kept:,} cases are packed and stay so", err=True)
        typer.echo(f"go on with: {shlex.join(['quadgate', *sys.argv[1:]])}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps({"source": source, "cases": packed}))
        return
    test = f" --test {shlex.quote(str(out / 'test'))}" if "test" in parts else ""
    train = out / "train" if "train" in parts else out
    typer.echo(f"next: quadgate train {shlex.quote(str(train))}{test}")
