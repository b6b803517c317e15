import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quadgate.data import Sequences, split
from quadgate.errors import InputError


def cases(labels=None, groups=None) -> Sequences:
    """Cases whose one number is their index, so that a split can be followed."""
    N = len(labels if labels is not None else groups)
    return Sequences([[[float(i)]] for i in range(N)], labels=labels, groups=groups)


def indices(part: Sequences) -> list[int]:
    return [int(one[0, 0]) for one in part.series]


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=5), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1), st.randoms()
)
def test_class_shares_are_kept(sizes, fraction, seed, random):
    labels = [k for k, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(labels)
    stay, held = split(cases(labels), fraction, seed)
    assert sorted(indices(stay) + indices(held)) == list(range(len(labels)))
    assert indices(stay) == sorted(indices(stay))
    for k, size in enumerate(sizes):
        number = int((held.labels == k).sum())
        assert 1 <= number < size
        assert abs(number - fraction * size) <= 1


def test_the_total_fits_the_fraction():
    stay, held = split(cases([k for k in range(9) for _ in range(30)]), 0.15, 0)
    assert (len(stay), len(held)) == (230, 40)


def test_the_seed_alone_decides():
    whole = cases([0, 1] * 20)
    assert indices(split(whole, 0.3, 4)[1]) == indices(split(whole, 0.3, 4)[1])
    assert indices(split(whole, 0.3, 4)[1]) != indices(split(whole, 0.3, 5)[1])


def test_every_case_is_held_out_equally_often():
    times = np.zeros(20)
    for seed in range(400):
        times[indices(split(cases([0] * 15 + [1] * 5), 0.4, seed)[1])] += 1
    assert np.abs(times / 400 - 0.4).max() < 0.1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=2, max_size=60), st.integers(0, 99))
def test_a_group_never_straddles_a_split(drawn, seed):
    groups, labels = np.array(drawn).T
    pairs = {(int(g), int(k)) for g, k in drawn}
    assume(all(sum(k == label for _, k in pairs) >= 2 for label in set(labels.tolist())))
    try:
        stay, held = split(cases(labels, groups), 0.3, seed)
    except InputError as error:
        assert "no division" in str(error)  # noqa: PT017 - few groups with odd classes can be impossible
        return
    assert not set(stay.groups.tolist()) & set(held.groups.tolist())
    assert set(stay.classes.tolist()) == set(held.classes.tolist()) == set(labels.tolist())
    assert len(stay) + len(held) == len(drawn)


def test_grouped_shares_come_near_to_the_fraction():
    """Thirty subjects of uneven size and mixture: the shares of the held-out part are near the fraction."""
    rng = np.random.default_rng(0)
    groups = np.repeat([f"s{i}" for i in range(30)], rng.integers(3, 30, 30))
    labels = np.where(rng.random(len(groups)) < 0.2, "rare", "common")
    for seed in range(5):
        _, held = split(cases(labels, groups), 0.25, seed)
        for label in ("rare", "common"):
            assert (held.labels == label).sum() / (labels == label).sum() == pytest.approx(0.25, abs=0.03)


def test_groups_can_be_disregarded():
    whole = cases([0, 1] * 10, ["a"] * 20)
    with pytest.raises(InputError, match="1 group of class 0"):
        split(whole, 0.5)
    assert len(split(whole, 0.5, by_group=False)[1]) == 10


def test_without_labels_cases_are_drawn():
    stay, held = split(cases(groups=list("aabbccdd")), 0.25, 1)
    assert (len(stay), len(held)) == (6, 2)
    assert len(split(Sequences([[[0.0]]] * 10), 0.2)[1]) == 2


@pytest.mark.parametrize(
    ("whole", "arguments", "message"),
    [
        (cases(["a", "a", "b"]), {}, "found 1 case of class 'b'"),
        (cases(["a"]), {}, "found 1 case, expected at least two"),
        (cases(["a", "a", "b", "b"], [1, 1, 2, 3]), {}, "found 1 group of class 'a'"),
        (cases(["a", "a"]), {"fraction": 0.0}, "fraction: found 0.0"),
        (cases(["a", "a"]), {"fraction": 1.0}, "fraction: found 1.0"),
        (cases(["a", "a"]), {"by_group": True}, "no groups"),
        (cases(list("aabbcc"), [1, 2, 1, 3, 2, 3]), {}, "no division of its 3 groups"),
    ],
)
def test_what_cannot_be_split_is_refused(whole, arguments, message):
    with pytest.raises(InputError, match=message):
        split(whole, **arguments)


def test_a_class_of_one_case_is_told_what_helps():
    with pytest.raises(InputError, match=r"found 1 case of class 1, .*leave the class out, .*--valid-fraction 0"):
        split(cases([0] * 9 + [1]))
