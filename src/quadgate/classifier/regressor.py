"""`LSTMRegressor`: a quantity of a sequence, for scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from quadgate.classifier.base import ONE_PASS, SequenceEstimator, one_column


class LSTMRegressor(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    """An LSTM that predicts a quantity of a sequence, by the mean squared error.

    `X` is `[N, T, C]` (cases, steps, channels), a list of N arrays `[T_i, C]` of unequal length, `[N, T]`, which is one
    channel, or a long table of pandas or polars: a row for each step, a column for the case, one for the time if there
    is one, and one for each channel, which are matched by name later. `y` is `[N]`
    numbers, which the network learns shifted and scaled to mean 0 and deviation 1; what `model_` says is in y's unit.

    Args:
        preset: as in `LSTMClassifier`.
        units, layers, bidirectional, pool, frames, chunk, filters, members, initializer, dropout, noise, scale, warp,
            optimizer, learning_rate, weight_decay, clip, average, batch_size, accumulate, epochs, steps, patience,
            valid_fraction, searches, refit, device: as in `quadgate.training.Settings`; None for what the preset has.
        dtype: of training: `"float32"`, `"float64"`, or `"mixed"` on a GPU; what is kept is float32.
        axes: `"NCT"` where the channels come before the steps, as aeon has them; `"NTC"`, or None for that with a check
            of axes that look swapped.
        case, time: the columns of a long table; None where their names say so.
        missing: what NaN means: `"error"` refuses it, `"forward"` repeats the last value and tells the network where,
            `"interpolate"` draws a line.
        warm_start: whether `fit` goes on with the network that is there.
        random_state: the only source of chance.
        callbacks: `quadgate.training.Callback`s, which see every batch and epoch.

    Attributes:
        n_channels_in_, channel_names_in_, n_features_in_, model_, history_, n_iter_, reach_: as in `LSTMClassifier`.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 12, 1))
    >>> regressor = LSTMRegressor(units=8, epochs=40, random_state=0).fit(X, 5 + X[:, -3:, 0].sum(axis=1))
    >>> regressor.predict(X).shape
    (40,)
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
        self.warm_start = warm_start
        self.random_state = random_state
        self.callbacks = callbacks

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> LSTMRegressor:
        """Train on series and their quantities; with `warm_start`, from the network that is there.

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
        self._learn(X, y, sample_weight, groups, further=self.warm_start)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> LSTMRegressor:
        """Go on with the network that is there for one pass over these cases, without a validation part.

        The channels and y are scaled by what the first cases said, the moments of the optimizer begin anew, and a
        second pass draws another order, noise and dropout than the first.

        Args:
            X: see the class.
            y: `[N]`.
            sample_weight: `[N]`.

        Raises:
            InputError: as `fit`.
            ValueError: scikit-learn's own refusals.
        """
        self._learn(X, y, sample_weight, None, further=True, changes=ONE_PASS)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the quantity `[N]` of each series.

        Raises:
            InputError: series that do not fit those of `fit`.
            NotFittedError: before `fit`.
        """
        return self._run(X, "logits")[:, 0]

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return R squared, the share of the spread of y that the answers explain.

        Raises:
            InputError: as `predict`, or a y that is not that of these cases.
            NotFittedError: before `fit`.
        """
        y, sample_weight, _ = self._matched(X, y, sample_weight)
        return float(super().score(X, y, sample_weight))

    def _learnable(
        self, y: Any, weights: NDArray[np.float64] | None, _further: bool, _lengths: list[int]
    ) -> dict[str, Any]:
        return {"values": one_column(y).astype(np.float64), "weights": weights}
