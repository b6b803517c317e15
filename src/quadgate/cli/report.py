"""`quadgate report`: one page on a run: the data, the learning, the quality, what to doubt, and why it said that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Axes, Case, Channels, Data, Group, Json, Label, Time, X, Y
from quadgate.cli.progress import announcer
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
    draw: Annotated[str | None, typer.Option(help="One more case to draw, by its number (from 0) or name.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page to write; RUN/report.html without it.")] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page on a trained model and the data that it is judged by."""
    from quadgate import report as reports
    from quadgate.data import read
    from quadgate.formats import load
    from quadgate.model import write_atomically
    from quadgate.report.findings import find
    from quadgate.report.page import report_page
    from quadgate.report.parts import find_case, left_out_of_run, parts_of_run, trained_of_run
    from quadgate.report.record import REPORT, add_to_report
    from quadgate.training.history import History

    progress = announcer()
    model = load(run)
    given = data is not None or x is not None
    others = None if not given else read(
        data, x=x, y=y, test=test, axes=axes, channels=channels, inputs=model.inputs, case=case, time=time, label=label,
        group=group,
    )  # fmt: skip
    train, part, which = parts_of_run(run, others)
    typer.echo(which, err=True)
    if part.step_labels is not None:
        typer.echo("judged by the answer after the last step; quadgate evaluate measures that after each", err=True)
        train, part = None if train is None else train.at_end(), part.at_end()
    place = None if draw is None else find_case(part, draw, "--draw")
    if out is None and not run.is_dir():
        raise InputError(f"{run}: found a file, expected --out PAGE with it")
    history = History(run / "history.jsonl").epochs if run.is_dir() else []
    findings = find(model, train, part, history, lambda: trained_of_run(run, model, train, progress), place, progress)
    progress("drawing the page")
    page = report_page(findings, left_out_of_run(run) if others is None else ())
    target = out or run / "report.html"
    with write_atomically(target) as beside:
        beside.write_text(page, encoding="utf-8")
    facts = findings.as_json()
    if (run / REPORT).is_file():
        add_to_report(run, facts)
    for one in findings.doubts:
        typer.echo(f"warning: {one.text}", err=True)
    if as_json:
        typer.echo(json.dumps({"run": str(run), "page": str(target)} | facts))
    else:
        reports.print_scores(findings.scores)
        typer.echo(f"\nthe report is in {target}")
