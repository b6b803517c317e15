"""`quadgate predict`: the class of each series, and how probable each class is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Axes, Case, Channels, Data, Group, Json, Label, Time, X, Y
from quadgate.errors import InputError


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or another file of a classifier.")],
    data: Data = None,
    x: X = None,
    y: Y = None,
    axes: Axes = None,
    channels: Channels = None,
    case: Case = None,
    time: Time = None,
    label: Label = None,
    group: Group = None,
    steps: Annotated[
        bool | None,
        typer.Option(help="Whether to write a class after each step; as the run learned them, without it."),
    ] = None,
    neighbors: Annotated[
        int, typer.Option(help="How many of the nearest training cases to name, by the network's final states.")
    ] = 0,
    output: Annotated[Path | None, typer.Option(help="CSV file to write; standard output without it.")] = None,
    as_json: Json = False,
) -> None:
    """Write the class and the probabilities of every series of the test part, or of all where there is none."""
    from quadgate import report
    from quadgate.data import read
    from quadgate.explain import TrainingCases
    from quadgate.formats import load

    model = load(run)
    found = read(
        data, x=x, y=y, axes=axes, channels=channels, case=case, time=time, label=label, group=group
    )  # fmt: skip
    part, which = report.part_to_judge(found)
    typer.echo(which, err=True)
    every = report.learned_steps(run) if steps is None else steps
    if every and neighbors:
        raise InputError("--neighbors: found with a class after each step, expected one for each case (--no-steps)")
    predictions = (report.predict_steps if every else report.predict)(model, part)
    if neighbors:
        predictions = report.with_neighbors(predictions, model, part, TrainingCases.load(run), neighbors)
    if output is not None:
        predictions.write_csv(output)
        typer.echo(f"{len(predictions.cases):,} predictions are in {output}", err=True)
    if as_json:
        typer.echo(json.dumps({"run": str(run), "data": part.source} | predictions.as_json()))
    elif output is None:
        sys.stdout.write(predictions.as_csv())
