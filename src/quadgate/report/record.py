"""`report.json`: what a run was made from, how, and what it is worth; and the same in a few lines."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quadgate.data import Sequences
from quadgate.data.parquet import LeftOut
from quadgate.errors import InputError
from quadgate.model import write_atomically
from quadgate.report.metrics import Scores

if TYPE_CHECKING:  # it would import torch, which evaluation does without
    from quadgate.training import Reach, Run

FORMAT_VERSION = 1
REPORT = "report.json"
PACKAGES = ("quadgate", "torch", "numpy", "scikit-learn", "safetensors")


def write_report(
    run: Run,
    how: tuple[str, ...],
    test: Sequences,
    scores: Scores,
    given: dict[str, Any],
    streamed: bool = False,
    left_out: tuple[LeftOut, ...] = (),
) -> dict[str, Any]:
    """Write `report.json` into the run's folder, whole or not at all, and return what it holds.

    Args:
        run: that ended.
        how: what was said of the data.
        test: the part it was measured on.
        scores: of it.
        given: the arguments of `quadgate.data.read` that gave the data.
        streamed: whether it learned from a set that stayed on the disk.
        left_out: what of that was damaged.

    Raises:
        InputError: the run was not trained into a folder.
    """
    if run.folder is None:
        raise InputError("run: found no folder, expected a run that was trained into one")
    document = {
        "format_version": FORMAT_VERSION,
        "data": {
            "source": test.source,
            "how": list(how),
            "streamed": streamed,
            "left_out": [asdict(one) for one in left_out],
            "read": {name: _kept(value) for name, value in given.items()},
            "a_class_at": "each case" if test.step_labels is None else "each step",
            "fingerprint": {"training": run.data, "test": test.fingerprint()},
            "test_cases": len(test),
            "fitted_cases": run.fitted_cases,
            "validation_cases": run.validation_cases,
        },
        "settings": asdict(run.settings),
        "parameters": run.parameters,
        "reach": {"before": _reach(run.reach_before), "after": _reach(run.reach_after)},
        "training": {
            "epochs": run.search.epoch,
            "best_epoch": run.search.best_epoch,
            "refit": run.settings.refit,
            "seconds": run.history.seconds(),
        },
        "test": scores.as_json(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": platform.platform(),
    }
    with write_atomically(run.folder / REPORT) as beside:
        beside.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return document


def add_to_report(folder: Path, facts: dict[str, Any]) -> None:
    """Put what a later look found into the run's `report.json`, under `report`."""
    file = folder / REPORT
    document = json.loads(file.read_text(encoding="utf-8")) | {"report": facts}
    with write_atomically(file) as beside:
        beside.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _kept(value: Any) -> Any:
    """Keep a path so that it is found from any folder."""
    if isinstance(value, (str, Path)) and Path(value).exists():
        return str(Path(value).resolve())
    return value


def training_lines(run: Run) -> list[str]:
    """Return what there is to say of a training that is over."""
    end = run.search
    what = f"trained {run.parameters:,} numbers on {run.fitted_cases:,} cases for {end.epoch} epochs"
    if not run.validation_cases:
        lines = [f"{what}, none held out to stop by"]
    else:
        lines = [f"{what}; the loss on {run.validation_cases:,} others was lowest after epoch {end.best_epoch}"]
    if run.settings.refit and run.validation_cases:
        lines.append(f"trained anew on all {run.fitted_cases + run.validation_cases:,} cases for {end.epoch} epochs")
    lines.append(f"training took {run.history.seconds():.1f} s; at its end {run.reach_after.describe()}")
    return lines


def _reach(reach: Reach) -> dict[str, Any]:
    return {
        "steps": reach.steps,
        "reached": reach.reached,
        "first": reach.first,
        "threshold": reach.threshold,
        "share_of_step_0": float(reach.shares[0]),
    }
