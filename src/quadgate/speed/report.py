"""Measurements as data, with the machine and the versions that they hold for, and as a plot."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadgate.errors import MissingDependencyError
from quadgate.kernels.machine import examine
from quadgate.model.atomic import write_atomically
from quadgate.speed.contestants import Contestant
from quadgate.speed.measure import Measured
from quadgate.speed.steppers import SteppingContestant
from quadgate.speed.stepping import Stepped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def report(results: list[Measured], contestants: list[Contestant], memory: dict[str, int]) -> dict[str, Any]:
    """Return everything that was measured as one JSON-able object."""
    return {
        "machine": _machine(),
        "versions": {one.name: one.version for one in contestants},
        "cases": [
            {
                **asdict(one.case),
                "milliseconds": {name: round(value, 4) for name, value in one.milliseconds.items()},
                "times_quadgate": {name: round(one.ratio(name), 3) for name in one.milliseconds},
                "share_of_peak": {name: round(one.share_of_peak(name), 3) for name in one.milliseconds},
                "peak_gflops": round(one.peak / 1e9, 1),
                "largest_error": one.errors,
            }
            for one in results
        ],
        "memory_of_a_training_step": memory,
    }


def _machine() -> dict[str, str]:
    found = {finding.subject: finding.found for finding in examine()}
    return {name: found[name] for name in ("processor", "compiled kernels")} | {"system": platform.platform()}


def report_steps(stepped: Stepped, contestants: list[SteppingContestant]) -> dict[str, Any]:
    """Return what was measured of steps as one JSON-able object."""
    model = stepped.model
    return {
        "machine": _machine(),
        "versions": {one.name: one.version for one in contestants},
        "model": {"units": model.layers[0][0].units, "channels": model.inputs, "classes": model.classes},
        "step_microseconds": {
            name: {"p50": round(one.p50, 3), "p99": round(one.p99, 3), "max": round(one.most, 3), "steps": one.steps}
            for name, one in stepped.latency.items()
        },
        "times_quadgate": {name: round(stepped.ratio(name), 3) for name in stepped.latency},
        "thousand_streams_milliseconds": {name: round(taken, 4) for name, taken in stepped.together.items()},
        "streams_per_core_at_1khz": {name: stepped.streams_at_1khz(name) for name in stepped.together},
        "quiet_input_times_usual": {name: round(ratio, 3) for name, ratio in stepped.quiet.items()},
        "largest_error": stepped.errors,
        "clock_microseconds": stepped.clock,
    }


def write(report: dict[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    with write_atomically(path) as beside:
        beside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def draw(results: list[Measured], path: Path) -> None:
    """Draw how many times longer than quadgate each peer takes, case by case.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = _figure()(figsize=(8, 1 + 0.35 * len(results)), layout="constrained")
    axes = figure.add_subplot()
    names = [name for name in results[0].milliseconds if name != "quadgate"] if results else []
    height = 0.8 / max(len(names), 1)
    for place, name in enumerate(names):
        rows = [row for row, one in enumerate(results) if name in one.milliseconds]
        ratios = [results[row].ratio(name) for row in rows]
        axes.barh([row + place * height for row in rows], ratios, height, label=name)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks([row + 0.3 for row in range(len(results))], [str(one.case) for one in results])
    axes.invert_yaxis()
    axes.set_xlabel("time, in times of quadgate's")
    if names:
        axes.legend()
    figure.savefig(path)


def draw_steps(stepped: Stepped, path: Path) -> None:
    """Draw what a step takes, p50 to p99 and the longest, and how many streams a core keeps up with.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = _figure()(figsize=(9, 1.2 + 0.45 * len(stepped.latency)), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(stepped.latency)
    for row, name in enumerate(names):
        one = stepped.latency[name]
        left.barh(row, one.p99 - one.p50, 0.5, one.p50, color="tab:blue", label="p50 to p99" if row == 0 else None)
        left.plot(one.most, row, "|", color="tab:red", markersize=12, label="the longest" if row == 0 else None)
        left.text(one.p50, row, f"{one.p50:.3g} ", ha="right", va="center")
    left.set_xscale("log")
    left.set_xlim(left=min(one.p50 for one in stepped.latency.values()) / 8)
    left.set_xlabel("µs a step")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    together = list(stepped.together)
    right.barh(range(len(together)), [stepped.streams_at_1khz(name) for name in together], 0.5)
    right.set_xlabel("streams of 1 kHz on a core")
    for axes, shown in ((left, names), (right, together)):
        axes.set_yticks(range(len(shown)), shown)
        axes.invert_yaxis()
    figure.savefig(path)


def _figure() -> Callable[..., Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("a plot needs matplotlib: pip install matplotlib") from error
    return Figure
