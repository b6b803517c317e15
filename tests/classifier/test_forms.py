"""Forms of X and y at the edges: short series, one by one, objects, and what is missing."""

import numpy as np
import pandas as pd
import pytest
import torch

from quadgate import LSTMClassifier, LSTMRegressor
from quadgate.data import make_sequences
from quadgate.errors import InputError

QUICK = {"units": 4, "epochs": 2, "valid_fraction": 0.0, "random_state": 1}
MADE = make_sequences(12, time=30, channels=12)
X, Y = np.stack(MADE.series), np.array(["no", "yes"])[MADE.labels]


@pytest.fixture(scope="module")
def fitted():
    return LSTMClassifier("stream", **QUICK).fit(X, Y)


def objects(series):
    found = np.empty(len(series), object)
    for place, one in enumerate(series):
        found[place] = one
    return found


@pytest.mark.parametrize("missing", ["error", "forward"])
def test_series_of_fewer_steps_than_channels_are_no_swapped_axes(missing):
    fitted = LSTMClassifier("stream", **QUICK, missing=missing).fit(X, Y)
    for steps in (1, 8):
        short = X[:, :steps]
        expected = fitted.predict_proba(short)
        np.testing.assert_array_equal(fitted.predict_proba(list(short)), expected)
        np.testing.assert_array_equal(np.concatenate([fitted.predict_proba([one]) for one in short]), expected)
        np.testing.assert_allclose([one[-1] for one in fitted.predict_proba_steps(short)], expected, atol=1e-7)
    fitted.partial_fit(X[:, :8], Y)
    with pytest.raises(InputError, match="axes look swapped"):
        fitted.predict(X.transpose(0, 2, 1))
    for strange in (X[:, :4, :5], [X[0][:4, :5]]):
        with pytest.raises(InputError, match="X: found 5 channels, expected 12 as in fit"):
            fitted.predict(strange)


def test_an_object_array_is_the_list_of_its_series():
    series = [one[: 20 + place % 5] for place, one in enumerate(X)]
    expected = LSTMClassifier(**QUICK).fit(series, Y).predict_proba(series)
    for form in (objects(series), pd.Series(series), tuple(series)):
        np.testing.assert_array_equal(LSTMClassifier(**QUICK).fit(form, Y).predict_proba(form), expected)


@pytest.mark.parametrize("axes", [None, "NTC", "NCT"])
def test_a_list_of_rows_of_unequal_length_is_one_channel(axes):
    rows = [one[: 20 + place % 5, 0] for place, one in enumerate(X)]
    series = [one[:, None] for one in rows]
    expected = LSTMClassifier(**QUICK).fit(series, Y).predict_proba(series)
    for form in (rows, objects(rows), [one.tolist() for one in rows], [pd.Series(one) for one in rows]):
        if form is not rows and axes is not None:
            continue
        single = LSTMClassifier(**QUICK, axes=axes).fit(form, Y)
        assert single.n_channels_in_ == 1
        np.testing.assert_array_equal(single.predict_proba(form), expected)
        np.testing.assert_array_equal(single.predict_proba(rows[:1]), expected[:1])
        np.testing.assert_array_equal(single.predict_proba(rows[::5]), expected[::5])  # of equal length
    with pytest.raises(InputError, match="X, case 11: found shape"):
        LSTMClassifier(**QUICK).fit([*series[:-1], rows[-1]], Y)


@pytest.mark.parametrize("missing", ["interpolate", "forward"])
@pytest.mark.parametrize("nothing", [None, pd.NA, np.nan], ids=str)
def test_objects_with_nothing_in_them_are_missing_values(missing, nothing):
    holes, spelled = X.astype(np.float64), X.astype(object)
    holes[2, 3, 1], spelled[2, 3, 1] = np.nan, nothing
    expected = LSTMClassifier(**QUICK, missing=missing).fit(holes, Y).predict_proba(holes)
    for form in (spelled, list(spelled), objects(list(spelled))):
        found = LSTMClassifier(**QUICK, missing=missing).fit(form, Y).predict_proba(form)
        np.testing.assert_array_equal(found, expected)


