"""How good predictions are: each measure beside what a constant answer would get."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.data import Sequences
from quadgate.errors import InputError

Z95 = 1.959963984540054  # the normal quantile of 0.975: a two-sided interval of 95 %


@dataclass(frozen=True)
class Measures:
    """One answerer's measures over the same cases.

    Attributes:
        accuracy: the share of cases answered rightly.
        balanced_accuracy: the mean over classes of the share of the class's cases answered rightly.
        macro_f1: the mean over classes of the harmonic mean of precision and recall.
        roc_auc: the mean over classes of the area under the curve of this class against the rest; None where undefined.
        log_loss: the mean of `-log` of the probability given to the true class.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    roc_auc: float | None
    log_loss: float


@dataclass(frozen=True, eq=False)
class Scores:
    """What an evaluation found.

    Attributes:
        cases: N, the cases counted; of them, where `steps` is not None, each step counts.
        steps: the steps counted, or None where each case counts once.
        classes: the K classes that the model knows.
        model: the model's measures.
        interval: the 95 % confidence interval of the model's accuracy (Wilson 1927); steps of a case are alike, so that
            there, too, only the number of cases makes it narrow.
        majority: the commonest class among the cases.
        baseline: the measures of giving every case the class shares of these very cases as its probabilities.
        confusion: `[K, K]` int64, cases (or steps) by true class (row) and predicted class (column).
        unknown: how many cases were left out for each label that the model does not know.
        notes: what could not be measured, and why.
    """

    cases: int
    classes: tuple[Any, ...]
    model: Measures
    interval: tuple[float, float]
    majority: Any
    baseline: Measures
    confusion: NDArray[np.int64]
    unknown: dict[Any, int]
    notes: tuple[str, ...]
    steps: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "cases": self.cases,
            "steps": self.steps,
            "classes": list(self.classes),
            "model": asdict(self.model),
            "accuracy_interval": list(self.interval),
            "baseline": {"class": self.majority} | asdict(self.baseline),
            "confusion": self.confusion.tolist(),
            "unknown": [{"label": label, "cases": count} for label, count in self.unknown.items()],
            "notes": list(self.notes),
        }


def score(labels: ArrayLike, probabilities: ArrayLike, classes: ArrayLike, cases: int | None = None) -> Scores:
    """Compare predictions with the true labels.

    Args:
        labels: `[N]`; cases whose label is not in `classes` are left out and counted apart.
        probabilities: `[N, K]`, rows that sum to one.
        classes: `[K]`, the class of each column.
        cases: how many cases the labels are the steps of; None where each is a case of its own.

    Raises:
        InputError: no case has a known label.

    >>> found = score(["a", "a", "b"], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], ["a", "b"])
    >>> round(found.model.accuracy, 3), round(found.baseline.accuracy, 3), found.confusion.tolist()
    (0.667, 0.667, [[1, 1], [0, 1]])
    """
    from sklearn.metrics import confusion_matrix

    truth, names = np.asarray(labels), np.asarray(classes)
    known, target = find_classes(truth, names)
    if not known.any():
        raise InputError(f"labels: found no case of a class that the model knows ({_list(names)})")
    given = np.asarray(probabilities, dtype=np.float64)[known]
    given = given / given.sum(axis=1, keepdims=True)  # float32 rows sum to one only nearly
    target = target[known]
    counts = np.bincount(target, minlength=len(names))
    shares = np.broadcast_to(counts / counts.sum(), given.shape)
    right = float((given.argmax(axis=1) == target).mean())
    counted = len(target) if cases is None else cases
    strange, how_many = np.unique(truth[~known], return_counts=True)
    return Scores(
        cases=counted,
        classes=tuple(names.tolist()),
        model=_measure(target, given),
        interval=wilson_interval(right * counted, counted),
        majority=names[counts.argmax()].item(),
        baseline=_measure(target, shares),
        confusion=confusion_matrix(target, given.argmax(axis=1), labels=np.arange(len(names))).astype(np.int64),
        unknown=dict(zip(strange.tolist(), how_many.tolist(), strict=True)),
        notes=_notes(counts, names),
        steps=None if cases is None else len(target),
    )


def find_classes(labels: NDArray[Any], classes: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return for each label whether it is among `classes [K]`, and which it is (0 where it is not).

    Numbers and text are different: the label 1 is not the class "1".
    """
    position = {name: k for k, name in enumerate(classes.tolist())}
    found = np.array([position.get(label, -1) for label in labels.tolist()], dtype=np.int64)
    return found >= 0, np.maximum(found, 0)


def check_labels(sequences: Sequences, classes: ArrayLike, refuse: bool = True) -> NDArray[Any]:
    """Return the labels to evaluate against, of all steps in a row where there is a class at each.

    Those that training never saw are refused, unless `refuse` is False.

    Raises:
        InputError: there are no labels, or some are not among `classes`; names which and how many.
    """
    if sequences.labels is None:
        raise InputError(f"{sequences.source}: found no labels, expected one for each case; use `quadgate predict`")
    labels, what = sequences.labels, "cases"
    if sequences.step_labels is not None:
        labels, what = np.concatenate(sequences.step_labels), "steps"
    names = np.asarray(classes)
    known, _ = find_classes(labels, names)
    if refuse and not known.all():
        strange, how_many = np.unique(labels[~known], return_counts=True)
        found = ", ".join(f"{label!r} ({count:,})" for label, count in zip(strange.tolist(), how_many, strict=True))
        raise InputError(
            f"{sequences.source}: found {(~known).sum():,} {what} with labels that training never saw: {found}; "
            f"expected {_list(names)}; `evaluate --unknown-labels ignore` counts such {what} apart"
        )
    return labels


def wilson_interval(correct: float, cases: int, z: float = Z95) -> tuple[float, float]:
    """Return the confidence interval of a share, `correct` out of `cases` (Wilson 1927); inside 0 to 1 for any count.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    share = correct / cases
    centre = share + z * z / (2 * cases)
    half = z * sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    width = 1 + z * z / cases
    return max(0.0, (centre - half) / width), min(1.0, (centre + half) / width)


def _measure(target: NDArray[np.int64], given: NDArray[np.float64]) -> Measures:
    from sklearn.metrics import f1_score, log_loss, recall_score, roc_auc_score

    answer = given.argmax(axis=1)
    present = np.unique(target)
    areas = [roc_auc_score(target == k, given[:, k]) for k in present] if len(present) > 1 else []
    return Measures(
        accuracy=float((answer == target).mean()),
        balanced_accuracy=float(recall_score(target, answer, labels=present, average="macro", zero_division=0)),
        macro_f1=float(f1_score(target, answer, average="macro", zero_division=0)),
        roc_auc=float(np.mean(areas)) if areas else None,
        log_loss=float(log_loss(target, given, labels=np.arange(given.shape[1]))),
    )


def _notes(counts: NDArray[np.int64], names: NDArray[Any]) -> tuple[str, ...]:
    absent = names[counts == 0]
    if not len(absent):
        return ()
    if (counts > 0).sum() == 1:
        return (f"ROC AUC is undefined: every case is of class {names[counts.argmax()].item()!r}",)
    return (f"ROC AUC and balanced accuracy leave out classes without a case: {_list(absent)}",)


def _list(names: NDArray[Any], most: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:most].tolist())
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
