import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadgate.data import Sequences
from quadgate.data.labels import tidy_labels
from quadgate.errors import InputError


def series(*lengths: int, channels: int = 2) -> list[np.ndarray]:
    return [np.arange(T * channels, dtype=np.float64).reshape(T, channels) for T in lengths]


def test_sizes_are_told_in_words():
    labels = np.arange(400) % 2
    assert Sequences(series(*[820] * 400, channels=12), labels).describe() == (
        "400 cases x 820 steps x 12 channels, 2 classes"
    )
    unequal = Sequences(series(1, 1030, channels=1), groups=["a", "b"])
    assert unequal.describe() == "2 cases x 1 to 1,030 steps x 1 channel, no labels, 2 groups"


def test_take_keeps_what_belongs_to_a_case():
    whole = Sequences(series(3, 4, 5), ["a", "b", "c"], ("x", "y"), np.array([7, 8, 9]), ("p", "q", "r"), "here")
    part = whole.take([2, 0])
    assert part.lengths.tolist() == [5, 3]
    assert part.labels.tolist() == ["c", "a"]
    assert part.groups.tolist() == [9, 7]
    assert (part.names, part.channels, part.source) == (("r", "p"), ("x", "y"), "here")
    np.testing.assert_array_equal(part.series[0], whole.series[2])


def test_groups_of_several_types_are_text():
    found = Sequences(series(3, 3, 3), groups=np.array([7, "7", "q"], object))
    assert found.groups.tolist() == ["7", "7", "q"]
    assert found.describe().endswith("2 groups")


def test_the_callers_arrays_are_not_changed():
    labels = np.array([1.0, 2.0])
    given_series = series(2, 2)
    Sequences(given_series, labels)
    assert labels.dtype == np.float64
    assert given_series[0].dtype == np.float64


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (np.nan, "a missing value"),
        (np.inf, "an infinite number"),
        (-np.inf, "an infinite number"),
        (1e39, "an infinite number"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_by_its_place(bad, text):
    values = series(5, 7)
    values[1][6, 1] = bad
    message = rf"runs, case 1 \('b.csv'\), step 6, channel 'y': found .*{text}"
    with pytest.raises(InputError, match=message):
        Sequences(values, channels=("x", "y"), names=("a.csv", "b.csv"), source="runs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"series": []}, "found no case"),
        ({"series": series(3, 0)}, "case 1: found no step"),
        ({"series": [np.zeros((3, 0))]}, "found 0 channels"),
        ({"series": [np.zeros(3)]}, "array of 1 dimensions"),
        ({"series": [np.zeros((3, 2)), np.zeros((3, 1))]}, "case 1: found 1 channel, expected 2"),
        ({"series": series(3), "channels": ("x",)}, "found 2 channels, expected 1"),
        ({"series": series(3), "labels": ["a", "b"]}, "found 2 labels for 1 case"),
        ({"series": series(3), "groups": [1, 2]}, "found 2 groups for 1 case"),
        ({"series": series(3), "groups": [[1]]}, r"found groups of shape \(1, 1\)"),
        ({"series": series(3, 3), "groups": np.array(["p", None], object)}, "case 1: found no group, expected that"),
        ({"series": series(3, 3), "groups": [1.0, np.nan]}, "case 1: found no group"),
        ({"series": series(3, 3), "groups": ["p", " "]}, "case 1: found no group"),
        ({"series": series(3, 3), "groups": pd.array([7, pd.NA])}, "case 1: found no group"),
        ({"series": series(3, 3), "labels": np.array(["a", pd.NA], object)}, "case 1: found no label"),
        ({"series": series(3), "weights": [1, 2]}, "found 2 weights for 1 case"),
        ({"series": series(3), "weights": [-1]}, "found a weight that is below 0"),
        ({"series": series(3), "weights": [np.nan]}, "found a weight that is below 0 or no number"),
        ({"series": series(3), "labels": [[1]]}, "labels of shape"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Sequences(**arguments)


def test_only_cases_of_several_classes_can_be_trained_on():
    Sequences(series(2, 2), ["a", "b"]).check_trainable()
    with pytest.raises(InputError, match=r"one class only \(a\)"):
        Sequences(series(2, 2), ["a", "a"]).check_trainable()
    with pytest.raises(InputError, match="no labels"):
        Sequences(series(2, 2)).check_trainable()


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_a_whole_number_is_one_class_however_it_is_written(numbers):
    expected = np.array(numbers)
    for spelled in (expected, expected.astype(np.float64), expected.astype(str), [f" {n} " for n in numbers]):
        found = tidy_labels(spelled)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("labels", [["01", "2"], ["a", "1"], ["1.5", "2"], ["-", "1"], ["+1", "2"], ["一", "二"]])
def test_other_labels_stay_text(labels):
    assert tidy_labels(labels).tolist() == labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0.5, 1.0], "label 0.5"), ([1.0, np.nan], "case 1: found no label"), (["a", " "], "case 1: found no label")],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        tidy_labels(labels)
