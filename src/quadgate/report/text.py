"""Scores as a table for the terminal, at most 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quadgate.errors import printable
from quadgate.report.metrics import Measures, Scores

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

WIDTH = 80
MOST_CLASSES = 10  # whose whole confusion matrix fits
CELL = 5  # columns of a count; a longer class name goes on in the next line
MOST_CONFUSIONS = 10  # that are listed where it does not
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
}


def scores_table(scores: Scores) -> RenderableType:
    """Return the measures beside the baseline's, the confusion matrix and the notes, to print with rich."""
    from rich.console import Group

    lines = [
        *scores.notes,
        *(
            f"left out: {count:,} {'cases' if scores.steps is None else 'steps'} of the unknown label {name!r}"
            for name, count in scores.unknown.items()
        ),
    ]
    return Group(_measures(scores), "", _confusion(scores), *lines)


def print_scores(scores: Scores) -> None:
    """Print the scores to standard output."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.width = min(WIDTH, console.width)
    console.print(scores_table(scores))


def _measures(scores: Scores) -> Table:
    table = _table(
        f"{scores.cases:,} cases" if scores.steps is None else f"{scores.steps:,} steps of {scores.cases:,} cases"
    )
    for title in ("model", "95 % interval", f"always {_short(scores.majority)}"):
        table.add_column(title, justify="right")
    for name, shown in NAMES.items():
        low, high = scores.interval
        interval = f"{low:.4f} to {high:.4f}" if name == "accuracy" else ""
        table.add_row(shown, _value(scores.model, name), interval, _value(scores.baseline, name))
    return table


def _confusion(scores: Scores) -> Table:
    if len(scores.classes) > MOST_CLASSES:
        return _worst_confusions(scores)
    table = _table("true class \\ predicted")
    for name in scores.classes:
        table.add_column(_short(name), justify="right", overflow="fold", max_width=CELL)
    for name, row in zip(scores.classes, scores.confusion.tolist(), strict=True):
        table.add_row(_short(name), *(str(count) if count else "." for count in row))
    return table


def _worst_confusions(scores: Scores) -> Table:
    """List the commonest mistakes, where a whole matrix would not fit."""
    table = _table("true class")
    table.add_column("taken for")
    table.add_column("cases", justify="right")
    wrong = scores.confusion - np.diag(np.diag(scores.confusion))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    for true, taken in zip(*np.unravel_index(worst, wrong.shape), strict=True):
        if wrong[true, taken]:
            table.add_row(_short(scores.classes[true]), _short(scores.classes[taken]), f"{wrong[true, taken]:,}")
    return table


def _table(first: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first)
    return table


def _value(measures: Measures, name: str) -> str:
    value = getattr(measures, name)
    return "undefined" if value is None else f"{value:.4f}"


def _short(name: Any, most: int = 12) -> str:
    text = printable(str(name))
    return text if len(text) <= most else text[: most - 1] + "…"
