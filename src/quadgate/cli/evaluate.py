"""`quadgate evaluate`: how good a trained model is on labelled series."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Axes, Case, Channels, Data, Group, Json, Label, Time, X, Y


def evaluate(
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
    unknown_labels: Annotated[
        str, typer.Option(help="Labels that training never saw: refuse them, or ignore and count them apart.")
    ] = "refuse",
    as_json: Json = False,
) -> None:
    """Measure a trained model on the test part of labelled data, or on all cases where there is none.

    Where there is a class at each step, the answer after each step is measured.
    """
    from quadgate import report
    from quadgate.data import read
    from quadgate.formats import load

    model = load(run)
    found = read(
        data, x=x, y=y, axes=axes, channels=channels, inputs=model.inputs, case=case, time=time, label=label,
        group=group,
    )  # fmt: skip
    part, which = report.part_to_judge(found, model, run)
    typer.echo(which, err=as_json)
    scores = report.evaluate(model, part.at_steps() if report.learned_steps(run) else part, unknown_labels)
    if as_json:
        typer.echo(json.dumps({"run": str(run), "data": part.source} | scores.as_json()))
    else:
        report.print_scores(scores)
