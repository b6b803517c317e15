import shutil

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quadgate.data import Sequences, make_sequences
from quadgate.data.columns import Columns
from quadgate.data.parquet import LeftOut, ParquetSet, Part, is_parquet_set, statistics_of
from quadgate.errors import FileFormatError, InputError


def one_line(folder, kind=InputError, **given):
    with pytest.raises(kind) as refused:
        ParquetSet.open(folder, **given)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def rewritten(path, change):
    """Write a file anew with its table changed, one row group as before."""
    table = change(pq.read_table(path))
    pq.write_table(table, path, row_group_size=70)


def test_every_case_is_read_once_and_as_it_was_written(made):
    folder, sequences = made
    data = ParquetSet.open(folder)
    found = [data.read(number) for number in range(len(data.groups))]
    names = [name for one in found for name in one.names]
    assert names == [f"case {i:02}" for i in range(40)]
    for one, expected in zip([s for part in found for s in part.series], sequences.series, strict=True):
        np.testing.assert_array_equal(one, expected)
    labels = [label for part in found for label in part.labels.tolist()]
    assert labels == [("no", "yes")[label] for label in sequences.labels]
    assert data.channels == ("c0", "c1", "c2")
    assert data.how[0] == "set: a set of Parquet files (3 files with 8 row groups)"


def test_a_set_behind_a_url_is_the_same_set(made):
    folder, _ = made
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/runs/{path.name}": path.read_bytes() for path in folder.iterdir()})
    far, near = ParquetSet.open("memory://runs"), ParquetSet.open(folder)
    assert far.fingerprint == near.fingerprint
    np.testing.assert_array_equal(far.read(4).series[1], near.read(4).series[1])
    assert ParquetSet.open(f"file://{folder}").fingerprint == near.fingerprint


def test_what_a_set_is(made, tmp_path):
    folder, _ = made
    assert is_parquet_set(str(folder))
    assert not is_parquet_set(str(folder / "part-0.parquet"))
    assert not is_parquet_set(str(tmp_path))


