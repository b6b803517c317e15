"""All that a report shows, as numbers: what the page draws and `report.json` keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data import Sequences
from quadgate.explain import Case, TrainingCases, explain_case
from quadgate.model import Ensemble, Model
from quadgate.model.summary import SummaryTable
from quadgate.report.evaluation import Predictions, class_names, matched_channels, predict
from quadgate.report.metrics import Scores, check_labels, find_classes, score, wilson_interval
from quadgate.report.suspicion import Suspicion, suspicions

MOST_CASES = 8  # that are drawn with all that led to their answer
_BINS = 10
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of one class against the rest: x and y of the curve, and the threshold of each point."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Answers of about one probability: the mean that was said, the share that was right, how many cases."""

    said: float
    right: float
    cases: int


@dataclass(frozen=True)
class LengthGroup:
    """Series of about one length: the shortest and longest, how many, the share that was right and its interval."""

    shortest: int
    longest: int
    cases: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Mistake:
    """A case that was answered wrongly."""

    case: str
    true_class: str | int
    answer: str | int
    probability: float
    probability_of_true: float


@dataclass(frozen=True, eq=False)
class DrawnCase:
    """A case that is drawn: its place in the part that was judged, why it was chosen, and what led to its answer."""

    place: int
    why: str
    case: Case


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found about a classifier.

    Attributes:
        source: what the model is called.
        train: the training part, or None where it is not known.
        test: the part that was judged.
        scores: of it.
        doubts: reasons not to believe them.
        history: the epochs of its training, or none.
        roc: share of others taken for a class, and share of the class found.
        precision: recall and precision.
        calibration: answers by their probability.
        lengths: answers by the length of the series.
        mistakes: the surest first.
        cases: that are drawn.
        variables: of the model.
    """

    source: str
    train: Sequences | None
    test: Sequences
    scores: Scores
    doubts: list[Suspicion]
    history: list[Any]
    roc: list[Curve]
    precision: list[Curve]
    calibration: list[Bin]
    lengths: list[LengthGroup]
    mistakes: list[Mistake]
    cases: list[DrawnCase]
    variables: SummaryTable

    @property
    def calibration_error(self) -> float:
        """How far what was said and what was true are apart, in the mean over the cases."""
        total = sum(one.cases for one in self.calibration)
        return sum(one.cases * abs(one.said - one.right) for one in self.calibration) / total

    @property
    def parts(self) -> dict[str, Sequences]:
        """The parts of the data by what they are for."""
        return {"judged": self.test} if self.train is None else {"training": self.train, "judged": self.test}

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, in six digits."""
        return {
            "model": self.source,
            "judged": self.test.describe(),
            "warnings": [asdict(one) for one in self.doubts],
            "scores": self.scores.as_json(),
            "roc": [_curve(one, "false_positive_rate", "true_positive_rate") for one in self.roc],
            "precision_recall": [_curve(one, "recall", "precision") for one in self.precision],
            "calibration": {"error": self.calibration_error, "bins": [asdict(one) for one in self.calibration]},
            "accuracy_by_length": [asdict(one) for one in self.lengths],
            "mistakes": [asdict(one) for one in self.mistakes],
            "history": [asdict(one) for one in self.history],
            "data": {name: _described(part) for name, part in self.parts.items()},
            "cases": [{"why": one.why, **_rounded(one.case.as_json())} for one in self.cases],
            "variables": [
                {"name": row.name, "shape": list(row.shape), "count": row.count} for row in self.variables.rows
            ],
        }


