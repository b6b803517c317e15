"""Measurements as data, with the machine and the versions that they hold for, and as a plot."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quadgate.errors import MissingDependencyError
from quadgate.kernels.machine import examine
from quadgate.model.atomic import write_atomically
from quadgate.speed.contestants import Contestant
from quadgate.speed.measure import Measured


def report(results: list[Measured], contestants: list[Contestant], memory: dict[str, int]) -> dict[str, Any]:
    """Return everything that was measured as one JSON-able object."""
    machine = {finding.subject: finding.found for finding in examine()}
    return {
        "machine": {name: machine[name] for name in ("processor", "compiled kernels")}
        | {"system": platform.platform()},
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


def write(report: dict[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    with write_atomically(path) as beside:
        beside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def draw(results: list[Measured], path: Path) -> None:
    """Draw how many times longer than quadgate each peer takes, case by case.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("a plot needs matplotlib: pip install matplotlib") from error

    figure = Figure(figsize=(8, 1 + 0.35 * len(results)), layout="constrained")
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
