"""Run a loaded model over a data set: probabilities, and how good they are. Needs no torch."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data import Dataset, Sequences
from quadgate.errors import InputError, suggest
from quadgate.model import Ensemble, Model, write_atomically
from quadgate.report.metrics import Scores, check_labels, score

CASES = 256  # that run together: enough to keep the machine busy, and the memory small
UNKNOWN = ("refuse", "ignore")


def part_to_judge(data: Dataset, model: Model | Ensemble | None = None) -> tuple[Sequences, str]:
    """Return the test part, or where there is none all cases, and what to say of them before measuring `model`."""
    if data.test is not None:
        return data.test, f"the test part: {data.test.describe()}"
    which = f"all cases: {data.train.describe()}"
    if model is not None and model.source == f"quadgate train on {data.train.source}":
        which += "\nnote: it was trained on data of this name; on cases that it learned from it looks better than it is"
    return data.train, which


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N cases.

    Attributes:
        cases: N names.
        classes: `[K]`.
        probabilities: `[N, K]` float32.
    """

    cases: tuple[str, ...]
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]

    @property
    def answers(self) -> NDArray[Any]:
        """`[N]`, the likeliest class of each case."""
        return np.asarray(self.classes[self.probabilities.argmax(axis=1)])

    def as_csv(self) -> str:
        """Return a table: case, class, and a column for the probability of each class."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["case", "class", *(f"probability of {name}" for name in self.classes.tolist())])
        for name, answer, row in zip(self.cases, self.answers.tolist(), self.probabilities, strict=True):
            table.writerow([name, answer, *map(str, row)])
        return text.getvalue()

    def write_csv(self, path: Path) -> None:
        """Write the table, whole or not at all."""
        with write_atomically(path) as beside:
            beside.write_text(self.as_csv(), encoding="utf-8", newline="")

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "classes": self.classes.tolist(),
            "cases": list(self.cases),
            "class": self.answers.tolist(),
            "probabilities": self.probabilities.tolist(),
        }


def predict(model: Model | Ensemble, sequences: Sequences) -> Predictions:
    """Return what the model says of each case.

    Raises:
        InputError: the model is no classifier, or the series have another number of channels.
    """
    if model.classes is None:
        raise InputError(f"{model.source}: found recurrent layers alone, expected a classifier with a head")
    _check_channels(model, sequences)
    parts = [sequences.series[start : start + CASES] for start in range(0, len(sequences), CASES)]
    probabilities = np.concatenate([model.run(list(part), output="probabilities")[0] for part in parts])
    names = sequences.names or tuple(map(str, range(len(sequences))))
    return Predictions(names, class_names(model), probabilities)


def class_names(model: Model | Ensemble) -> NDArray[Any]:
    """Return the name of each class `[K]`, or the numbers from 0 where the model has no names."""
    return np.asarray(model.labels if model.labels is not None else range(model.classes or 0))


def evaluate(model: Model | Ensemble, sequences: Sequences, unknown_labels: str = "refuse") -> Scores:
    """Measure a model on labelled series.

    Args:
        model: a classifier.
        sequences: with labels.
        unknown_labels: what to do with labels that the model does not know: `refuse` them, or `ignore` their cases and
            count them apart.

    Raises:
        InputError: labels that the model does not know, or series that do not fit it.
    """
    if unknown_labels not in UNKNOWN:
        raise InputError(f"unknown_labels: found {unknown_labels!r}; {suggest(unknown_labels, UNKNOWN)}")
    classes = class_names(model)
    labels = check_labels(sequences, classes, refuse=unknown_labels == "refuse")
    return score(labels, predict(model, sequences).probabilities, classes)


def _check_channels(model: Model | Ensemble, sequences: Sequences) -> None:
    found, expected = len(sequences.channels), model.inputs
    if found == expected:
        return
    if (sequences.lengths == expected).all():
        hint = "; the axes look swapped: give --axes NCT"
    elif found == 1:
        hint = f"; give an array [cases, steps, {expected}], or --channels {expected} to cut the rows of [cases, steps]"
    else:
        hint = ""
    shown = f"{found} channel" if found == 1 else f"{found} channels"
    raise InputError(f"{sequences.source}: found {shown}, expected {expected} as in training{hint}")
