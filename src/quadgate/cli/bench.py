"""`quadgate bench`: how fast, beside the peers that are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from quadgate import speed


def bench(
    cases: Annotated[str, typer.Option(help="What to measure: quick, infer, train or all.")] = "quick",
    seconds: Annotated[float, typer.Option(help="Time for each case and contestant.")] = 1.0,
    memory: Annotated[bool, typer.Option(help="Also measure the peak memory of a training step.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the results to this JSON file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them to this file; needs matplotlib.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time an LSTM layer in quadgate and its peers, in turn, after checking that their answers agree."""
    from quadgate import speed

    contestants = speed.installed()
    names = [one.name for one in contestants]
    typer.echo("ms (times quadgate's), median; last: share of the processor's peak", err=as_json)
    typer.echo(f"{'case':<30}" + "".join(f"{name:>20}" for name in names), err=as_json)
    results = []
    for case in speed.selection(cases):
        measured = speed.measure(case, contestants, seconds)
        results.append(measured)
        typer.echo(_line(measured, names), err=as_json)
    used = speed.peak_memory(names) if memory else {}
    for name, size in used.items():
        typer.echo(f"peak memory of a training step, H=64 N=32, {name}: {size / 2**20:.0f} MiB", err=as_json)

    report = speed.report(results, contestants, used)
    if out is not None:
        speed.write(report, out)
    if plot is not None:
        speed.draw(results, plot)
    if as_json:
        typer.echo(json.dumps(report, indent=2))


def _line(measured: speed.Measured, names: list[str]) -> str:
    fields = [
        f"{measured.milliseconds[name]:.2f} ({measured.ratio(name):.2f})" if name in measured.milliseconds else "-"
        for name in names
    ]
    share = f"{measured.share_of_peak('quadgate'):.0%}"
    return f"{measured.case!s:<30}" + "".join(f"{field:>20}" for field in fields) + f"{share:>8}"
