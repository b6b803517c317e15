"""What the classifier and the regressor share: forms of X, training, training further, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from quadgate.classifier import saved
from quadgate.classifier.frames import in_order_of
from quadgate.classifier.series import cases_of
from quadgate.data import Sequences
from quadgate.data.labels import is_absent
from quadgate.data.missing import channel_means, fill_missing, refuse_foresight
from quadgate.errors import InputError
from quadgate.explain import TrainingCases, final_states, nearest
from quadgate.formats import save
from quadgate.model import Ensemble, Model

if TYPE_CHECKING:
    from quadgate.training import Run, Settings

CASES = 256  # that are predicted together
SETTINGS = (
    "units", "layers", "bidirectional", "pool", "frames", "chunk", "filters", "members", "initializer", "dropout",
    "noise",
    "scale", "warp", "optimizer", "learning_rate", "weight_decay", "label_smoothing", "clip", "average", "batch_size",
    "accumulate", "epochs", "steps", "patience", "valid_fraction", "searches", "refit", "device",
)  # fmt: skip
ONE_PASS = {"epochs": 1, "valid_fraction": 0.0, "refit": False, "decay": False}  # of partial_fit


class SequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """The base of `LSTMClassifier` and `LSTMRegressor`, which say what y is and what an answer is.

    Its subclasses set the parameters, and say with `_learnable` what y is.
    """

    model_: Model | Ensemble

    def kneighbors(self, X: Any, n_neighbors: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the nearest training cases of each series: those whose final states are most like its own.

        Args:
            X: as in `fit`.
            n_neighbors: k.

        Returns:
            The Euclidean distances `[N, k]` between final states, the nearest first, and the places `[N, k]` of those
            cases in the X of `fit`.

        Raises:
            InputError: series that do not fit those of `fit`, or fewer than k training cases.
            NotFittedError: before `fit`.
        """
        series = self._accepted(X)
        found = nearest(final_states(self.model_, series), self._trained.states, n_neighbors)
        return found.distances, self._places[found.indices]

    def save(self, path: str | Path) -> None:
        """Write a folder that `load`, `quadgate.load` and the subcommands read; no pickle.

        Raises:
            NotFittedError: before `fit`.
            InputError: classes or parameters that JSON cannot hold.
        """
        check_is_fitted(self)
        header = saved.header_of(self)
        save(self.model_, Path(path) / "model.safetensors")
        saved.write(header, Path(path))
        self._trained.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; nothing that it reads is run.

        Raises:
            FileFormatError: a file is missing or damaged, or another estimator's.
        """
        found: Self = saved.read(cls, Path(path))
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing != "error"
        tags.non_deterministic = self.random_state is None
        return tags

    def _learn(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
        further: bool,
        changes: dict[str, Any] | None = None,
    ) -> None:
        """Train, from the network that is there when `further`; `changes` are of the settings."""
        from quadgate.training import Start, train

        settings = self._settings().changed(**(changes or {}))
        further = further and self.__sklearn_is_fitted__()
        if y is None:
            raise InputError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        if settings.every_step:
            refuse_foresight(self.missing)
        found = cases_of(self, X, reset=not further)
        series = found.series
        y = in_order_of(found.ids, y, "y")
        sample_weight = in_order_of(found.ids, sample_weight, "sample_weight")
        groups = in_order_of(found.ids, groups, "groups")
        check_consistent_length(series, y)
        weights = None
        if sample_weight is not None:
            weights = np.asarray(
                _check_sample_weight(
                    sample_weight, np.zeros((len(series), 1)), dtype=np.float64, ensure_non_negative=True
                )
            )
        learnable = self._learnable(y, weights, further, [len(one) for one in series])
        if not further:
            self.n_channels_in_ = series[0].shape[1]
            self._means = channel_means(series)
        cases = Sequences(
            tuple(fill_missing(series, self.missing, self._means)),
            groups=None if groups is None else column_or_1d(groups),
            channels=found.channels if self.missing != "forward" else (),
            source="X",
            **learnable,
        )
        places = np.arange(len(cases)) if cases.weights is None else np.flatnonzero(cases.weights > 0)
        cases = cases.take(places)
        self._check_learnable(cases, further or bool(changes))
        run = train(
            cases,
            settings,
            callbacks=tuple(self.callbacks or ()),
            classes=self._all_classes(),
            start=Start(self.model_, self._epochs, self._mean, self._scale) if further else None,
        )
        self._keep(run, cases, places)

    def _learnable(
        self, y: Any, weights: NDArray[np.float64] | None, further: bool, lengths: list[int]
    ) -> dict[str, Any]:
        """Return y and the weights as `Sequences` takes them; `further` says that training goes on."""
        raise NotImplementedError

    def _check_learnable(self, _cases: Sequences, _some: bool) -> None:
        """Refuse cases that nothing can be learned from; `_some` says that they are a part of those that will come."""

    def _all_classes(self) -> NDArray[np.int64] | None:
        """Return the numbers of the classes, or None where there are none."""
        return None

    def _names_of(self, _cases: Sequences) -> tuple[Any, ...] | None:
        """Return the class of each case by its name, or None."""
        return None

    def _named(self, model: Model | Ensemble) -> Model | Ensemble:
        """Return the model with the names of its classes."""
        return model

    def _keep(self, run: Run, cases: Sequences, places: NDArray[np.intp]) -> None:
        self._places = places
        self.model_ = self._named(run.model)
        self._trained = TrainingCases(
            final_states(self.model_, cases.series),
            tuple(map(str, self._places.tolist())),
            self._names_of(cases),
        )
        self._epochs, self._mean, self._scale = run.further.epochs, run.further.mean, run.further.scale
        self.history_ = run.history.epochs
        self.n_iter_ = len(self.history_)
        self.reach_ = run.reach_before

    def _run(self, X: Any, output: str) -> NDArray[np.float64]:
        """Return what the model says of X, `[N, K]`, a part after the other."""
        series = self._accepted(X)
        parts = [series[start : start + CASES] for start in range(0, len(series), CASES)]
        return np.concatenate([self.model_.run(part, output=output)[0] for part in parts]).astype(np.float64)

    def _accepted(self, X: Any) -> list[NDArray[np.float32]]:
        """Return X as the series that the network is given."""
        check_is_fitted(self)
        series = fill_missing(cases_of(self, X, reset=False).series, self.missing, self._means)
        Sequences(tuple(series), source="X")  # names what is not finite
        return series

    def _matched(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, list[int]]:
        """Return y and the weights in the order of the cases of X, one for each, and the lengths of those."""
        check_is_fitted(self)
        found = cases_of(self, X, reset=False)
        y = in_order_of(found.ids, y, "y")
        sample_weight = in_order_of(found.ids, sample_weight, "sample_weight")
        check_consistent_length(found.series, y, sample_weight)
        return y, sample_weight, [len(one) for one in found.series]

    def _settings(self) -> Settings:
        from quadgate.training import preset

        given = {name: saved.plain(getattr(self, name, None)) for name in SETTINGS} | {"precision": self.dtype}
        return preset(self.preset).changed(
            seed=self._seed(), **{name: value for name, value in given.items() if value is not None}
        )

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        from quadgate.training import Workers

        drawn = int(check_random_state(self.random_state).randint(2**31 - 1))
        return int(Workers.here().told(lambda: str(drawn).encode()))  # of several processes the first one's


def one_column(y: Any) -> NDArray[Any]:
    """Return y as `[N]` finite numbers or names.

    Raises:
        InputError: one is missing.
        ValueError: scikit-learn's refusals.
    """
    labels = column_or_1d(y, warn=True)
    refuse_missing(labels, "y, case")
    assert_all_finite(labels, input_name="y")
    return np.asarray(labels)


def refuse_missing(labels: NDArray[Any], where: str) -> None:
    """Refuse None and pandas' NA, which NumPy can neither compare nor count."""
    if labels.dtype != object:
        return
    place = next((k for k, one in enumerate(labels) if is_absent(one)), None)
    if place is not None:
        raise InputError(f"{where} {place}: found {labels[place]}, expected one for each; leave out what has none")
