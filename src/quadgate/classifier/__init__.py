"""The scikit-learn estimator: what `quadgate train` does, as `fit` and `predict`."""

from quadgate.classifier.estimator import LSTMClassifier

__all__ = ["LSTMClassifier"]