def find(
    model: Model | Ensemble,
    train: Sequences | None,
    test: Sequences,
    history: list[Any],
    trained: Callable[[], TrainingCases | None],
    draw: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Look at a classifier from every side.

    Args:
        model: the classifier.
        train: the training part, or None.
        test: the part that it is judged by, with labels.
        history: the epochs of its training, or none.
        trained: gives the training cases as the model sees them, or None.
        draw: one more case to draw, by its place.
        progress: called with a word on each step.

    Raises:
        InputError: there are no labels, or some that the model does not know; or series that do not fit it.
    """
    test = matched_channels(model, test)
    train = None if train is None else matched_channels(model, train)
    labels = check_labels(test, class_names(model))
    progress(f"running the model over {len(test):,} cases")
    said = predict(model, test)
    scores = score(labels, said.probabilities, said.classes)
    truth = find_classes(labels, said.classes)[1]
    progress("looking for leaks between the parts and for shuffled labels")
    doubts = suspicions(train, test, scores, said.answers == labels)
    roc, precision = _curves(truth, said)
    near, drawn = trained(), []
    chosen = _chosen(truth, said, draw)
    for number, (k, why) in enumerate(chosen.items(), start=1):
        progress(f"explaining case {number} of {len(chosen)}")
        case = explain_case(model, test.series[k], test.name(k), test.channels, labels[k].item(), near)
        drawn.append(DrawnCase(k, why, case))
    return Findings(
        model.source or "model",
        train,
        test,
        scores,
        doubts,
        history,
        roc,
        precision,
        _calibration(truth, said),
        _by_length(truth, said, test),
        _mistakes(truth, said, test),
        drawn,
        model.summary(),
    )


def _curves(truth: NDArray[np.int64], said: Predictions) -> tuple[list[Curve], list[Curve]]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    roc, precision = [], []
    for k, name in enumerate(map(str, said.classes)):
        is_class, given = truth == k, said.probabilities[:, k]
        if 0 < is_class.sum() < len(truth):
            x, y, _ = roc_curve(is_class, given)
            roc.append(Curve(name, x, y))
            y, x, _ = precision_recall_curve(is_class, given)
            precision.append(Curve(name, x, y))
    return roc, precision


def _calibration(truth: NDArray[np.int64], said: Predictions) -> list[Bin]:
    sure, right = said.probabilities.max(axis=1), said.probabilities.argmax(axis=1) == truth
    place = np.clip((sure * _BINS).astype(int), 0, _BINS - 1)
    return [
        Bin(float(sure[place == k].mean()), float(right[place == k].mean()), int((place == k).sum()))
        for k in np.unique(place)
    ]


def _by_length(truth: NDArray[np.int64], said: Predictions, test: Sequences) -> list[LengthGroup]:
    right, lengths = said.probabilities.argmax(axis=1) == truth, test.lengths
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, 7)).astype(int))
    place = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for k in np.unique(place):
        inside = place == k
        interval = wilson_interval(int(right[inside].sum()), int(inside.sum()))
        ends = int(lengths[inside].min()), int(lengths[inside].max())
        found.append(LengthGroup(*ends, int(inside.sum()), float(right[inside].mean()), interval))
    return found


def _mistakes(truth: NDArray[np.int64], said: Predictions, test: Sequences) -> list[Mistake]:
    given = said.probabilities
    answers, sure = given.argmax(axis=1), given.max(axis=1)
    wrong = np.flatnonzero(answers != truth)
    names = said.classes.tolist()
    return [
        Mistake(test.name(k), names[truth[k]], names[answers[k]], float(sure[k]), float(given[k, truth[k]]))
        for k in wrong[np.argsort(-sure[wrong], kind="stable")].tolist()
    ]


def _chosen(truth: NDArray[np.int64], said: Predictions, draw: int | None) -> dict[int, str]:
    """Choose the cases that are drawn, and say why each: asked for, a sure mistake, a narrow call, a sure hit."""
    given = said.probabilities
    answer, sure = given.argmax(axis=1), given.max(axis=1)
    ordered = np.sort(given, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    found: dict[int, str] = {} if draw is None else {draw: "asked for"}
    wrong = np.flatnonzero(answer != truth)
    for k in wrong[np.argsort(-sure[wrong], kind="stable")][:4]:
        found.setdefault(int(k), "a confident mistake")
    for k in np.argsort(margin, kind="stable")[:2]:
        found.setdefault(int(k), "a narrow call")
    hits = [int(k) for k in np.argsort(-sure, kind="stable") if answer[k] == truth[k] and int(k) not in found]
    for k in hits[: min(2, MOST_CASES - len(found))]:
        found[k] = "a sure answer"
    return found


def _described(part: Sequences) -> dict[str, Any]:
    """Return the data card of a part."""
    names, counts = ((), ()) if part.labels is None else np.unique(part.labels, return_counts=True)
    return {
        "source": part.source,
        "cases": len(part),
        "numbers": sum(one.size for one in part.series),
        "missing": 0,  # a missing value is refused when it is read
        "classes": [{"class": str(name), "cases": int(count)} for name, count in zip(names, counts, strict=True)],
        "lengths": dict(zip(("0%", "25%", "50%", "75%", "100%"), quantiles(part), strict=True)),
        "channels": [
            {"name": name, **{what: _round(value) for what, value in one.items()}}
            for name, one in zip(part.channels, channel_statistics(part), strict=True)
        ],
    }


def quantiles(part: Sequences) -> list[float]:
    """Return the shortest length, the quarters and the longest."""
    return [float(value) for value in np.quantile(part.lengths, [0, 0.25, 0.5, 0.75, 1])]


def channel_statistics(part: Sequences) -> list[dict[str, float]]:
    """Return mean, deviation, least and most of each channel."""
    steps = np.concatenate(part.series).astype(np.float64)
    return [
        {"mean": float(one.mean()), "deviation": float(one.std()), "least": float(one.min()), "most": float(one.max())}
        for one in steps.T
    ]


def _curve(one: Curve, x: str, y: str) -> dict[str, Any]:
    return {"class": one.name, x: _rounded(one.x.tolist()), y: _rounded(one.y.tolist())}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return _round(value)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
