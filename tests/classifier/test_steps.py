"""A class at every step: `preset="stream"`, judged by the samples that it has seen."""

import numpy as np
import pandas as pd
import pytest

from quadgate import LSTMClassifier
from quadgate.errors import InputError

QUICK = {"units": 8, "epochs": 8, "valid_fraction": 0.2, "batch_size": 8, "learning_rate": 0.03, "random_state": 0}


def changing(N, seed):
    """Series whose first channel rises above 0 at some step and stays there: `off` before, `on` from then."""
    rng = np.random.default_rng(seed)
    X, y = [], []
    for T in rng.integers(20, 30, N):
        begin = rng.integers(3, 30)
        on = np.arange(T) >= begin
        X.append((np.stack([2.0 * on - 1, np.zeros(T)], 1) + 0.3 * rng.normal(size=(T, 2))).astype(np.float32))
        y.append(np.where(on, "on", "off"))
    return X, y


def test_a_class_at_every_step_is_learned_and_streamed():
    X, y = changing(60, 0)
    classifier = LSTMClassifier("stream", pool="last", **QUICK).fit(X, y)
    judged, truth = changing(30, 1)
    answers = classifier.predict_steps(judged)
    assert [len(one) for one in answers] == [len(one) for one in judged]
    assert np.mean(np.concatenate(answers) == np.concatenate(truth)) > 0.95
    chances = classifier.predict_proba_steps(judged)
    np.testing.assert_array_equal(
        [one[-1] for one in chances], classifier.model_.run(judged, output="probabilities")[0]
    )
    assert classifier.predict(judged).tolist() == [one[-1] for one in answers]
    assert classifier.history_[-1].valid_accuracy is None  # of the second fit
    assert max(record.valid_accuracy or 0 for record in classifier.history_) > 0.9


def test_class_weights_of_steps_are_means_over_a_case():
    X, y = changing(12, 0)
    few = QUICK | {"epochs": 2, "valid_fraction": 0.0}
    plain = LSTMClassifier("stream", **few).fit(X, y)
    heavy = LSTMClassifier("stream", **few, class_weight={"on": 9.0, "off": 1.0}).fit(X, y)
    weights = [np.where(one == "on", 9.0, 1.0).mean() for one in y]
    same = LSTMClassifier("stream", **few).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(heavy.predict_proba(X), same.predict_proba(X))
    assert not np.array_equal(heavy.predict_proba(X), plain.predict_proba(X))


def test_steps_that_do_not_fit_are_refused_in_one_line():
    X, y = changing(12, 0)
    for call, message in (
        (lambda: LSTMClassifier(**QUICK).fit(X, y), "y: found a class for every step, expected one for each case, or"),
        (
            lambda: LSTMClassifier("stream", **QUICK).fit(X, [*y[:-1], y[-1][1:]]),
            r"y, case 11: found \d+ labels for \d+ steps, expected one for each",
        ),
        (
            lambda: LSTMClassifier(**QUICK | {"epochs": 1}).fit(X, np.arange(12) % 2).predict_steps(X),
            "both directions|backward",
        ),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_every_form_of_steps_is_one_and_is_scored():
    X, y = changing(12, 0)
    few = QUICK | {"epochs": 2, "valid_fraction": 0.0}
    fitted = LSTMClassifier("stream", **few).fit(X, y)
    expected = fitted.predict_proba(X)
    objects = np.empty(12, object)
    objects[:] = y
    longest = max(map(len, y))
    padded = np.array([np.pad(one, (0, longest - len(one)), constant_values="?") for one in y])
    by_id = pd.Series(y, index=range(12))
    for form in (objects, padded, by_id, tuple(y)):
        np.testing.assert_array_equal(LSTMClassifier("stream", **few).fit(X, form).predict_proba(X), expected)
        assert fitted.score(X, form) == fitted.score(X, y)
    answers = fitted.predict_steps(X)
    right = [one == truth for one, truth in zip(answers, y, strict=True)]
    assert fitted.score(X, y) == np.concatenate(right).mean()
    heavy = np.arange(12) + 1.0
    weights = np.concatenate([np.full(len(one), weight) for one, weight in zip(y, heavy, strict=True)])
    assert fitted.score(X, y, heavy) == pytest.approx(np.average(np.concatenate(right), weights=weights), rel=1e-12)
    assert fitted.score(X, [one[-1] for one in y]) == np.mean([one[-1] for one in right])
    gone = [one.astype(object) for one in y]
    gone[3][7] = None
    numbers = [(one == "on").astype(int) for one in y]
    for call, message in (
        (lambda: fitted.score(X, [*y[:-1], y[-1][1:]]), r"y, case 11: found \d+ labels for \d+ steps"),
        (lambda: LSTMClassifier(**few).fit(X, padded), "y: found a class for every step, expected one for each case"),
        (lambda: LSTMClassifier("stream", **few).fit(X, padded[:, 1:]), "1d array"),
        (lambda: LSTMClassifier("stream", **few).fit(X, gone), "y, case 3, step 7: found None, expected one for each"),
        (lambda: fitted.score(X, numbers), "y: found labels such as 0, expected the type of 'off'"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
