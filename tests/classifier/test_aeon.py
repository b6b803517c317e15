"""aeon's own checks of an estimator."""

import numpy as np
import pytest
from aeon.testing.estimator_checking import parametrize_with_checks

from quadgate import LSTMClassifier
from quadgate.classifier.aeon import AeonLSTMClassifier
from quadgate.data import make_sequences


@pytest.mark.slow
@parametrize_with_checks([AeonLSTMClassifier])
def test_aeons_checks(check):
    check()


def test_it_is_the_classifier_with_the_axes_turned():
    made = make_sequences(16, time=(20, 25), channels=3)
    own = LSTMClassifier(units=4, epochs=2, valid_fraction=0.0, random_state=0)
    turned = [one.T for one in made.series]
    adapter = AeonLSTMClassifier(own).fit(turned, made.labels)
    expected = own.fit(list(made.series), made.labels).predict_proba(list(made.series))
    np.testing.assert_array_equal(adapter.predict_proba(turned), expected)
