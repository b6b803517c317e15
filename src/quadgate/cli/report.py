"""`quadgate report`: one page on a run: the data, the learning, the quality, what to doubt, and why it said that."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Axes, Case, Channels, Data, Group, Json, Label, Time, X, Y
from quadgate.errors import InputError


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or another file of a classifier.")],
    data: Data = None,
    x: X = None,
    y: Y = None,
    test: Annotated[Path | None, typer.Option(help="The source of a test part, as in training.")] = None,
    axes: Axes = None,
    channels: Channels = None,
    case: Case = None,
    time: Time = None,
    label: Label = None,
    group: Group = None,
    draw: Annotated[int | None, typer.Option(help="One more case to draw, by its number.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page to write; RUN/report.html without it.")] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page on a trained model and the data that it is judged by."""
    from quadgate import report as reports
    from quadgate.data import read
    from quadgate.formats import load
    from quadgate.model import write_atomically
    from quadgate.report.page import report_page
    from quadgate.report.parts import parts_of_run
    from quadgate.report.record import REPORT, add_to_report
    from quadgate.report.suspicion import suspicions
    from quadgate.training.history import History

    model = load(run)
    found = read(
        data, x=x, y=y, test=test, axes=axes, channels=channels, case=case, time=time, label=label, group=group
    )  # fmt: skip
    train, part, which = parts_of_run(run, found)
    typer.echo(which, err=True)
    if draw is not None and not 0 <= draw < len(part):
        raise InputError(f"--draw: found {draw}, expected 0 to {len(part) - 1}")
    if out is None and not run.is_dir():
        raise InputError(f"{run}: found a file, expected --out PAGE with it")
    labels = reports.check_labels(part, reports.class_names(model))
    predictions = reports.predict(model, part)
    scores = reports.score(labels, predictions.probabilities, predictions.classes)
    doubts = suspicions(train, part, scores, predictions.answers == labels)
    history = History(run / "history.jsonl").epochs if run.is_dir() else []
    page = report_page(model, train, part, scores, predictions, doubts, history, draw)
    target = out or run / "report.html"
    with write_atomically(target) as beside:
        beside.write_text(page, encoding="utf-8")
    facts = {"warnings": [asdict(one) for one in doubts], "judged": part.describe()} | {"scores": scores.as_json()}
    if (run / REPORT).is_file():
        add_to_report(run, facts)
    for one in doubts:
        typer.echo(f"warning: {one.text}", err=True)
    if as_json:
        typer.echo(json.dumps({"run": str(run), "page": str(target)} | facts))
    else:
        reports.print_scores(scores)
        typer.echo(f"\nthe report is in {target}")
