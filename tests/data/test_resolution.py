"""What float32 cannot hold: offsets so large that the changes of a channel are lost."""

import numpy as np
import pytest

from quadgate.data import Dataset, Sequences, from_arrays, make_sequences, read
from quadgate.data.resolution import coarse_channel
from quadgate.errors import InputError

MADE = make_sequences(8, time=30, channels=2, seed=0)
X = np.stack(MADE.series).astype(np.float64)


@pytest.mark.parametrize("offset", [1e8, -1e8, 1e9, 1e11])
def test_an_offset_that_hides_a_channel_is_refused_in_training(offset):
    found = from_arrays(X + np.array([0, offset]), MADE.labels).train
    message = r"^X, channel '1': found values from .* to .*, which float32 \(in steps of .*subtract an offset first"
    for part in (found, found.take([1, 0, 2]), found.with_channels(["a", "b"])):
        with pytest.raises(InputError, match=message):
            part.check_trainable()
    Sequences(found.series, found.labels).check_trainable()  # float32 as it was given: there is nothing to compare


@pytest.mark.parametrize("offset", [0, 1e3, 1e7])
def test_an_offset_that_leaves_a_channel_is_no_matter(offset):
    from_arrays(X + offset, MADE.labels).train.check_trainable()


@pytest.mark.parametrize(
    "values",
    [
        [101.3, 101.3, 101.3],
        [0.1 + 0.2, 0.3, 0.3],  # rounding, no change
        np.array([16_777_217, 16_777_219], np.int64),
        np.array([7, 7], np.int64),
        [np.nan, 1.0, 2.0],
        1e8 + 10 * np.arange(9.0),
    ],
)
def test_what_is_constant_or_changes_enough_is_kept(values):
    assert coarse_channel([np.asarray(values)[:, None]], ["x"]) is None


def test_whole_numbers_are_looked_at_as_well():
    assert "channel 'x': found values from 1000000000.0" in coarse_channel([np.array([[10**9], [10**9 + 3]])], ["x"])
    assert coarse_channel([np.array([[1e8], [np.nan], [1e8 + 1]])], ["x"]).startswith("channel 'x'")
    assert coarse_channel([1e8 + np.arange(12.0)[:, None] % 7], ["x"]) is not None  # a step and a bit
    assert coarse_channel([np.array([[0.0], [1e-300]])], ["x"]).startswith(
        "channel 'x': found values from 0.0 to 1e-300"
    )


def test_a_table_is_looked_at_in_the_numbers_it_holds(tmp_path):
    rows = [f"{case},{step},{1e9 + (step + case) % 3},{'ab'[case % 2]}" for case in range(4) for step in range(5)]
    (tmp_path / "a.csv").write_text("\n".join(["case,time,x,label", *rows]), encoding="utf-8")
    found = read(tmp_path / "a.csv")
    assert isinstance(found, Dataset)
    with pytest.raises(InputError, match=r"a\.csv, channel 'x': found values from 1000000000.0 to 1000000002.0, which"):
        found.train.check_trainable()
