"""`LSTMClassifier`: a sequence classifier for scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from quadgate.classifier.base import ONE_PASS, SequenceEstimator, one_column, refuse_missing
from quadgate.classifier.series import as_list
from quadgate.data import Sequences
from quadgate.data.labels import tidy_labels
from quadgate.data.missing import refuse_foresight
from quadgate.errors import InputError
from quadgate.model import Ensemble, Model


class LSTMClassifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """An LSTM that tells the class of a sequence: what `quadgate train` trains, as a scikit-learn estimator.

    `X` is `[N, T, C]` (cases, steps, channels), a list of N arrays `[T_i, C]` of unequal length, `[N, T]`, which is one
    channel, or a long table of pandas or polars: a row for each step, a column for the case, one for the time if there
    is one, and one for each channel, which are matched by name later. `y` is `[N]`,
    numbers or text; with a long table also a pandas Series whose index has the ids of the cases. Channels are
    scaled by what the training cases say.

    Args:
        preset: `"default"`, `"seed"` for one cell read at its last step, `"best"`, which takes longer, or `"stream"`
            for a network that answers after every sample.
        units, layers, bidirectional, pool, frames, chunk, filters, members, initializer, dropout, noise, scale, warp,
            optimizer, learning_rate, weight_decay, label_smoothing, clip, average, batch_size, accumulate, epochs,
            steps, patience, valid_fraction, searches, refit, device: as in `quadgate.training.Settings`; None for what
            the preset has.
        dtype: of training: `"float32"`, `"float64"`, or `"mixed"` on a GPU; what is kept is float32.
        axes: `"NCT"` where the channels come before the steps, as aeon has them; `"NTC"`, or None for that with a check
            of axes that look swapped.
        case, time: the columns of a long table; None where their names say so.
        missing: what NaN means: `"error"` refuses it, `"forward"` repeats the last value and tells the network where,
            `"interpolate"` draws a line.
        class_weight: None, `"balanced"`, or a dict of class to weight.
        warm_start: whether `fit` goes on with the network that is there.
        random_state: the only source of chance.
        callbacks: `quadgate.training.Callback`s, which see every batch and epoch.

    Attributes:
        classes_: `[K]`, in rising order.
        n_channels_in_: C.
        channel_names_in_: C names, where X was a long table.
        n_features_in_: T, where X had two dimensions.
        model_: the trained `quadgate.Model` (or `Ensemble`), which needs no torch.
        history_: the record of each epoch.
        n_iter_: epochs that were trained, with those of the second fit.
        reach_: how far back the gradient of the loss reached before training.

    >>> from quadgate.data import make_sequences
    >>> made = make_sequences(40, time=30, channels=2)
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
        frames: int | None = None,
        chunk: int | None = None,
        filters: int | None = None,
        members: int | None = None,
        initializer: str | None = None,
        dropout: float | None = None,
        noise: float | None = None,
        scale: float | None = None,
        warp: float | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        label_smoothing: float | None = None,
        clip: float | None = None,
        average: float | None = None,
        batch_size: int | None = None,
        accumulate: int | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        patience: int | None = None,
        valid_fraction: float | None = None,
        searches: int | None = None,
        refit: bool | None = None,
        device: str | None = None,
        dtype: str | None = None,
        axes: str | None = None,
        case: str | None = None,
        time: str | None = None,
        missing: str = "error",
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.preset = preset
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.pool = pool
        self.frames = frames
        self.chunk = chunk
        self.filters = filters
        self.members = members
        self.initializer = initializer
        self.dropout = dropout
        self.noise = noise
        self.scale = scale
        self.warp = warp
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.clip = clip
        self.average = average
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.epochs = epochs
        self.steps = steps
        self.patience = patience
        self.valid_fraction = valid_fraction
        self.searches = searches
        self.refit = refit
        self.device = device
        self.dtype = dtype
        self.axes = axes
        self.case = case
        self.time = time
        self.missing = missing
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.callbacks = callbacks

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> LSTMClassifier:
        """Train on labelled series; with `warm_start`, from the network that is there.

        Args:
            X: see the class.
            y: `[N]`; with `preset="stream"` also N arrays `[T_i]` or `[N, T]`, a class at every step.
            sample_weight: `[N]`, how much each case counts; a case of weight 0 is left out.
            groups: `[N]`, the subject or machine of each case: it stays on one side of the split that decides when
                to stop.

        Raises:
            InputError: shapes, numbers or settings that do not fit; the text says which.
            ValueError: scikit-learn's own refusals.
        """
        self._learn(X, y, sample_weight, groups, further=self.warm_start)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> LSTMClassifier:
        """Go on with the network that is there for one pass over these cases, without a validation part.

        The channels are scaled by what the first cases said, the moments of the optimizer begin anew, and a second
        pass draws another order, noise and dropout than the first.

        Args:
            X: see the class.
            y: `[N]`.
            classes: `[K]`, all that will ever come; needed in the first call where y lacks some, and the same later.
            sample_weight: `[N]`.

        Raises:
            InputError: as `fit`, or a class that was not named in the first call.
            ValueError: scikit-learn's own refusals.
        """
        self._named_first = None if classes is None else _classes_of(classes, "classes")
        try:
            self._learn(X, y, sample_weight, None, further=True, changes=ONE_PASS)
        finally:
            del self._named_first
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
        found = self._run(X, "probabilities")
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def predict_steps(self, X: Any) -> list[NDArray[Any]]:
        """Return the likeliest class `[T_i]` of each series after each of its steps, as it streams.

        Raises:
            InputError: as `predict`, or the network needs steps that have not come yet; `preset="stream"` does not.
            NotFittedError: before `fit`.
        """
        return [self.classes_[chances.argmax(axis=1)] for chances in self.predict_proba_steps(X)]

    def predict_proba_steps(self, X: Any) -> list[NDArray[np.float32]]:
        """Return the probabilities `[T_i, K]` of each series after each of its steps; the last are `predict_proba`'s.

        Raises:
            InputError: as `predict_steps`.
            NotFittedError: before `fit`.
        """
        refuse_foresight(self.missing)
        series = self._accepted(X)
        stream = self.model_.stream("probabilities")
        found = []
        for one in series:
            stream.reset()
            found.append(np.array(stream.run(one)))
        return found

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of the cases whose class is told rightly; of all steps, where y has a class for every step.

        Raises:
            InputError: as `predict`, or labels of another type than those of `fit`, none of which could be right.
            NotFittedError: before `fit`.
        """
        y, sample_weight, lengths = self._matched(X, y, sample_weight)
        of_steps = steps_of(y, lengths)
        if of_steps is None:
            answers, labels = self.predict(X), np.asarray(y).ravel()
        else:
            answers, labels = np.concatenate(self.predict_steps(X)), np.concatenate(of_steps)
            sample_weight = None if sample_weight is None else np.repeat(np.asarray(sample_weight), lengths)
        self._refuse_other_type(labels)
        return float(np.average(answers == labels, weights=sample_weight))

    def _refuse_other_type(self, labels: NDArray[Any]) -> None:
        """Refuse text where `fit` had numbers, and the other way: NumPy may take the one for the other."""
        if _is_text(labels) != _is_text(self.classes_):
            raise InputError(
                f"y: found labels such as {labels.tolist()[0]!r}, expected the type of "
                f"{self.classes_.tolist()[0]!r} as in fit"
            )

    def _learnable(
        self, y: Any, weights: NDArray[np.float64] | None, further: bool, lengths: list[int]
    ) -> dict[str, Any]:
        """Return the numbers of the classes and the weights, and learn which classes there are."""
        ends = None
        of_steps = steps_of(y, lengths)
        if of_steps is not None:
            if not self._settings().every_step:
                raise InputError("y: found a class for every step, expected one for each case, or preset='stream'")
            ends = np.cumsum(lengths)
            y = np.concatenate(of_steps)
        y = _classes_of(y, "y")
        named = getattr(self, "_named_first", None)
        if not further:
            self.classes_ = np.unique(y if named is None else named)
        elif named is not None and set(named.tolist()) != set(self.classes_.tolist()):
            raise InputError(
                f"classes: found {named.tolist()}, expected {self.classes_.tolist()} as in the first call; leave "
                "classes= out, or fit anew"
            )
        self._refuse_other_type(y)
        strange = ~np.isin(y, self.classes_)
        if strange.any():
            raise InputError(
                f"y: found the class {y[strange].tolist()[0]!r}, expected one of "
                f"{', '.join(map(repr, self.classes_.tolist()))}; name every class in classes= of the first "
                "partial_fit, or fit anew"
            )
        numbers = np.searchsorted(self.classes_, y)
        if self.class_weight is not None:
            of_class = compute_sample_weight(self.class_weight, y)
            if ends is not None:  # a case weighs what its steps weigh in the mean
                of_class = np.array([one.mean() for one in np.split(of_class, ends[:-1])])
            weights = of_class if weights is None else weights * of_class
        if ends is None:
            return {"labels": numbers, "weights": weights}
        return {"step_labels": tuple(np.split(numbers, ends[:-1])), "weights": weights}

    def _check_learnable(self, cases: Sequences, some: bool) -> None:
        """A class of which nothing is left cannot be learned, and one class alone is no question."""
        there = len(self.classes_) if some else len(cases.classes)
        if len(self.classes_) < 2 or there < len(self.classes_):
            raise InputError(
                f"y: found {there} class with cases to learn from, expected {max(2, len(self.classes_))} classes"
            )

    def _all_classes(self) -> NDArray[np.int64]:
        return np.arange(len(self.classes_))

    def _names_of(self, cases: Sequences) -> tuple[Any, ...] | None:
        names = _plain(self.classes_)
        return tuple(names[number] for number in np.asarray(cases.labels).tolist())

    def _named(self, model: Model | Ensemble) -> Model | Ensemble:
        """Give the model the names of its classes."""
        return replace(model, labels=_plain(self.classes_))


def _classes_of(y: Any, name: str) -> NDArray[Any]:
    """Return classes as `[N]` whole numbers or text; `name` is what messages call them."""
    found = one_column(y)
    if found.dtype == object and len({isinstance(one, str) for one in found}) > 1:
        raise InputError(f"{name}: found text and numbers among the classes, expected one of the two")
    check_classification_targets(found)
    return found


def _plain(classes: NDArray[Any]) -> tuple[int | str, ...]:
    """Return classes as every file can hold them and data files spell them: text, or whole numbers however they came.

    >>> _plain(np.array([0.0, 5.0])), _plain(np.array([False, True])), _plain(np.array(["1", "2"]))
    ((0, 5), (0, 1), (1, 2))
    """
    names = classes.tolist()
    blank = any(isinstance(name, str) and not name.strip() for name in names)
    tidy = names if blank else tidy_labels(classes).tolist()
    return tuple(tidy if len(set(tidy)) == len(names) else names)


def steps_of(y: Any, lengths: list[int]) -> list[NDArray[Any]] | None:
    """Return y as N arrays `[T_i]` where it has a class for every step, None where it has one for each case.

    Args:
        y: a list or an object array of N arrays, or `[N, T]`, of which a case has as many as it has steps.
        lengths: N numbers of steps.

    Raises:
        InputError: a case has more or fewer labels than steps, or one of them is missing.
    """
    y = as_list(y)
    if isinstance(y, list | tuple):
        if not y or any(np.ndim(one) != 1 for one in y):
            return None
        found = [np.asarray(one) for one in y]
    else:
        rows = np.asarray(y)
        if rows.ndim != 2 or not rows.shape[1] == max(lengths) > 1:
            return None
        found = [row[:length] for row, length in zip(rows, lengths, strict=True)]
    for case, (one, length) in enumerate(zip(found, lengths, strict=True)):
        if len(one) != length:
            raise InputError(f"y, case {case}: found {len(one)} labels for {length} steps, expected one for each")
        refuse_missing(one, f"y, case {case}, step")
    return found


def _is_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "US" or (labels.dtype.kind not in "biuf" and isinstance(labels.ravel()[0], str))
