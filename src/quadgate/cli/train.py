"""`quadgate train`: from labelled series to a trained model, its measures and what to type next."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quadgate.cli.options import Axes, Case, Channels, Data, Group, Json, Label, SkipDamaged, Time, X, Y
from quadgate.cli.progress import bar
from quadgate.errors import InputError

if TYPE_CHECKING:
    from quadgate.training import Workers

BALANCED = "balanced"
INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


def train(
    data: Data = None,
    x: X = None,
    y: Y = None,
    test: Annotated[Path | None, typer.Option(help="The source of a test part, read in the same way.")] = None,
    axes: Axes = None,
    channels: Channels = None,
    case: Case = None,
    time: Time = None,
    label: Label = None,
    group: Group = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/DATE-NAME without it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, to the same bits.")] = False,
    preset: Annotated[str, typer.Option(help="default, seed, best or stream.")] = "default",
    pool: Annotated[str | None, typer.Option(help="last, mean, max or attention.")] = None,
    initializer: Annotated[str | None, typer.Option(help="glorot, or chrono: remembers for long.")] = None,
    units: Annotated[int | None, typer.Option(help="Units of each layer and direction.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers.")] = None,
    bidirectional: Annotated[bool | None, typer.Option(help="Whether series are also read from their end.")] = None,
    chunk: Annotated[int | None, typer.Option(help="Steps that a gradient goes back at most.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without gain before training stops.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Cases in a batch.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The first learning rate.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or adamw.")] = None,
    clip: Annotated[float | None, typer.Option(help="Greatest norm of the gradient.")] = None,
    class_weight: Annotated[str | None, typer.Option(help="balanced: a rare class counts as much as others.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Parts that a batch is worked through in.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, float64 or, on a GPU, mixed.")] = None,
    valid_fraction: Annotated[float | None, typer.Option(help="Share of the training part to stop by.")] = None,
    test_fraction: Annotated[float | None, typer.Option(help="Share held out as test where there is none.")] = None,
    seed: Annotated[int | None, typer.Option(help="The only source of chance.")] = None,
    skip_damaged: SkipDamaged = False,
    tensorboard: Annotated[Path | None, typer.Option(help="A folder to write for TensorBoard while it trains.")] = None,
    as_json: Json = False,
) -> None:
    """Train a classifier of series, and measure it on cases that it never saw."""
    from quadgate import report, training
    from quadgate.data import Sequences, balanced, parquet, read
    from quadgate.data.columns import Columns
    from quadgate.training.progress import ShowProgress

    if resume and out is None:
        raise InputError("--resume: expected --out RUN with it, the folder of the run to go on with")
    given = {
        "pool": pool,
        "initializer": initializer,
        "units": units,
        "layers": layers,
        "bidirectional": bidirectional,
        "chunk": chunk,
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "clip": clip,
        "accumulate": accumulate,
        "device": device,
        "precision": precision,
        "valid_fraction": valid_fraction,
        "test_fraction": test_fraction,
        "seed": seed,
    }
    settings = training.preset(preset).changed(**{name: value for name, value in given.items() if value is not None})
    name = Path(data or str(x)).stem
    if data is not None and test is None and (pair := parquet.parts_of_sets(data)) is not None:
        data, test = pair[0], Path(pair[1])
    source: dict[str, Any] = {
        "source": data, "x": x, "y": y, "test": test, "axes": axes, "channels": channels, "case": case, "time": time,
        "label": label, "group": group, "skip_damaged": skip_damaged,
    }  # fmt: skip
    left_out: tuple[parquet.LeftOut, ...] = ()
    learn: Sequences | parquet.Part
    on_disk = data is not None and parquet.is_parquet_set(data)
    with training.of_torchrun(settings.device) as workers, training.watched(workers):
        if on_disk:
            for option, value in (
                ("x", x), ("y", y), ("axes", axes), ("channels", channels), ("class-weight", class_weight)
            ):  # fmt: skip
                if value is not None:
                    raise InputError(
                        f"--{option}: found {str(value)!r} for Parquet files that are streamed, expected none"
                    )
            with bar("measuring the set") as tell:
                columns = Columns(case, time, label, group)
                learn, judge, how, left_out = training.parts_on_disk(
                    str(data), settings, columns, test, skip_damaged, tell
                )
        else:
            found = read(**source)
            learn, judge, held = training.hold_out(found, settings)
            how = found.how if held is None else (*found.how, held)
            if class_weight is not None:
                if class_weight != BALANCED:
                    raise InputError(f"--class-weight: found {class_weight!r}, expected {BALANCED!r}")
                told = "a class counts as much as any other in training, however rare it is"
                learn, how = balanced(learn), (*how, told)
        if workers.first:
            typer.echo("\n".join(how), err=as_json)
        report.check_labels(judge, learn.classes)
        folder, resume = _folder(workers, out, name, resume)
        try:
            with ShowProgress() if workers.first else nullcontext() as progress:
                watching: list[training.Callback] = [] if progress is None else [progress]
                if tensorboard is not None and workers.first:
                    watching.append(training.TensorBoard(tensorboard))
                announce = (lambda _: None) if progress is None else progress.on_preview
                run = training.train(learn, settings, folder, resume, watching, announce)
        except training.StoppedError as stop:
            if workers.first:
                typer.echo(f"{stop}\ngo on with: {_again(folder, workers)}", err=True)
            raise typer.Exit(INTERRUPTED) from None
    if not workers.first:
        return
    scores = report.evaluate(run.model, judge)
    document = report.write_report(run, how, judge, scores, source, streamed=on_disk, left_out=left_out)
    if as_json:
        typer.echo(json.dumps({"run": str(folder)} | document))
        return
    for line in report.training_lines(run):
        typer.echo(line)
    report.print_scores(scores)
    if settings.every_step:
        typer.echo(report.samples_line(report.accuracy_by_samples(run.model, judge)))
    output = "classes" if on_disk else "classes.csv"
    typer.echo(f"\nthe run is in {folder}\nnext: quadgate predict {shlex.quote(str(folder))} DATA --output {output}")


def _folder(workers: Workers, out: Path | None, name: str, resume: bool) -> tuple[Path, bool]:
    """Return the run folder, the same for all processes, and whether to go on with the run in it.

    What torchrun starts again after a failure goes on with what it had begun.
    """
    from quadgate import training

    if workers.restarted and out is None:
        raise InputError("--out: found none, expected the run folder, so that a process that is started again finds it")
    folder = workers.told(lambda: str(out or training.new_folder(Path("runs"), name)).encode()).decode()
    return Path(folder), resume or workers.restarted


def _again(folder: Path, workers: Workers) -> str:
    """Return the command that was typed, with what makes it a resume."""
    typed = ["quadgate", *(word for word in sys.argv[1:] if word != "--resume")]
    if workers.size > 1:
        typed = ["torchrun", "--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", "1"), "-m", *typed]
    if not any(word == "--out" or word.startswith("--out=") for word in typed):
        typed += ["--out", str(folder)]
    return shlex.join([*typed, "--resume"])
