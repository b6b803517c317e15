"""`LSTMClassifier`: a sequence classifier for scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from quadgate.classifier.series import series_of
from quadgate.data import Sequences
from quadgate.data.missing import channel_means, fill_missing
from quadgate.errors import FileFormatError, InputError
from quadgate.explain import TrainingCases, final_states, nearest
from quadgate.formats import load, save
from quadgate.model import Ensemble, Model, write_atomically

FORMAT_VERSION = 1
ESTIMATOR = "estimator.json"
CASES = 256  # that are predicted together
_SETTINGS = (
    "units", "layers", "bidirectional", "pool", "initializer", "dropout", "noise", "optimizer", "learning_rate",
    "weight_decay", "label_smoothing", "clip", "batch_size", "epochs", "patience", "valid_fraction", "refit",
)  # fmt: skip
_NOT_SAVED = ("random_state", "callbacks")


class LSTMClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An LSTM that tells the class of a sequence: what `quadgate train` trains, as a scikit-learn estimator.

    `X` is `[N, T, C]` (cases, steps, channels), a list of N arrays `[T_i, C]` of unequal length, or `[N, T]`, which is
    one channel. `y` is `[N]`, whole numbers or text. Channels are scaled by what the training cases say.

    Args:
        preset: `"default"`, or `"seed"` for one cell read at its last step.
        units, layers, bidirectional, pool, initializer, dropout, noise, optimizer, learning_rate, weight_decay,
            label_smoothing, clip, batch_size, epochs, patience, valid_fraction, refit: as in
            `quadgate.training.Settings`; None for what the preset has.
        axes: `"NCT"` where the channels come before the steps, as aeon has them; `"NTC"`, or None for that with a check
            of axes that look swapped.
        missing: what NaN means: `"error"` refuses it, `"forward"` repeats the last value and tells the network where,
            `"interpolate"` draws a line.
        class_weight: None, `"balanced"`, or a dict of class to weight.
        random_state: the only source of chance.
        callbacks: `quadgate.training.Callback`s, which see every batch and epoch.

    Attributes:
        classes_: `[K]`, in rising order.
        n_channels_in_: C.
        n_features_in_: T, where X had two dimensions.
        model_: the trained `quadgate.Model`, which needs no torch.
        history_: the record of each epoch.
        n_iter_: epochs that were trained, with those of the second fit.
        reach_: how far back the gradient of the loss reached before training.

    >>> from quadgate.data import make_sequences
    >>> made = make_sequences(40, steps=30, channels=2)
    >>> classifier = LSTMClassifier(units=8, epochs=20, random_state=0).fit(list(made.series), made.labels)
    >>> classifier.predict_proba(list(made.series[:3])).shape
    (3, 2)
    """

    def __init__(
        self,
        preset: str = "default",
        *,
        units: int | None = None,
        layers: int | None = None,
        bidirectional: bool | None = None,
        pool: str | None = None,
        initializer: str | None = None,
        dropout: float | None = None,
        noise: float | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        label_smoothing: float | None = None,
        clip: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        patience: int | None = None,
        valid_fraction: float | None = None,
        refit: bool | None = None,
        axes: str | None = None,
        missing: str = "error",
        class_weight: Any = None,
        random_state: Any = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.preset = preset
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.pool = pool
        self.initializer = initializer
        self.dropout = dropout
        self.noise = noise
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.clip = clip
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.valid_fraction = valid_fraction
        self.refit = refit
        self.axes = axes
        self.missing = missing
        self.class_weight = class_weight
        self.random_state = random_state
        self.callbacks = callbacks

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> LSTMClassifier:
        """Train on labelled series.

        Args:
            X: see the class.
            y: `[N]`.
            sample_weight: `[N]`, how much each case counts; a case of weight 0 is left out.
            groups: `[N]`, the subject or machine of each case: it stays on one side of the split that decides when
                to stop.

        Raises:
            InputError: shapes, numbers or settings that do not fit; the text says which.
            ValueError: scikit-learn's own refusals.
        """
        from quadgate.training import preset, train

        settings = preset(self.preset).changed(seed=self._seed(), **self._overrides())
        y = self._labels(y)
        series = series_of(self, X, reset=True)
        check_consistent_length(series, y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        self.n_channels_in_ = series[0].shape[1]
        weights = self._weights(y, sample_weight)
        self._means = channel_means(series)
        cases = Sequences(
            tuple(fill_missing(series, self.missing, self._means)),
            labels=targets,
            groups=None if groups is None else column_or_1d(groups),
            source="X",
            weights=weights,
        )
        self._places = np.arange(len(cases)) if weights is None else np.flatnonzero(weights > 0)
        cases = cases.take(self._places)
        self._check_classes(cases)
        run = train(cases, settings, callbacks=tuple(self.callbacks or ()))
        self.model_ = self._named(run.model)
        names = self.classes_[cases.labels].tolist()
        self._trained = TrainingCases(
            final_states(self.model_, cases.series),
            tuple(map(str, self._places.tolist())),
            tuple(names) if _plain(names) else None,
        )
        self.history_ = run.history.epochs
        self.n_iter_ = len(self.history_)
        self.reach_ = run.reach_before
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class `[N]` of each series.

        Raises:
            InputError: series that do not fit those of `fit`.
            NotFittedError: before `fit`.
        """
        chances = self.predict_proba(X)
        return np.asarray(self.classes_[chances.argmax(axis=1)])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability `[N, K]` of each class, in the order of `classes_`.

        Raises:
            InputError: series that do not fit those of `fit`.
            NotFittedError: before `fit`.
        """
        series = self._accepted(X)
        parts = [series[start : start + CASES] for start in range(0, len(series), CASES)]
        found = np.concatenate([self.model_.run(part, output="probabilities")[0] for part in parts]).astype(np.float64)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

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
        """Write a folder that `LSTMClassifier.load`, `quadgate.load` and the subcommands read; no pickle.

        Raises:
            NotFittedError: before `fit`.
            InputError: classes or parameters that JSON cannot hold.
        """
        check_is_fitted(self)
        folder = Path(path)
        parameters = {name: value for name, value in self.get_params().items() if name not in _NOT_SAVED}
        header = {
            "format_version": FORMAT_VERSION,
            "parameters": parameters,
            "classes": self.classes_.tolist(),
            "classes_dtype": self.classes_.dtype.str,
            "means": self._means.tolist(),
            "n_channels_in": self.n_channels_in_,
            "n_features_in": getattr(self, "n_features_in_", None),
        }
        try:
            text = json.dumps(header, indent=2, ensure_ascii=False)
        except TypeError as error:
            raise InputError(
                f"{folder}: found something that JSON cannot hold ({error}), expected plain values"
            ) from error
        save(self.model_, folder / "model.safetensors")
        with write_atomically(folder / ESTIMATOR) as beside:
            beside.write_text(text + "\n", encoding="utf-8")
        self._trained.save(folder)

    @classmethod
    def load(cls, path: str | Path) -> LSTMClassifier:
        """Read what `save` wrote; nothing that it reads is run.

        Raises:
            FileFormatError: a file is missing or damaged.
        """
        file = Path(path) / ESTIMATOR
        try:
            header = json.loads(file.read_text(encoding="utf-8"))
            if header["format_version"] != FORMAT_VERSION:
                raise FileFormatError(
                    f"{file}: found format version {header['format_version']}, expected {FORMAT_VERSION}"
                )
            estimator = cls(**header["parameters"])
            estimator.classes_ = np.array(header["classes"], dtype=np.dtype(header["classes_dtype"]))
            estimator._means = np.array(header["means"], np.float64)
            estimator.n_channels_in_ = int(header["n_channels_in"])
            if header["n_features_in"] is not None:
                estimator.n_features_in_ = int(header["n_features_in"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, FileFormatError):
                raise
            told = " ".join(str(error).split())
            raise FileFormatError(
                f"{file}: missing or damaged ({told}), expected what LSTMClassifier.save writes"
            ) from error
        estimator.model_ = load(path)
        estimator._trained = TrainingCases.load(path)
        if not all(name.isdecimal() for name in estimator._trained.names):
            raise FileFormatError(f"{path}: found training cases with names, expected their places in the X of fit")
        estimator._places = np.array(estimator._trained.names, dtype=np.int64)
        estimator._check_loaded(file)
        return estimator

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing != "error"
        tags.non_deterministic = self.random_state is None
        return tags

    def _check_loaded(self, file: Path) -> None:
        """Refuse a header that does not belong to the model beside it."""
        inputs = self.n_channels_in_ * (2 if self.missing == "forward" else 1)
        for what, found, expected in (
            ("classes", len(self.classes_), self.model_.classes),
            ("inputs", inputs, self.model_.inputs),
            ("means", len(self._means), self.n_channels_in_),
        ):
            if found != expected:
                raise FileFormatError(f"{file}: found {found} {what}, expected {expected} for the model beside it")

    def _accepted(self, X: Any) -> list[NDArray[np.float32]]:
        """Return X as the series that the network is given."""
        check_is_fitted(self)
        series = fill_missing(series_of(self, X, reset=False), self.missing, self._means)
        Sequences(tuple(series), source="X")  # names what is not finite
        return series

    def _overrides(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS if getattr(self, name) is not None}

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _labels(self, y: Any) -> NDArray[Any]:
        if y is None:
            raise InputError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        return np.asarray(labels)

    def _weights(self, y: NDArray[Any], sample_weight: ArrayLike | None) -> NDArray[np.float64] | None:
        if sample_weight is None and self.class_weight is None:
            return None
        weights = np.ones(len(y))
        if sample_weight is not None:
            weights = np.asarray(
                _check_sample_weight(sample_weight, y[:, None], dtype=np.float64, ensure_non_negative=True)
            )
        if self.class_weight is not None:
            weights = weights * compute_sample_weight(self.class_weight, y)
        return weights

    def _check_classes(self, cases: Sequences) -> None:
        """A class of which nothing is left cannot be learned, and one class alone is no question."""
        there = len(cases.classes)
        if len(self.classes_) < 2 or there < len(self.classes_):
            raise InputError(
                f"y: found {there} class with cases to learn from, expected {max(2, len(self.classes_))} classes"
            )

    def _named(self, model: Model | Ensemble) -> Model | Ensemble:
        """Give the model its class names, where they are whole numbers or text."""
        names = self.classes_.tolist()
        return replace(model, labels=tuple(names)) if _plain(names) else model


def _plain(names: list[Any]) -> bool:
    """Tell whether class names are whole numbers or text, which every file can hold."""
    return all(isinstance(name, int | str) and not isinstance(name, bool) for name in names)
