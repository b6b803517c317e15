"""The typer application that gathers the subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from quadgate import __version__
from quadgate.cli.bench import bench
from quadgate.cli.convert import convert, verify
from quadgate.cli.data import data
from quadgate.cli.demo import demo
from quadgate.cli.doctor import doctor
from quadgate.cli.evaluate import evaluate
from quadgate.cli.explain import explain
from quadgate.cli.export_c import export_c
from quadgate.cli.layouts import layouts
from quadgate.cli.predict import predict
from quadgate.cli.report import report
from quadgate.cli.serve import serve
from quadgate.cli.summary import summary
from quadgate.cli.train import train
from quadgate.cli.tune import tune

app = typer.Typer(
    name="quadgate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quadgate {__version__}")
        raise typer.Exit


@app.callback()
def quadgate(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Train, explain, convert, speed up and stream LSTM sequence models."""


app.command()(train)
app.command()(evaluate)
app.command()(predict)
app.command()(report)
app.command()(summary)
app.command()(explain)
app.command()(convert)
app.command()(verify)
app.command()(layouts)
app.command()(export_c)
app.command()(serve)
app.command()(bench)
app.command()(doctor)
app.command()(tune)
app.command()(demo)
app.add_typer(data, name="data")
