"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="A file (.csv, .parquet, .npz, .ts), a folder, or a name of the UEA/UCR archive; or give --x and --y.",
    ),
]
X = Annotated[Path | None, typer.Option("--x", help="An .npy file with the series, in place of DATA.")]
Y = Annotated[Path | None, typer.Option("--y", help="An .npy file with their labels, or one-hot.")]
Axes = Annotated[str | None, typer.Option(help="Order of an array's axes: NTC (cases, steps, channels) or NCT.")]
Channels = Annotated[int | None, typer.Option(help="Channels of a wide table or an array.")]
Case = Annotated[str | None, typer.Option(help="Column of a long table that names the case.")]
Time = Annotated[str | None, typer.Option(help="Column of a long table that holds the time; none: there is none.")]
Label = Annotated[str | None, typer.Option(help="Column of the label.")]
Group = Annotated[str | None, typer.Option(help="Column of the subject or machine: stays on one side of every split.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SkipDamaged = Annotated[
    bool,
    typer.Option("--skip-damaged", help="Leave out the damaged files, row groups and cases of a set of Parquet files."),
]
