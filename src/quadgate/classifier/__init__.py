"""The scikit-learn estimators: what `quadgate train` does, as `fit` and `predict`."""

from quadgate.classifier.classifier import LSTMClassifier
from quadgate.classifier.regressor import LSTMRegressor

__all__ = ["LSTMClassifier", "LSTMRegressor"]
