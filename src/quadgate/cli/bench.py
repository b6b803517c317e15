"""`quadgate bench`: how fast, beside the peers that are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from quadgate import speed


def bench(
    cases: Annotated[
        list[str] | None,
        typer.Option(
            help="quick, infer, train, all, or a case as in 'train H=64 N=32'; may be repeated; quick without it."
        ),
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="A peer to take part; may be repeated; all that are installed without it.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each case and contestant.")] = 1.0,
    stream: Annotated[bool, typer.Option("--stream", help="Measure single steps of a stream instead.")] = False,
    memory: Annotated[bool, typer.Option(help="Also measure the peak memory of a training step.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the results to this JSON file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them to this file; needs matplotlib.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time an LSTM layer in quadgate and its peers, in turn, after checking that their answers agree."""
    from quadgate import speed

    if stream:
        _steps(seconds, out, plot, as_json)
        return
    contestants = speed.installed(against)
    names = [one.name for one in contestants]
    typer.echo("ms (times quadgate's), median; last: share of the processor's peak", err=as_json)
    typer.echo(f"{'case':<30}" + "".join(f"{name:>20}" for name in names), err=as_json)
    results = []
    for case in (case for name in cases or ["quick"] for case in speed.selection(name)):
        measured = speed.measure(case, contestants, seconds)
        results.append(measured)
        typer.echo(_line(measured, names), err=as_json)
    used = speed.peak_memory(names) if memory else {}
    for name, size in used.items():
        typer.echo(f"peak memory of a training step, H=64 N=32, {name}: {size / 2**20:.0f} MiB", err=as_json)

    _write(speed.report(results, contestants, used), partial(speed.draw, results), out, plot, as_json)


def _steps(seconds: float, out: Path | None, plot: Path | None, as_json: bool) -> None:
    from quadgate import speed

    contestants = speed.stepping()
    typer.echo("One step of a stream, H=64, 12 channels, 6 probabilities, one thread; µs, in turn.", err=as_json)
    stepped = speed.measure_steps(contestants, seconds, told=lambda what: typer.echo(f"{what} ...", err=True))
    typer.echo(
        f"{'':<20}{'p50':>10}{'p99':>10}{'longest':>10}{'times':>8}{'1 000 streams':>16}{'streams at 1 kHz':>18}",
        err=as_json,
    )
    for name, one in stepped.latency.items():
        line = f"{name:<20}{one.p50:>10.2f}{one.p99:>10.2f}{one.most:>10.0f}{stepped.ratio(name):>8.2f}"
        if name in stepped.together:
            line += f"{stepped.together[name]:>13.2f} ms{stepped.streams_at_1khz(name):>18,}"
        typer.echo(line, err=as_json)
    if stepped.quiet:
        told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in stepped.quiet.items())
        typer.echo(f"on quiet input, times the usual step: {told}", err=as_json)
    typer.echo(f"reading the clock is {stepped.clock:.2f} µs of each of them", err=as_json)
    _write(speed.report_steps(stepped, contestants), partial(speed.draw_steps, stepped), out, plot, as_json)


def _write(
    report: dict[str, Any], draw: Callable[[Path], None], out: Path | None, plot: Path | None, as_json: bool
) -> None:
    from quadgate import speed

    if out is not None:
        speed.write(report, out)
    if plot is not None:
        draw(plot)
    if as_json:
        typer.echo(json.dumps(report, indent=2))


def _line(measured: speed.Measured, names: list[str]) -> str:
    fields = [
        f"{measured.milliseconds[name]:.2f} ({measured.ratio(name):.2f})" if name in measured.milliseconds else "-"
        for name in names
    ]
    share = f"{measured.share_of_peak('quadgate'):.0%}"
    return f"{measured.case!s:<30}" + "".join(f"{field:>20}" for field in fields) + f"{share:>8}"