def test_what_is_no_number_or_label_is_refused_in_one_line(fitted):
    text = X.astype(object)
    text[2, 3, 1] = "2"
    refused = [
        (
            lambda: fitted.set_params(missing="interpolate").predict(text),
            r"X: found '2' at \[2, 3, 1\], expected a num",
        ),
        (lambda: fitted.predict(list(text)), r"X, case 2: found '2' at \[3, 1\], expected a number, None or NaN"),
        (lambda: fitted.predict(list(X.astype(str))), r"X: found values of type <U\d+, expected numbers"),
        (lambda: fitted.set_params(missing="error").predict(text), "X: found values of type object, expected numbers"),
        (lambda: fitted.fit(X, np.array(["a", None] * 6, object)), "y, case 1: found None, expected one for each"),
        (lambda: fitted.fit(X, pd.Series(["a", pd.NA] * 6, dtype="string")), "y, case 1: found <NA>, expected one"),
        (lambda: fitted.fit(X, np.array(["a", 1] * 6, object)), "y: found text and numbers"),
        (lambda: LSTMRegressor(**QUICK).fit(X, np.array([1.0, None] * 6, object)), "y, case 1: found None, expected"),
        (lambda: LSTMClassifier(**QUICK, device="gpu").fit(X, Y), "device: found 'gpu', expected cpu, cuda, or cuda:1"),
        (lambda: LSTMClassifier(**QUICK, device="mps").fit(X, Y), "device: found 'mps', expected cpu, cuda, or cuda:1"),
    ]
    for call, expected in refused:
        with pytest.raises(InputError, match=expected) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_device_may_be_torchs_own(tmp_path):
    given = LSTMClassifier(**QUICK, device=torch.device("cpu")).fit(X, Y)
    np.testing.assert_array_equal(given.predict_proba(X), LSTMClassifier(**QUICK).fit(X, Y).predict_proba(X))
    given.save(tmp_path)
    assert LSTMClassifier.load(tmp_path).device == "cpu"


def test_a_later_part_keeps_the_classes_of_the_first():
    first = LSTMClassifier(**QUICK).partial_fit(X, MADE.labels, classes=[0, 1])
    first.partial_fit(X[:4], MADE.labels[:4], classes=[1, 0])
    for call, message in (
        (
            lambda: first.partial_fit(X, MADE.labels, classes=["a", "b", 3]),
            "classes: found .*'3'.*, expected .0, 1. as",
        ),
        (
            lambda: first.partial_fit(X, MADE.labels, classes=[0, 1, 2]),
            r"classes: found \[0, 1, 2\], expected \[0, 1\]",
        ),
        (
            lambda: first.partial_fit(X, MADE.labels.astype(str)),
            "y: found labels such as '[01]', expected the type of 0",
        ),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["error", "forward"])
def test_an_offset_that_float32_cannot_hold_is_refused_in_fit_and_let_be_in_prediction(missing):
    made = X.astype(np.float64) + 1e9 * (np.arange(X.shape[2]) == 1)
    hidden = [made, list(made), made[:, :, 1]]
    frame = pd.DataFrame({"case": np.repeat(np.arange(len(X)), X.shape[1]), "x": made[:, :, 1].ravel()})
    estimator = LSTMClassifier(**QUICK, missing=missing)
    for given in (*hidden, frame):
        with pytest.raises(InputError, match=r"X, channel '.*': found values from .*subtract an offset first"):
            estimator.fit(given, Y)
    with pytest.raises(InputError, match="X, channel '1': found values from"):
        LSTMClassifier(**QUICK, missing=missing, axes="NCT").fit(made.transpose(0, 2, 1), Y)
    estimator.fit(X, Y).predict(1e9 + np.arange(2.0)[None, :, None] * np.ones(X.shape[2]))


def test_interpolation_looks_ahead_of_a_stream():
    with pytest.raises(InputError, match="missing: found 'interpolate' for answers at every step"):
        LSTMClassifier(**QUICK, preset="stream", missing="interpolate").fit(X, Y)
    ends = LSTMClassifier(**QUICK, preset="seed", missing="interpolate").fit(X, Y)
    ends.predict(X)
    with pytest.raises(InputError, match="missing: found 'interpolate' for answers at every step"):
        ends.predict_proba_steps(X)
