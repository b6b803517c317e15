"""One prediction taken apart: what each channel and step contributed, what the gates did, which cases are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.explain.activity import Activity, activities
from quadgate.explain.contribution import Contribution, contribution
from quadgate.explain.neighbors import Neighbor, TrainingCases, neighbors_of
from quadgate.model import Ensemble, Model, Patches


@dataclass(frozen=True, eq=False)
class Case:
    """A prediction and what led to it.

    Attributes:
        name: of the case.
        series: `[T, C]`.
        channels: C names.
        classes: K names.
        truth: the true class, or None.
        probabilities: `[K]`.
        contribution: to the log-odds of the likeliest class.
        activity: of the top layer (of an ensemble, its first network's), forward.
        patches: how the series was cut for that layer.
        neighbors: the nearest training cases, the nearest first.
    """

    name: str
    series: NDArray[Any]
    channels: tuple[str, ...]
    classes: tuple[str | int, ...]
    truth: str | int | None
    probabilities: NDArray[np.float32]
    contribution: Contribution
    activity: Activity
    patches: Patches
    neighbors: tuple[Neighbor, ...] = ()

    @property
    def answer(self) -> str | int:
        """The likeliest class."""
        return self.classes[self.contribution.target]

    @property
    def order(self) -> NDArray[np.int64]:
        """The channels, those first that counted most."""
        return np.argsort(-np.abs(self.contribution.gradients).sum(axis=0), kind="stable")

    @property
    def starts(self) -> NDArray[np.int64]:
        """`[P]`, the first step of each patch; of a network that reads step by step, the steps."""
        return np.arange(next(iter(self.activity.values.values())).shape[1]) * self.patches.stride

    def as_json(self) -> dict[str, Any]:
        """Return everything that the page shows, as JSON can hold it."""
        told = self.contribution
        return {
            "case": self.name,
            "series": self.series.tolist(),
            "channels": list(self.channels),
            "true_class": self.truth,
            "answer": self.answer,
            "probabilities": dict(zip(map(str, self.classes), self.probabilities.tolist(), strict=True)),
            "log_odds": told.log_odds,
            "log_odds_of_baseline": told.baseline,
            "integrated_gradients": told.gradients.tolist(),
            "missing_from_their_sum": told.missing,
            "occlusion": told.occlusion.tolist(),
            "layer": self.activity.name,
            "first_step_of_each_patch": self.starts.tolist(),
            "mean_over_units": {name: values[0].mean(axis=1).tolist() for name, values in self.activity.values.items()},
            "neighbors": [one.as_json() for one in self.neighbors],
        }


def explain_case(
    model: Model | Ensemble,
    series: NDArray[Any],
    name: str = "case",
    channels: Sequence[str] | None = None,
    truth: str | int | None = None,
    trained: TrainingCases | None = None,
    neighbors: int = 5,
) -> Case:
    """Take one prediction apart.

    Args:
        model: a classifier.
        series: `[T, C]`, not scaled.
        name: what the case is called.
        channels: their names; numbers without them.
        truth: the true class, where it is known.
        trained: the training cases, where they are known.
        neighbors: how many of them are looked for, at most.

    Raises:
        InputError: the model has no classes, or the series does not fit it.

    >>> from quadgate.model import Network
    >>> network = Network(inputs=2, units=3, classes=2)
    >>> rng = np.random.default_rng(0)
    >>> variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    >>> case = explain_case(Model(network, variables), rng.normal(size=(5, 2)))
    >>> case.contribution.gradients.shape, sorted(case.activity.values)
    ((5, 2), ['c', 'f', 'h', 'i', 'j', 'o'])
    """
    series = np.asarray(series)
    # first, since it says what does not fit
    probabilities = model.run([series], output="probabilities" if model.classes else None)[0][0]
    told = contribution(model, series, int(probabilities.argmax()) if model.classes else 0)
    activity, patches = _activity(model, series)
    return Case(
        name=name,
        series=series,
        channels=tuple(channels or model.channels or map(str, range(series.shape[1]))),
        classes=model.labels or tuple(range(model.classes or 0)),
        truth=truth,
        probabilities=probabilities,
        contribution=told,
        activity=activity,
        patches=patches,
        neighbors=()
        if trained is None
        else neighbors_of(model, [series], trained, min(neighbors, len(trained.states)))[0],
    )


def _activity(model: Model | Ensemble, series: NDArray[Any]) -> tuple[Activity, Patches]:
    if isinstance(model, Ensemble):
        found = activities(model.members[0].model, model.cut([series])[0][None])[-1][0]
        return Activity(f"network 0: {found.name}", found.values), model.patches
    read = series if model.scaling is None else model.scaling.apply(series)
    return activities(model, read[None])[-1][0], Patches()
