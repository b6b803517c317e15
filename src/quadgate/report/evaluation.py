"""Run a loaded model over a data set: probabilities, and how good they are. Needs no torch."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data import Sequences
from quadgate.errors import InputError, suggest
from quadgate.explain import Neighbor, TrainingCases, neighbors_of
from quadgate.model import Ensemble, Model, write_atomically
from quadgate.report.metrics import Scores, check_labels, score

CASES = 256  # that run together: enough to keep the machine busy, and the memory small
UNKNOWN = ("refuse", "ignore")
_OF_A_NEIGHBOR = ("neighbor", "class of neighbor", "distance of neighbor")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N cases.

    Attributes:
        cases: N names.
        classes: `[K]`.
        probabilities: `[N, K]` float32.
        neighbors: the nearest training cases of each, or None where they were not asked for.
        steps: the step of each, from 0; then a row is what the model says after that step, and N counts steps.
    """

    cases: tuple[str, ...]
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]
    neighbors: tuple[tuple[Neighbor, ...], ...] | None = None
    steps: NDArray[np.int64] | None = None

    @property
    def answers(self) -> NDArray[Any]:
        """`[N]`, the likeliest class of each case."""
        return np.asarray(self.classes[self.probabilities.argmax(axis=1)])

    def as_csv(self) -> str:
        """Return a table: case, class, a column for the probability of each class, and three for each neighbour."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        near = self.neighbors or ((),) * len(self.cases)
        count = len(near[0]) if near else 0
        head = [f"{what} {k}" for k in range(1, count + 1) for what in _OF_A_NEIGHBOR]
        steps = [()] * len(self.cases) if self.steps is None else [(step,) for step in self.steps.tolist()]
        place = ["case"] if self.steps is None else ["case", "step"]
        table.writerow([*place, "class", *(f"probability of {name}" for name in self.classes.tolist()), *head])
        rows = zip(self.cases, steps, self.answers.tolist(), self.probabilities, near, strict=True)
        for name, step, answer, row, found in rows:
            told = [cell for one in found for cell in (one.name, one.label, f"{one.distance:.7g}")]
            table.writerow([name, *step, answer, *map(str, row), *told])
        return text.getvalue()

    def write_csv(self, path: Path) -> None:
        """Write the table, whole or not at all."""
        with write_atomically(path) as beside:
            beside.write_text(self.as_csv(), encoding="utf-8", newline="")

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        found = {
            "classes": self.classes.tolist(),
            "cases": list(self.cases),
            "class": self.answers.tolist(),
            "probabilities": self.probabilities.tolist(),
        }
        if self.steps is not None:
            found["step"] = self.steps.tolist()
        if self.neighbors is not None:
            found["neighbors"] = [[one.as_json() for one in near] for near in self.neighbors]
        return found


def predict(model: Model | Ensemble, sequences: Sequences) -> Predictions:
    """Return what the model says of each case.

    Raises:
        InputError: the model is no classifier, or the series have another number of channels.
    """
    sequences = _for_classifier(model, sequences)
    parts = [sequences.series[start : start + CASES] for start in range(0, len(sequences), CASES)]
    probabilities = np.concatenate([model.run(list(part), output="probabilities")[0] for part in parts])
    return Predictions(_names(sequences), class_names(model), probabilities)


def predict_steps(model: Model | Ensemble, sequences: Sequences) -> Predictions:
    """Return what the model says after each step of each case, as it streams; the last answers are `predict`'s.

    Raises:
        InputError: as `predict`, or the model needs steps that have not come yet.
    """
    sequences = _for_classifier(model, sequences)
    stream, said = model.stream("probabilities"), []
    for one in sequences.series:
        stream.reset()
        said.append(np.array(stream.run(one)))
    names = tuple(np.repeat(np.array(_names(sequences), dtype=object), sequences.lengths).tolist())
    steps = np.concatenate([np.arange(length) for length in sequences.lengths])
    return Predictions(names, class_names(model), np.concatenate(said), steps=steps)


def _for_classifier(model: Model | Ensemble, sequences: Sequences) -> Sequences:
    if model.classes is None:
        raise InputError(f"{model.source}: found recurrent layers alone, expected a classifier with a head")
    return matched_channels(model, sequences)


def _names(sequences: Sequences) -> tuple[str, ...]:
    return sequences.names or tuple(map(str, range(len(sequences))))


def with_neighbors(
    predictions: Predictions, model: Model | Ensemble, sequences: Sequences, trained: TrainingCases, count: int
) -> Predictions:
    """Add to predictions the `count` training cases whose final states are nearest.

    Raises:
        InputError: there are fewer training cases, or they are another model's.
    """
    return replace(
        predictions, neighbors=neighbors_of(model, matched_channels(model, sequences).series, trained, count)
    )


def class_names(model: Model | Ensemble) -> NDArray[Any]:
    """Return the name of each class `[K]`, or the numbers from 0 where the model has no names."""
    return np.asarray(model.labels if model.labels is not None else range(model.classes or 0))


def evaluate(model: Model | Ensemble, sequences: Sequences, unknown_labels: str = "refuse") -> Scores:
    """Measure a model on labelled series: after each step, where they have a class at each step.

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
    if sequences.step_labels is None:
        return score(labels, predict(model, sequences).probabilities, classes)
    return score(labels, predict_steps(model, sequences).probabilities, classes, len(sequences))


def matched_channels(model: Model | Ensemble, sequences: Sequences) -> Sequences:
    """Return series with their channels in the order that a model reads, matched by name where both have names.

    Raises:
        InputError: another number of channels, or other names; says what may be wrong.
    """
    found, expected = len(sequences.channels), model.inputs
    if found == expected:
        return sequences if model.channels is None else sequences.with_channels(model.channels)
    if (sequences.lengths == expected).all():
        hint = "; the axes look swapped: give --axes NCT"
    elif found == 1:
        hint = f"; give an array [cases, steps, {expected}], or --channels {expected} to cut the rows of [cases, steps]"
    else:
        hint = ""
    shown = f"{found} channel" if found == 1 else f"{found} channels"
    raise InputError(f"{sequences.source}: found {shown}, expected {expected} as in training{hint}")
