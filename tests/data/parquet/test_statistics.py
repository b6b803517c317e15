import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quadgate.data import fit_scaling, make_sequences
from quadgate.data.parquet import ParquetSet, Part, statistics_of
from quadgate.data.parquet import statistics as module


def test_one_pass_finds_what_the_memory_would(made):
    folder, sequences = made
    found = statistics_of(ParquetSet.open(folder))
    assert np.sum(found.cases, axis=1).tolist() == [5, 5, 5, 5, 5, 5, 5, 5]
    assert (found.shortest, found.longest) == (sequences.lengths.min(), sequences.lengths.max())
    assert found.labels.tolist() == ["no", "yes"]
    assert {name: sum(one) for name, one in found.classes.items()} == {
        "no": int((sequences.labels == 0).sum()),
        "yes": int((sequences.labels == 1).sum()),
    }
    expected = fit_scaling(sequences)
    scaling = found.scaling(np.arange(64))
    np.testing.assert_allclose(scaling.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(scaling.scale, expected.scale, rtol=1e-12)


def test_the_scaling_of_a_part_is_that_of_its_cases(made):
    folder, sequences = made
    data = ParquetSet.open(folder)
    stay, held = Part.whole(data, statistics_of(data)).split(0.25, 1)
    for part in (stay, held):
        names = part.sample(100)[0].names
        expected = fit_scaling(sequences.take([int(name.removeprefix("case ")) for name in names]))
        found = part.statistics.scaling(part.buckets)
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-10)
        np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-10)


def test_large_offsets_lose_no_digits_and_a_constant_channel_is_exact(tmp_path, write):
    base = make_sequences(30, time=21, channels=2)
    series = [np.column_stack([one * 0.01 + 1000.0, np.full(21, 0.1)]).astype(np.float32) for one in base.series]
    from quadgate.data import Sequences

    sequences = Sequences(series, base.labels)
    write(tmp_path / "set" / "a.parquet", sequences, [f"{i:03}" for i in range(30)])
    scaling = statistics_of(ParquetSet.open(tmp_path / "set")).scaling(np.arange(64))
    expected = fit_scaling(sequences)
    np.testing.assert_allclose(scaling.scale, expected.scale, rtol=1e-9)
    assert scaling.scale[2] == 1.0
    assert scaling.mean[2] == np.float32(0.1)


def test_the_second_time_nothing_is_read(made, monkeypatch):
    folder, _ = made
    first = statistics_of(ParquetSet.open(folder))
    document = json.loads((folder / "_statistics.json").read_text())
    assert (document["total_cases"], document["row_groups"]) == (40, [8, 8])
    monkeypatch.setattr(ParquetSet, "read", lambda *_: pytest.fail("read again"))
    again = statistics_of(ParquetSet.open(folder))
    assert again.cases == first.cases
    for name in ("steps", "mean", "squares", "low", "high"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))


def test_an_interrupted_pass_goes_on_to_the_same_bits(made, monkeypatch):
    folder, _ = made
    whole = statistics_of(ParquetSet.open(folder))
    (folder / "_statistics.json").unlink()
    read, seen = ParquetSet.read, []

    def stopped(self, number, every_step=None):
        if number == 5:
            raise KeyboardInterrupt
        seen.append(number)
        return read(self, number, every_step)

    monkeypatch.setattr(ParquetSet, "read", stopped)
    with pytest.raises(KeyboardInterrupt):
        statistics_of(ParquetSet.open(folder))
    assert json.loads((folder / "_statistics.json").read_text())["row_groups"] == [5, 8]
    seen.clear()
    monkeypatch.setattr(ParquetSet, "read", lambda self, number: seen.append(number) or read(self, number))
    again = statistics_of(ParquetSet.open(folder))
    assert sorted(seen) == [5, 6, 7]
    np.testing.assert_array_equal(again.squares, whole.squares)


def test_a_changed_set_is_passed_over_again(made):
    folder, _ = made
    statistics_of(ParquetSet.open(folder))
    path = folder / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "c0", pa.array([2.0] * len(table), pa.float32())), path)
    assert statistics_of(ParquetSet.open(folder)).high[:, 0].max() == 2.0


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"format_version": 1}', "\x00"])
def test_a_damaged_file_of_statistics_is_written_anew(made, text):
    folder, _ = made
    whole = statistics_of(ParquetSet.open(folder))
    (folder / "_statistics.json").write_text(text)
    np.testing.assert_array_equal(statistics_of(ParquetSet.open(folder)).mean, whole.mean)


def test_progress_counts_row_groups(made):
    folder, _ = made
    told = []
    statistics_of(ParquetSet.open(folder), lambda done, planned: told.append((done, planned)))
    assert told == [(done, 8) for done in range(1, 9)]


def test_a_folder_that_cannot_be_written_to_is_still_read(made, monkeypatch):
    folder, _ = made
    monkeypatch.setattr(
        module.Place if hasattr(module, "Place") else type(ParquetSet.open(folder).place),
        "write_text",
        lambda *_: False,
    )
    assert len(statistics_of(ParquetSet.open(folder)).cases) == 8
    assert not (folder / "_statistics.json").exists()


def test_a_row_group_whose_cases_are_all_left_out(tmp_path):
    (tmp_path / "set").mkdir()
    for file, cases in (("a", ["x", "x", "y"]), ("b", ["x", "x"]), ("c", ["z"])):
        values = np.arange(len(cases), dtype=np.float32)
        pq.write_table(pa.table({"case": cases, "v": values}), tmp_path / "set" / f"{file}.parquet")
    data = ParquetSet.open(tmp_path / "set", skip_damaged=True)
    found = statistics_of(data)
    assert np.sum(found.cases, axis=1).tolist() == [1, 0, 1]
    assert (found.shortest, found.longest) == (1, 1)
    assert len(Part.whole(data, found).sample(9)[0]) == 2


def test_the_file_of_an_earlier_name_is_replaced_and_no_other(made):
    folder, _ = made
    earlier = folder / "statistics.json"
    earlier.write_text('{"mine": 1}')
    statistics_of(ParquetSet.open(folder))
    assert earlier.read_text() == '{"mine": 1}'
    (folder / "_statistics.json").rename(earlier)
    statistics_of(ParquetSet.open(folder))
    assert not earlier.exists()
