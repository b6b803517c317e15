"""`quadgate demo`: make series whose class is known, train on them, and say what to type next."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, cast

import typer

from quadgate.cli.options import Json

EPOCHS = 10  # are enough for series that are as easy as the default


def demo(
    out: Annotated[Path, typer.Option(help="The folder for the data and the run.")] = Path("demo"),
    cases: Annotated[int, typer.Option(help="How many series to make.")] = 200,
    time: Annotated[int, typer.Option(help="Steps of each.")] = 100,
    channels: Annotated[int, typer.Option(help="Channels of each, at least 2.")] = 4,
    classes: Annotated[int, typer.Option(help="Classes.")] = 2,
    evidence: Annotated[str, typer.Option(help="Where the class shows: all, early, middle or late.")] = "all",
    difficulty: Annotated[float, typer.Option(help="Noise, in halves of the range; 0.1 is easy.")] = 0.1,
    seed: Annotated[int, typer.Option(help="The only source of chance.")] = 0,
    as_json: Json = False,
) -> None:
    """Make series of a known kind, and train on them: a look at all of it, without data of your own."""
    import numpy as np

    from quadgate.cli.train import train
    from quadgate.data import make_sequences
    from quadgate.data.synthetic import Evidence
    from quadgate.dependencies import require
    from quadgate.errors import InputError
    from quadgate.model import write_atomically

    require("torch", "quadgate demo", "train")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists already, expected a new folder; give another --out")
    sizes = (cases, time, channels, classes)
    made = make_sequences(*sizes, evidence=cast(Evidence, evidence), difficulty=difficulty, seed=seed)
    file, run = out / "data.npz", out / "run"
    with write_atomically(file) as beside, beside.open("wb") as opened:
        np.savez(opened, X=np.stack(made.series), y=np.asarray(made.labels))
    typer.echo(
        f"made {file}: {made.describe()}; the class is by how much every second channel runs ahead\n"
        f"the same by hand: quadgate train {quote(str(file))} --epochs {EPOCHS} --seed {seed}",
        err=as_json,
    )
    try:
        train(data=str(file), epochs=EPOCHS, seed=seed, out=run, as_json=as_json)
    except BaseException:
        if not run.exists():  # refused: the same command may be tried again
            file.unlink()
            out.rmdir()
        raise