def test_rows_that_do_not_stand_together_are_gathered_in_order_of_time(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    table = pa.table(
        {
            "time": [2, 0, 1, 1, 0],
            "case": ["b", "a", "b", "a", "b"],
            "x": [12.0, 0.0, 11.0, 1.0, 10.0],
            "subject": [7, 8, 7, 8, 7],
        }
    )
    pq.write_table(table, folder / "a.parquet")
    data = ParquetSet.open(folder)
    found = data.read(0)
    assert found.names == ("b", "a")
    assert [one[:, 0].tolist() for one in found.series] == [[10, 11, 12], [0, 1]]
    assert found.groups.tolist() == ["7", "8"]
    assert found.labels is None
    assert "time: column 'time', no channel" in data.how


def test_a_label_that_changes_is_a_class_at_every_step(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.table({"case": [1, 1, 2], "x": [1.0, 2, 3], "label": [0, 1, 1]}), folder / "a.parquet")
    found = ParquetSet.open(folder).read(0)
    assert [one.tolist() for one in found.step_labels] == [[0, 1], [1]]
    with pytest.raises(InputError, match=r"a.parquet, row group 0, case '1': found the labels '0' and '1'"):
        ParquetSet.open(folder).read(0, every_step=False)


def test_a_missing_channel(made):
    folder, _ = made
    rewritten(folder / "part-1.parquet", lambda table: table.drop_columns(["c1"]))
    assert one_line(folder) == (
        "part-1.parquet: found no column 'c1', expected it as in the other files (2); "
        "--skip-damaged goes on with the rest, 5 row groups"
    )


def test_a_channel_of_another_type(made):
    folder, _ = made
    rewritten(
        folder / "part-2.parquet",
        lambda table: table.set_column(2, "c1", pa.array(["high"] * len(table))),
    )
    told = "part-2.parquet: found the column 'c1' of type text, expected float as in the other files (2)"
    assert one_line(folder).startswith(told)


def test_a_truncated_file(made):
    folder, _ = made
    whole = (folder / "part-0.parquet").read_bytes()
    (folder / "part-0.parquet").write_bytes(whole[: len(whole) // 2])
    assert one_line(folder).startswith("part-0.parquet: damaged, or no Parquet: ")


@pytest.mark.parametrize("kept", [0, 3, 12])
def test_a_file_of_a_few_bytes(made, kept):
    folder, _ = made
    (folder / "part-0.parquet").write_bytes((folder / "part-0.parquet").read_bytes()[:kept])
    assert one_line(folder).startswith("part-0.parquet: damaged, or no Parquet: ")


def test_a_damaged_page_is_named_with_its_row_group(made):
    folder, _ = made
    data = ParquetSet.open(folder)
    file = folder / "part-1.parquet"
    raw = bytearray(file.read_bytes())
    page = pq.read_metadata(file).row_group(1).column(1).data_page_offset
    raw[page : page + 40] = b"\xff" * 40
    file.write_bytes(raw)
    with pytest.raises(FileFormatError, match=r"^part-1\.parquet, row group 1: ") as refused:
        data.read(4)
    assert "\n" not in str(refused.value)
    assert len(data.read(3)) == 5


def test_an_empty_row_group(made):
    folder, _ = made
    table = pq.read_table(folder / "part-1.parquet")
    with pq.ParquetWriter(folder / "part-1.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table):
            writer.write_table(part)
    assert pq.read_metadata(folder / "part-1.parquet").num_row_groups == 2
    assert one_line(folder).startswith("part-1.parquet, row group 0: found no row, expected at least one; --skip")
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert len(kept.groups) == 6
    assert kept.left_out == (LeftOut("part-1.parquet, row group 0: found no row, expected at least one", 0),)


def test_a_case_that_spans_two_files(made, write):
    folder, _ = made
    extra = make_sequences(2, time=20, channels=3)
    write(folder / "part-9.parquet", extra, ["case 14", "case 99"])
    assert one_line(folder) == (
        "part-9.parquet, row group 0: found the case 'case 14', which is also in part-0.parquet, row group 2, "
        "expected a case whole in one row group; 'quadgate data pack' puts it together, --skip-damaged leaves it out"
    )
    kept = ParquetSet.open(folder, skip_damaged=True)
    names = [name for number in range(len(kept.groups)) for name in kept.read(number).names]
    assert names == [f"case {i:02}" for i in range(40) if i != 14] + ["case 99"]


def test_a_case_that_spans_two_row_groups_of_numbers(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    cases = [3, 3, 1, 1, 2, 2, 3, 3]
    pq.write_table(pa.table({"case": cases, "x": np.arange(8.0)}), folder / "a.parquet", row_group_size=2)
    assert "a.parquet, row group 3: found the case '3', which is also in a.parquet, row group 0" in one_line(folder)


def test_the_other_files_are_not_lost(made):
    folder, _ = made
    (folder / "part-1.parquet").write_bytes(b"PAR1")
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert sum(len(kept.read(number)) for number in range(len(kept.groups))) == 25
    assert kept.how[-1].startswith("left out: part-1.parquet: damaged, or no Parquet: ")


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_a_missing_value_is_named(made, bad):
    folder, _ = made

    def spoil(table):
        values = table["c2"].to_pylist()
        values[3] = bad
        return table.set_column(3, "c2", pa.array(values, pa.float32()))

    rewritten(folder / "part-0.parquet", spoil)
    with pytest.raises(InputError, match=r"^part-0.parquet, row group 0, case 0 \('case 00'\), step 3, channel 'c2'"):
        ParquetSet.open(folder, skip_damaged=True).read(0)


def test_a_row_without_a_case_is_named(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.table({"case": ["a", None], "x": [1.0, 2.0]}), folder / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, row group 0, row 2: found nothing in the column 'case'"):
        ParquetSet.open(folder).read(0)


def test_a_folder_that_is_none(made, tmp_path):
    assert one_line(tmp_path / "nowhere").endswith("found no such folder, expected one with Parquet files")
    assert one_line(tmp_path).endswith("found no Parquet file, expected at least one")
    folder, _ = made
    for path in folder.iterdir():
        path.write_bytes(b"")
    assert "found no file that is whole" in one_line(folder, FileFormatError, skip_damaged=True)


def test_columns_can_be_named(made, tmp_path):
    folder, _ = made
    assert "no column 'run' for the case" in one_line(folder, columns=Columns(case="run"))
    table = pq.read_table(folder / "part-0.parquet").rename_columns(["run", "c0", "c1", "c2", "kind"])
    (tmp_path / "other").mkdir()
    pq.write_table(table, tmp_path / "other" / "a.parquet")
    assert "found no column of cases among run, c0" in one_line(tmp_path / "other")
    assert "'kind' of type text" in one_line(tmp_path / "other", columns=Columns(case="run"))
    assert ParquetSet.open(tmp_path / "other", Columns(case="run", label="kind")).channels == ("c0", "c1", "c2")


def test_the_fingerprint_knows_a_change_of_one_value(made, tmp_path):
    folder, _ = made
    before = ParquetSet.open(folder).fingerprint
    shutil.copytree(folder, tmp_path / "copy")
    assert ParquetSet.open(tmp_path / "copy").fingerprint == before
    rewritten(folder / "part-0.parquet", lambda table: table.set_column(1, "c0", pa.array([2.0] * len(table), "float")))
    assert ParquetSet.open(folder, skip_damaged=True).fingerprint != before


def test_texts_are_one_type_however_they_are_stored(made):
    folder, _ = made
    for number, kind in enumerate((pa.large_string(), pa.dictionary(pa.int32(), pa.string()))):
        path = folder / f"part-{number}.parquet"
        table = pq.read_table(path)
        groups = [table.slice(0, len(table))]
        changed = groups[0].set_column(0, "case", table["case"].cast(kind))
        pq.write_table(changed, path)
    data = ParquetSet.open(folder)
    assert isinstance(data.read(0), Sequences)
    assert data.read(0).names[:2] == ("case 00", "case 01")


def test_unsigned_times_are_put_in_order(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    table = pa.table({"case": ["a"] * 3, "time": pa.array([2, 0, 1], pa.uint32()), "x": [2.0, 0.0, 1.0]})
    pq.write_table(table, folder / "a.parquet")
    assert ParquetSet.open(folder).read(0).series[0][:, 0].tolist() == [0, 1, 2]


def test_durations_are_times(tmp_path):
    times = pa.array([90, 30, 60], pa.duration("s"))
    folder = table_set(tmp_path / "set", case=["a"] * 3, time=times, x=[2.0, 0.0, 1.0])
    assert ParquetSet.open(folder).read(0).series[0][:, 0].tolist() == [0, 1, 2]


def table_set(folder, **columns):
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"case": [1.0, float("nan")]}, "row 2: found nan in the column 'case', expected a value"),
        (
            {"case": ["a", "b"], "label": [1.0, float("nan")]},
            "row 2: found nan in the column 'label', expected a value",
        ),
        ({"case": ["a", "b"], "label": [1.0, 0.5]}, "found the label 0.5, expected classes: whole numbers or text"),
    ],
)
def test_what_is_no_name_becomes_none(tmp_path, columns, told):
    with pytest.raises(InputError, match=told):
        ParquetSet.open(table_set(tmp_path / "set", x=[1.0, 2.0], **columns)).read(0)


def test_truths_and_bytes_are_spelled_as_in_a_single_file(tmp_path):
    folder = table_set(tmp_path / "set", case=[b"a", b"\xc3\xa9"], label=[True, False], x=[1.0, 2.0])
    found = ParquetSet.open(folder).read(0)
    assert (found.names, found.labels.tolist()) == (("a", "é"), [1, 0])


def test_cut_cases_are_named_by_two_passes_however_many_there_are(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    names = [f"{i:03}" for i in range(60)]
    pq.write_table(pa.table({"case": names * 20, "x": np.arange(1200.0)}), folder / "a.parquet", row_group_size=60)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        whole = ParquetSet.cases_of
        patch.setattr(ParquetSet, "cases_of", lambda self, group: seen.append(group) or whole(self, group))
        found = ParquetSet.open(folder, skip_damaged=True)
    assert (len(seen), sorted(found.excluded)) == (40, names)
    with pytest.raises(InputError, match="found no case that is not left out"):
        statistics_of(found)


def test_how_many_cases_are_left_out_is_told_where_anything_tells(made, write):
    folder, _ = made
    rewritten(folder / "part-1.parquet", lambda table: table.drop_columns(["c1"]))
    (folder / "part-2.parquet").write_bytes(b"PAR1")
    write(folder / "part-9.parquet", make_sequences(2, time=20, channels=3), ["case 14", "case 99"])
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert [(one.what[:14], one.cases) for one in kept.left_out] == [
        ("part-2.parquet", None), ("part-1.parquet", 15), ("part-9.parquet", 1)
    ]  # fmt: skip
    assert kept.how[-2].endswith("expected it as in the other files (2) (15 cases)")


def test_of_much_that_is_left_out_some_is_printed(tmp_path):
    folder = table_set(tmp_path / "set", case=[f"{i:03}" for i in range(60)], x=np.arange(60.0))
    shutil.copy(folder / "a.parquet", folder / "b.parquet")
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert len(kept.left_out) == 60
    assert [line for line in kept.how if line.startswith("left out")][-1] == "left out: 40 more like it"


def relabelled(path, change):
    """Write a file anew with its table changed, row groups as they were."""
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    table = change(pq.read_table(path))
    with pq.ParquetWriter(path, table.schema) as writer:
        for size in sizes:
            writer.write_table(table.slice(0, size), row_group_size=size)
            table = table.slice(size)


NOTHING = [pa.null(), pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.null())]


def without_labels(kind, rows=slice(None)):
    def change(table):
        values = table["label"].to_pylist()
        values[rows] = [None] * len(values[rows])
        column = pa.nulls(len(table), kind) if kind in NOTHING[::3] else pa.array(values, pa.string()).cast(kind)
        return table.set_column(table.column_names.index("label"), "label", column)

    return change


@pytest.mark.parametrize("kind", NOTHING)
def test_a_file_without_any_label_is_named(made, kind):
    """As pandas writes a column of nothing, or of categories of which none is there."""
    folder, _ = made
    relabelled(folder / "part-1.parquet", without_labels(kind))
    told = "part-1.parquet: found nothing in the column 'label', expected a label for each case"
    assert one_line(folder) == f"{told}; --skip-damaged goes on with the rest, 5 row groups"
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert kept.left_out == (LeftOut(told, 15),)
    assert statistics_of(kept).labels.tolist() == ["no", "yes"]
    unasked = ParquetSet.open(folder, labelled=False)
    assert sum(len(unasked.read(number)) for number in range(len(unasked.groups))) == 40
    assert unasked.channels == kept.channels == ("c0", "c1", "c2")
    assert unasked.fingerprint != kept.fingerprint


def test_a_row_group_without_any_label_is_named(made):
    folder, _ = made
    sizes = [pq.read_metadata(folder / "part-1.parquet").row_group(number).num_rows for number in (0, 1)]
    relabelled(folder / "part-1.parquet", without_labels(pa.string(), slice(sizes[0], sum(sizes))))
    told = "part-1.parquet, row group 1: found nothing in the column 'label', expected a label for each case"
    assert one_line(folder).startswith(told)


def test_a_row_without_a_label_is_named(made):
    folder, _ = made
    size = pq.read_metadata(folder / "part-1.parquet").row_group(0).num_rows
    relabelled(folder / "part-1.parquet", without_labels(pa.string(), slice(size + 5, size + 6)))
    data = ParquetSet.open(folder, skip_damaged=True)
    with pytest.raises(InputError, match=r"^part-1\.parquet, row group 1, row 6: found nothing in the column 'label'"):
        statistics_of(data)


@pytest.mark.parametrize("kind", NOTHING)
def test_a_set_without_any_label_has_none(made, kind):
    folder, _ = made
    for file in folder.iterdir():
        relabelled(file, without_labels(kind))
    data = ParquetSet.open(folder)
    assert (data.roles.label, data.channels, data.left_out) == (None, ("c0", "c1", "c2"), ())
    with pytest.raises(InputError, match="found no labels, expected one for each case"):
        Part.whole(data, statistics_of(data)).check_trainable()


def test_texts_and_categories_are_labels_of_one_type(made):
    folder, _ = made
    for number, kind in enumerate((pa.large_string(), pa.dictionary(pa.int8(), pa.string()))):
        relabelled(
            folder / f"part-{number}.parquet",
            lambda table, kind=kind: table.set_column(4, "label", table["label"].cast(kind)),
        )
    assert statistics_of(ParquetSet.open(folder)).labels.tolist() == ["no", "yes"]


def test_labels_of_two_types_are_refused_where_they_are_asked_for(made):
    folder, _ = made
    numbers = {"no": 0, "yes": 1}
    relabelled(
        folder / "part-1.parquet",
        lambda table: table.set_column(4, "label", pa.array([numbers[one] for one in table["label"].to_pylist()])),
    )
    told = "part-1.parquet: found the column 'label' of type int64, expected text as in the other files (2)"
    assert one_line(folder).startswith(told)
    assert len(ParquetSet.open(folder, labelled=False).groups) == 8


@pytest.mark.parametrize("labels", [(0, 1), None])
def test_what_was_left_out_for_its_labels_alone_is_not_vouched_for(made, write, labels):
    """What a pass over the rest has kept says nothing of row groups that are read again without labels."""
    folder, _ = made
    extra = make_sequences(4, time=20, channels=3)
    write(folder / "z.parquet", extra, ["case 02", "case 03", "new 1", "new 2"], labels=labels)
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert [one.cases for one in kept.left_out] == [4]
    statistics_of(kept)
    told = "z.parquet, row group 0: found the case 'case 02', which is also in part-0.parquet, row group 0 (1 more like"
    assert one_line(folder, labelled=False).startswith(told)
    unasked = ParquetSet.open(folder, skip_damaged=True, labelled=False)
    assert (unasked.excluded, unasked.fingerprint != kept.fingerprint) == ({"case 02", "case 03"}, True)


def test_what_is_left_out_for_other_reasons_changes_no_fingerprint(made):
    folder, _ = made
    rewritten(folder / "part-1.parquet", lambda table: table.drop_columns(["c1"]))
    with_labels, without = (ParquetSet.open(folder, skip_damaged=True, labelled=one) for one in (True, False))
    assert with_labels.fingerprint == without.fingerprint


@pytest.mark.parametrize("kind", ["none", "lists", "numbers"])
def test_a_file_without_cases_that_can_be_counted_is_left_out(made, kind):
    folder, _ = made
    columns = {"lists": lambda size: pa.array([["a"]] * size), "numbers": lambda size: pa.array(range(size))}

    def change(table):
        rest = table.drop_columns(["case"])
        return rest if kind == "none" else rest.add_column(0, "case", columns[kind](len(table)))

    rewritten(folder / "part-1.parquet", change)
    kept = ParquetSet.open(folder, skip_damaged=True)
    assert [(one.what.split(":")[0], one.cases) for one in kept.left_out] == [("part-1.parquet", None)]
    assert sum(len(kept.read(number)) for number in range(len(kept.groups))) == 25


def test_cases_that_are_lists_are_refused(tmp_path):
    folder = table_set(tmp_path / "set", case=[["a"], ["b"]], x=[1.0, 2.0])
    told = "a.parquet, row group 0: found the column 'case' of type list<element: string>, expected texts or numbers"
    assert one_line(folder) == told


def test_cases_that_another_process_has_found_are_not_looked_for(made, write, monkeypatch):
    folder, _ = made
    write(folder / "part-9.parquet", make_sequences(2, time=20, channels=3), ["case 14", "case 99"])
    looked = ParquetSet.open(folder, skip_damaged=True)
    monkeypatch.setattr("quadgate.data.parquet.parquet_set.spanning_cases", None)
    told = ParquetSet.open(folder, skip_damaged=True, excluded=sorted(looked.excluded))
    assert (told.fingerprint, told.excluded) == (looked.fingerprint, {"case 14"})
    assert [str(one) for one in told.left_out] == ["the case 'case 14' is in more than one row group (1 case)"]
