"""Random series to write in one form and read back."""

import numpy as np
import pytest
from hypothesis import strategies as st

from quadgate.data import Sequences


@st.composite
def _sequences(draw, equal: bool = False) -> Sequences:
    N, C, T = draw(st.integers(2, 5)), draw(st.integers(1, 3)), draw(st.integers(3, 6))
    lengths = [T if equal else draw(st.integers(3, 6)) for _ in range(N)]
    number = st.floats(-1e6, 1e6, width=32)
    series = [np.reshape(draw(st.lists(number, min_size=T * C, max_size=T * C)), (T, C)) for T in lengths]
    labels = draw(st.lists(st.sampled_from(["up", "down", "走路"]), min_size=N, max_size=N))
    return Sequences(series, labels, channels=tuple("abc"[:C]))


@pytest.fixture
def any_sequences():
    """A strategy: cases of random sizes, `equal=True` in their lengths, with labels of text and float32 numbers."""
    return _sequences


@pytest.fixture
def same():
    """Compare what was read with what was written, number for number."""

    def compare(found: Sequences, expected: Sequences, channels: bool = True) -> None:
        assert len(found) == len(expected)
        for one, other in zip(found.series, expected.series, strict=True):
            np.testing.assert_array_equal(one, other)
        assert (found.labels is None) == (expected.labels is None)
        if expected.labels is not None:
            assert found.labels.tolist() == expected.labels.tolist()
        if channels:
            assert found.channels == expected.channels

    return compare
