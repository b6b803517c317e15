"""`LSTMClassifier` among aeon's classifiers: its base class, its order of axes, its checks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from aeon.classification.base import BaseClassifier
from numpy.typing import NDArray
from sklearn.base import clone

from quadgate.classifier.classifier import LSTMClassifier


class AeonLSTMClassifier(BaseClassifier):  # type: ignore[misc]
    """An `LSTMClassifier` that aeon's pipelines, ensembles and benchmarks take for one of their own.

    `X` is aeon's: `[N, C, T]`, or a list of `[C, T_i]` of unequal length.

    Args:
        estimator: what is fitted, a copy of it with `axes="NCT"`; None for `LSTMClassifier()`.

    Attributes:
        estimator_: the fitted `LSTMClassifier`.

    >>> from quadgate.data import make_sequences
    >>> made = make_sequences(20, time=30, channels=2)
    >>> X = np.stack(made.series).transpose(0, 2, 1)
    >>> classifier = AeonLSTMClassifier(LSTMClassifier(units=4, epochs=2, random_state=0)).fit(X, made.labels)
    >>> classifier.predict_proba(X[:3]).shape
    (3, 2)
    """

    _tags: ClassVar = {
        "X_inner_type": ["np-list", "numpy3D"],
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "algorithm_type": "deeplearning",
        "python_dependencies": ["torch"],
    }

    def __init__(self, estimator: LSTMClassifier | None = None) -> None:
        self.estimator = estimator
        super().__init__()

    def _fit(self, X: Any, y: Any) -> AeonLSTMClassifier:
        own = LSTMClassifier() if self.estimator is None else clone(self.estimator)
        self.estimator_ = own.set_params(axes="NCT").fit(X, y)
        return self

    def _predict(self, X: Any) -> NDArray[Any]:
        answers: NDArray[Any] = self.estimator_.predict(X)
        return answers

    def _predict_proba(self, X: Any) -> NDArray[np.float64]:
        chances: NDArray[np.float64] = self.estimator_.predict_proba(X)
        return chances

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:  # noqa: ARG003 (aeon's signature)
        return {"estimator": LSTMClassifier(units=3, epochs=2, valid_fraction=0.0, random_state=0)}
