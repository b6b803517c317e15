import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadgate.data import batches, pad
from quadgate.data.batching import are_alike
from quadgate.errors import InputError


def test_pad_puts_zeros_behind_the_shorter_ones():
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(T, 3)).astype(np.float32) for T in (5, 1, 7)]
    x, lengths = pad(series)
    assert x.shape == (3, 7, 3)
    assert x.dtype == np.float32
    assert lengths.tolist() == [5, 1, 7]
    for row, one in zip(x, series, strict=True):
        np.testing.assert_array_equal(row[: len(one)], one)
        assert not row[len(one) :].any()


def test_pad_refuses_nothing():
    with pytest.raises(InputError, match="no series"):
        pad([])


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(1, 13), st.integers(0, 2**32 - 1))
def test_every_case_comes_once_in_batches_of_the_size(lengths, batch_size, seed):
    found = list(batches(lengths, batch_size, np.random.default_rng(seed)))
    assert sorted(np.concatenate([[], *found]).tolist()) == list(range(len(lengths)))
    sizes = sorted((len(batch) for batch in found), reverse=True)
    assert sizes[:-1] == [batch_size] * (len(found) - 1)
    assert len(found) == -(-len(lengths) // batch_size)


def test_one_stratum_is_as_none():
    lengths = np.random.default_rng(1).integers(1, 90, 70)
    one, none = (
        [b.tolist() for b in batches(lengths, 8, np.random.default_rng(5), strata)] for strata in (np.zeros(70), None)
    )
    assert one == none


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3)), min_size=1, max_size=200), st.integers(1, 13))
def test_every_case_of_strata_comes_once_and_strata_have_their_share(cases, batch_size):
    lengths, strata = np.array(cases).T
    found = list(batches(lengths, batch_size, np.random.default_rng(0), strata))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
    if len(lengths) <= 16 * batch_size:  # one pool
        for batch in found:
            for stratum in np.unique(strata):
                share = (strata == stratum).mean() * len(batch)
                assert abs((strata[batch] == stratum).sum() - share) < 2


def test_strata_of_like_lengths_leave_like_lengths_together():
    lengths = np.random.default_rng(1).integers(10, 1000, 1024)
    strata = np.arange(1024) % 8
    found = list(batches(lengths, 16, np.random.default_rng(0), strata))
    padded = sum(len(batch) * lengths[batch].max() for batch in found)
    assert padded < 1.3 * lengths.sum()
    assert all((np.bincount(strata[batch], minlength=8) == 2).all() for batch in found)


def test_the_seed_alone_decides():
    lengths = np.random.default_rng(1).integers(1, 90, 70)
    first, second = ([b.tolist() for b in batches(lengths, 8, np.random.default_rng(5))] for _ in range(2))
    assert first == second
    assert first != [b.tolist() for b in batches(lengths, 8, np.random.default_rng(6))]


def test_a_batch_holds_similar_lengths():
    lengths = np.random.default_rng(1).integers(10, 1000, 1024)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches(lengths, 16, np.random.default_rng(0)))
    plain = sum(len(part) * lengths[part].max() for part in np.split(np.arange(1024), 64))
    assert padded < 1.15 * lengths.sum() < plain / 1.5


def test_neither_order_nor_length_tells_when_a_case_is_met():
    """Classes stand in blocks and differ in length: over many epochs a case's place is uniform all the same."""
    N, epochs = 67, 600
    lengths = np.where(np.arange(N) < 30, 10, 20) + np.arange(N) % 3
    place = np.zeros((epochs, N))
    alone = np.zeros(N)
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        order = list(batches(lengths, 8, rng))
        place[epoch, np.concatenate(order)] = np.arange(N) / (N - 1)
        alone[min(order, key=len)] += 1
    spread = np.sqrt(1 / 12 / epochs)
    assert np.abs(place.mean(axis=0) - 0.5).max() < 5 * spread
    # The smaller batch (3 of 67 cases) weighs its cases more: it must not always hold the same ones.
    assert alone.max() < 5 * epochs * 3 / N
    assert alone[lengths >= 20].sum() / alone.sum() == pytest.approx(37 / 67, abs=0.06)


def test_equal_lengths_are_shuffled_fully():
    together = np.zeros((12, 12))
    rng = np.random.default_rng(0)
    for _ in range(2000):
        for batch in batches([5] * 12, 4, rng):
            together[np.ix_(batch, batch)] += 1
    apart = together[~np.eye(12, dtype=bool)] / 2000
    assert np.abs(apart - 3 / 11).max() < 0.06


def test_a_batch_needs_a_size():
    with pytest.raises(InputError, match="batch_size: found 0"):
        list(batches([1], 0, np.random.default_rng(0)))


def test_strata_of_unlike_lengths_are_told_from_those_of_like():
    """One row group of long cases among seven of short ones: with a share of it every batch would be long."""
    rng = np.random.default_rng(3)
    strata = np.repeat(np.arange(8), 128)
    like = rng.integers(90, 101, 1024)
    unlike = np.where(strata == 5, rng.integers(900, 1001, 1024), like)
    padded = [
        sum(len(batch) * unlike[batch].max() for batch in batches(unlike, 32, np.random.default_rng(0), of))
        for of in (strata, None)
    ]
    assert padded[0] > 4 * unlike.sum()
    assert padded[1] < 1.2 * unlike.sum()
    assert not are_alike(unlike, 32, strata)
    assert are_alike(like, 32, strata)
    assert are_alike(rng.integers(10, 1000, 1024), 32, strata)
