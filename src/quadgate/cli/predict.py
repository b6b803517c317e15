"""`quadgate predict`: the class of each series, and how probable each class is."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from quadgate.cli.options import Axes, Case, Channels, Data, Group, Json, Label, SkipDamaged, Time, X, Y
from quadgate.cli.progress import bar
from quadgate.data.columns import Columns
from quadgate.errors import InputError

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


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
    output: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write; standard output without it. For Parquet files, or with --workers, a folder."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that predict a set of Parquet files, or a folder of CSV, piece by piece."),
    ] = None,
    skip_damaged: SkipDamaged = False,
    as_json: Json = False,
) -> None:
    """Write the class and the probabilities of every series of the test part, or of all where there is none."""
    from quadgate import report
    from quadgate.data import parquet, read
    from quadgate.explain import TrainingCases
    from quadgate.formats import load

    model = load(run)
    on_disk = data is not None and parquet.is_parquet_set(data)
    if workers is not None or on_disk:
        for name, value in (("x", x), ("y", y), ("axes", axes), ("channels", channels)):
            if value is not None:
                raise InputError(
                    f"--{name}: found {str(value)!r} for cases that are predicted piece by piece, expected none"
                )
        columns = Columns(case, time, label, group)
        if steps or neighbors:
            raise InputError(
                "--steps, --neighbors: found for cases that are predicted piece by piece, expected neither"
            )
        if steps is None and report.learned_steps(run):
            raise InputError(
                f"{run}: found a run that learned a class at each step, expected --no-steps where cases are predicted "
                "piece by piece, which writes that of the last step"
            )
        _piece_by_piece(run, data, columns, output, 1 if workers is None else workers, skip_damaged, as_json)
        return
    found = read(
        data, x=x, y=y, axes=axes, channels=channels, inputs=model.inputs, case=case, time=time, label=label,
        group=group,
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


def _piece_by_piece(
    run: Path,
    data: str | None,
    columns: Columns,
    output: Path | None,
    workers: int,
    skip_damaged: bool,
    as_json: bool,
) -> None:
    """Predict into a folder what need not fit into memory; the same command again does what is missing."""
    from quadgate.data.folders import FolderOfFiles
    from quadgate.data.parquet import ParquetSet, is_parquet_set
    from quadgate.report.batch import plan, predict_all

    if output is None or output.suffix:
        found = "no --output" if output is None else f"--output {output}"
        raise InputError(
            f"predict: found {found}, expected --output FOLDER alone where cases are predicted piece by piece"
        )
    if data is not None and is_parquet_set(data):
        with bar("looking for cases that are cut in two") as tell:
            cases: ParquetSet | FolderOfFiles = ParquetSet.open(data, columns, skip_damaged, tell, labelled=False)
        typer.echo("\n".join(getattr(cases, "how", ())), err=True)
    elif data is not None and Path(data).is_dir():
        cases = FolderOfFiles.open(Path(data), columns)
        typer.echo(cases.told, err=True)
    else:
        raise InputError(
            f"--workers: found the data {data}, expected a folder with a CSV for each case, or of Parquet files"
        )
    job = plan(run, cases, output)
    try:
        with bar("predicting") as tell:
            read, written = predict_all(job, workers, tell)
    except KeyboardInterrupt:
        typer.echo(f"stopped; go on with: {shlex.join(['quadgate', *sys.argv[1:]])}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if read != written:
        raise InputError(f"{output}: found {written:,} predictions of {read:,} cases; remove {output} and predict anew")
    files = f"{len(job.units):,} file{'s' * (len(job.units) > 1)}"
    typer.echo(f"{read:,} cases read, {written:,} predictions are in {output} ({files})", err=True)
    if as_json:
        typer.echo(
            json.dumps({"run": str(run), "data": data, "output": str(output), "cases": read, "predictions": written})
        )
