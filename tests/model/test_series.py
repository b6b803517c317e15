import numpy as np
import pytest

from quadgate.errors import InputError
from quadgate.model.series import accept


@pytest.mark.parametrize(
    ("x", "channels", "message"),
    [
        (np.zeros((4, 820)), 12, r"found 2 axes \(4, 820\), expected \[cases, steps, 12 channels\]$"),
        (np.zeros((820, 12)), 12, r"one series is passed as x\[None\]"),
        (np.zeros((4, 24)), 12, r"unfolded by x\.reshape\(len\(x\), -1, 12\)"),
        (np.zeros((4, 12, 820)), 12, r"12 on the middle one .* the axes look swapped: pass x\.transpose\(0, 2, 1\)"),
        (np.zeros((12, 820, 4)), 12, r"12 on the first one .* np\.moveaxis\(x, 0, -1\)"),
        (np.zeros((4, 820, 3)), 12, r"found 3 channels \(4, 820, 3\), expected \[cases, steps, 12 channels\]"),
        (np.zeros((4, 820, 3)), 1, r"expected \[cases, steps, 1 channel\]"),
        (np.zeros(5), 12, "found 1 axes"),
        (np.zeros((1, 1, 1, 1)), 1, "found 4 axes"),
        (np.array([["a"]]), 1, "found dtype <U1, expected numbers"),
        (np.zeros((1, 1, 1), complex), 1, "found dtype complex128"),
        ([np.zeros((3, 2)), np.zeros((3, 5))], 2, r"x\[1\]: found shape \(3, 5\), expected \[steps, 2 channels\]"),
        ([np.zeros((2, 7))], 2, r"x\[0\]: found shape \(2, 7\).*pass its transpose"),
        ([[[1, 2], [3]]], 2, r"x\[0\]: found lists of unequal lengths"),
    ],
)
def test_what_does_not_fit_is_named_with_the_cure(x, channels, message):
    with pytest.raises(InputError, match=message) as caught:
        accept(x, None, channels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_a_number_is_not_finite(bad):
    x = np.zeros((3, 5, 2))
    x[1, 4, 1] = bad
    with pytest.raises(InputError, match=rf"found {bad} in case 1, step 4, channel 1 \(1 such"):
        accept(x, None, 2)
    with pytest.raises(InputError, match="case 1, step 4, channel 1"):
        accept(list(x), None, 2)
    padded, _ = accept(x, [5, 4, 5], 2)
    assert np.isfinite(padded).all()


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1], r"found int64 \(1,\), expected whole numbers of shape \(2,\)"),
        ([1.0, 2.0], "found float64"),
        ([1, 4], "found 4 for case 1, expected 0 to 3 steps"),
        ([-1, 3], "found -1 for case 0"),
    ],
)
def test_lengths_that_do_not_fit(lengths, message):
    with pytest.raises(InputError, match=message):
        accept(np.zeros((2, 3, 1)), lengths, 1)


def test_a_list_has_its_own_lengths():
    with pytest.raises(InputError, match="leave it out"):
        accept([np.zeros((3, 1))], [3], 1)


def test_one_channel_needs_no_axis_of_its_own():
    assert accept(np.zeros((4, 5)), None, 1)[0].shape == (4, 5, 1)
    x, lengths = accept([[1.0, 2.0], [3.0], []], None, 1)
    np.testing.assert_array_equal(x[:, :, 0], [[1, 2], [3, 0], [0, 0]])
    np.testing.assert_array_equal(lengths, [2, 1, 0])


def test_what_the_caller_passed_is_not_changed():
    x = np.full((2, 3, 1), np.nan)
    x[:, 0] = 1.0
    series = [x[0, :1], x[1, :1]]
    accept(x, [1, 1], 1)
    accept(series, None, 1)
    assert np.isnan(x[:, 1:]).all()
    assert series[0].shape == (1, 1)
