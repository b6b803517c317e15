import numpy as np
import pyarrow.parquet as pq
import pytest

from quadgate.data import make_sequences
from quadgate.data.parquet import ParquetSet, Part, statistics_of, windows
from quadgate.data.parquet import part as module
from quadgate.errors import InputError


@pytest.fixture
def whole(made):
    data = ParquetSet.open(made[0])
    return Part.whole(data, statistics_of(data))


def names(part):
    found = [part.read(number) for number in range(len(part.data.groups))]
    return [name for one in found if one is not None for name in one.names]


def test_a_split_is_a_division(whole):
    stay, held = whole.split(0.25, 0)
    assert sorted(names(stay) + names(held)) == names(whole)
    assert (len(stay), len(held)) == (len(names(stay)), len(names(held)))
    assert 0.2 <= len(held) / len(whole) <= 0.3
    again = whole.split(0.25, 0)[1]
    assert names(again) == names(held)
    assert names(whole.split(0.25, 1)[1]) != names(held)
    third, fourth = stay.split(0.2, 5)
    assert sorted(names(third) + names(fourth)) == names(stay)


def test_groups_stay_on_one_side_and_classes_on_both(tmp_path, write):
    sequences = make_sequences(60, time=20, channels=2)
    subjects = [f"s{i % 6}" for i in range(60)]
    write(tmp_path / "set" / "a.parquet", sequences, [f"{i:02}" for i in range(60)], subject=subjects)
    data = ParquetSet.open(tmp_path / "set")
    stay, held = Part.whole(data, statistics_of(data)).split(0.3, 0)
    sides = [
        {one for n in range(12) if (part := side.read(n)) for one in part.groups.tolist()} for side in (stay, held)
    ]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(subjects)


def test_one_group_cannot_be_divided(tmp_path, write):
    sequences = make_sequences(6, time=20, channels=2)
    write(tmp_path / "set" / "a.parquet", sequences, list("abcdef"), subject=["one"] * 6)
    data = ParquetSet.open(tmp_path / "set")
    with pytest.raises(InputError, match="set: found no division of its groups with every class on both sides"):
        Part.whole(data, statistics_of(data)).split(0.3, 0)


def test_what_nothing_can_be_learned_from_is_refused(tmp_path, write):
    sequences = make_sequences(6, time=20, channels=2)
    for folder, labels, told in (("a", None, "found no labels"), ("b", ("x", "x"), "found one class only")):
        write(tmp_path / folder / "a.parquet", sequences, list("abcdef"), labels=labels)
        data = ParquetSet.open(tmp_path / folder)
        with pytest.raises(InputError, match=told):
            Part.whole(data, statistics_of(data)).check_trainable()


def test_a_sample_says_that_it_is_one(whole):
    sample, told = whole.sample(12)
    assert len(sample) == 12
    assert told == "a sample of 12 of 40 cases, drawn with seed 0"
    assert len(set(sample.names)) == 12
    every, told = whole.sample(40)
    assert (len(every), told) == (40, None)
    assert sorted(every.names) == names(whole)


def test_the_windows_of_an_epoch_are_a_division(whole, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 1500)
    part = whole.split(0.2, 0)[0]
    found = windows(part, 7, 3)
    assert sorted(group for window in found for group in window.groups) == np.flatnonzero(part.counts).tolist()
    assert sum(window.cases for window in found) == len(part)
    for window in found:
        assert window.cases == sum(len(part.read(group)) for group in window.groups)


@pytest.mark.parametrize(
    ("window", "sizes"), [(1, [1] * 20), (7, [7, 7, 6]), (11, [8, 8, 4]), (17, [16, 4]), (40, [20])]
)
def test_a_window_has_a_multiple_of_eight_row_groups_where_so_many_fit(tmp_path, write, monkeypatch, window, sizes):
    write(tmp_path / "set" / "a.parquet", make_sequences(20, time=20, channels=2), [f"{i:02}" for i in range(20)], 1)
    data = ParquetSet.open(tmp_path / "set")
    monkeypatch.setattr(module, "WINDOW", window * 20 * 2 * 4)
    assert [len(one.groups) for one in windows(Part.whole(data, statistics_of(data)), 0, 0)] == sizes


@pytest.mark.parametrize("subjects", [None, [f"0{i % 6}" for i in range(60)]])
def test_an_outline_tells_what_reading_would(tmp_path, write, subjects):
    """Rows of cases in turn, cases that are left out, groups of cases, and a part of the buckets."""
    sequences = make_sequences(60, time=(20, 30), channels=2)
    more = {} if subjects is None else {"subject": subjects}
    file = tmp_path / "set" / "a.parquet"
    write(file, sequences, [f"{i % 58:02}" for i in range(60)], 7, **more)  # two cases are in two row groups
    table = pq.read_table(file)
    order = np.random.default_rng(0).permutation(140)
    pq.write_table(table.take(np.concatenate([order, np.arange(140, len(table))])), file, row_group_size=200)
    data = ParquetSet.open(tmp_path / "set", skip_damaged=True)
    assert data.excluded
    part = Part.whole(data, statistics_of(data)).split(0.4, 0)[1]
    for number in range(len(data.groups)):
        found = part.read(number)
        assert part.outline(number).tolist() == ([] if found is None else found.lengths.tolist())


def test_an_epoch_has_its_own_order(whole, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 1)
    orders = [tuple(one.groups for one in windows(whole, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(one.groups for one in windows(whole, 0, 0))


def test_a_class_that_cannot_be_divided_is_named(made):
    folder, _ = made
    data = ParquetSet.open(folder)
    known = statistics_of(data)
    filled = np.flatnonzero(known.steps)
    known.classes["rare"] = [int(bucket == filled[0]) for bucket in range(64)]
    with pytest.raises(InputError, match="least of all 'rare'; leave such a class out"):
        Part.whole(data, known).split(0.25, 0)
