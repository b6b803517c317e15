import numpy as np
import pytest

from quadgate.data.missing import channel_means, fill_missing, refuse_foresight
from quadgate.errors import InputError

NAN = np.nan
X = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [4.0, NAN], [NAN, 5.0]], np.float32)


def test_forward_repeats_the_last_value_and_marks_the_gaps():
    (filled,) = fill_missing([X], "forward", np.array([9.0, 8.0]))
    np.testing.assert_array_equal(filled[:, :2], [[9, 1], [2, 1], [2, 1], [4, 1], [4, 5]])
    np.testing.assert_array_equal(filled[:, 2:], np.isnan(X))
    assert filled.dtype == np.float32


def test_interpolation_is_straight_and_flat_at_the_ends():
    (filled,) = fill_missing([X], "interpolate", np.zeros(2))
    np.testing.assert_array_equal(filled, [[2, 1], [2, 2], [3, 3], [4, 4], [4, 5]])


@pytest.mark.parametrize("how", ["forward", "interpolate"])
def test_a_channel_that_is_missing_altogether_gets_the_mean_of_the_others(how):
    lost = np.array([[NAN, 1.0], [NAN, 2.0]], np.float32)
    means = channel_means([lost, X])
    assert means.tolist() == [3.0, 9 / 4]
    (filled,) = fill_missing([lost], how, means)
    np.testing.assert_array_equal(filled[:, 0], [3.0, 3.0])


@pytest.mark.parametrize("how", ["error", "forward", "interpolate"])
def test_what_was_given_is_left_alone(how):
    given = X.copy()
    found = fill_missing([given], how, np.zeros(2))
    np.testing.assert_array_equal(given, X)
    assert np.isnan(found[0]).any() == (how == "error")


def test_a_mean_of_nothing_is_zero():
    assert channel_means([np.full((2, 1), NAN, np.float32)]).tolist() == [0.0]


def test_a_way_that_is_not_known_is_refused():
    with pytest.raises(InputError, match="did you mean 'forward'"):
        fill_missing([X], "foward", np.zeros(2))


def test_a_line_to_a_later_value_is_no_answer_at_a_step():
    for how in ("error", "forward"):
        refuse_foresight(how)
    with pytest.raises(
        InputError, match=r"missing: found 'interpolate' for answers at every step .* missing='forward'"
    ):
        refuse_foresight("interpolate")
