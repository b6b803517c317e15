from datetime import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quadgate.data import Sequences
from quadgate.data.columns import Columns
from quadgate.data.table import read_table
from quadgate.errors import FileFormatError, InputError

on_disk = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def long_frame(made: Sequences, time: bool = True) -> pd.DataFrame:
    parts = []
    for case, one in enumerate(made.series):
        part = {"case": f"c{case}", **({"time": 0.25 * np.arange(len(one))} if time else {})}
        part |= {name: one[:, c] for c, name in enumerate(made.channels)}
        parts.append(pd.DataFrame(part | {"label": made.labels[case], "subject": f"s{case % 2}"}))
    return pd.concat(parts, ignore_index=True)


def write(frame: pd.DataFrame, path, **how):
    frame.to_csv(path, index=False, **how) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@on_disk
@given(
    drawn=st.data(),
    name=st.sampled_from(["a.csv", "a.parquet"]),
    how=st.fixed_dictionaries(
        {"sep": st.sampled_from(",;\t"), "encoding": st.sampled_from(["utf-8", "utf-8-sig", "gbk"])}
    ),
    shuffle=st.booleans(),
)
def test_a_long_table_gives_back_what_was_written(tmp_path, same, any_sequences, drawn, name, how, shuffle):
    made = drawn.draw(any_sequences())
    frame = long_frame(made)
    if shuffle:  # but for the first row of each case, whose order is the order of the cases
        first = frame["time"] == 0
        frame = pd.concat([frame[first], frame[~first].sample(frac=1, random_state=0)])
    data = read_table(write(frame, tmp_path / name, **how))
    same(data.train, made)
    assert data.train.names == tuple(f"c{case}" for case in range(len(made)))
    assert data.train.groups.tolist() == [f"s{case % 2}" for case in range(len(made))]


@on_disk
@given(drawn=st.data(), axes=st.sampled_from(["NTC", "NCT"]), header=st.booleans())
def test_a_wide_table_gives_back_what_was_written(tmp_path, same, any_sequences, drawn, axes, header):
    made = drawn.draw(any_sequences(equal=True))
    x = np.stack(made.series)
    rows = (x if axes == "NTC" else x.transpose(0, 2, 1)).reshape(len(x), -1)
    frame = pd.DataFrame(rows, columns=[f"v{i}" for i in range(rows.shape[1])]).assign(label=made.labels)
    write(frame, tmp_path / "a.csv", header=header)
    same(read_table(tmp_path / "a.csv", channels=x.shape[2], axes=axes).train, made, channels=False)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["x_0", "x_1", "x_2", "y_0", "y_1", "y_2"], "NCT"),
        (["x_0", "y_0", "x_1", "y_1", "x_2", "y_2"], "NTC"),
    ],
)
def test_names_of_columns_settle_the_order_of_a_wide_row(tmp_path, names, told):
    pd.DataFrame([range(6), range(6)], columns=names).to_csv(tmp_path / "a.csv", index=False)
    data = read_table(tmp_path / "a.csv", channels=2)
    assert data.train.channels == ("x", "y")
    expected = [[0, 3], [1, 4], [2, 5]] if told == "NCT" else [[0, 1], [2, 3], [4, 5]]
    np.testing.assert_array_equal(data.train.series[0], expected)
    assert "as the names of the columns say" in data.how[1]


def read_text_table(tmp_path, text, **arguments):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    return read_table(tmp_path / "a.csv", **arguments)


def test_a_first_column_that_rises_is_time_and_no_channel(tmp_path):
    text = "case,x,a\n1,0,5\n1,10,6\n1,20,7\n2,3,8\n2,4,9\n"
    data = read_text_table(tmp_path, text)
    assert data.train.channels == ("a",)
    assert "time: column 'x', which comes first and rises at every step, and is no channel" in data.how
    assert read_text_table(tmp_path, text, columns=Columns(time="none")).train.channels == ("x", "a")


@pytest.mark.parametrize("last", ["20", "10", "5"])
def test_a_first_column_that_does_not_rise_is_a_channel(tmp_path, last):
    data = read_text_table(tmp_path, f"case,x,a\n1,0,5\n1,20,6\n1,{last},7\n")
    assert data.train.channels == ("x", "a")


def test_two_steps_are_too_few_to_take_a_column_for_time(tmp_path):
    assert read_text_table(tmp_path, "case,x,a\n1,0,5\n1,1,6\n2,0,1\n").train.channels == ("x", "a")


def test_row_numbers_are_left_out(tmp_path):
    data = read_text_table(tmp_path, ",case,time,a\n0,1,0,5\n1,1,1,6\n2,1,2,9\n")
    assert data.train.channels == ("a",)
    assert any("row numbers" in line for line in data.how)


@pytest.mark.parametrize("zone", ["", "Z", "+08:00"])
def test_dates_order_the_rows(tmp_path, zone):
    text = f"case,time,a\n1,2024-01-02T00:00{zone},2\n1,2024-01-01T00:00{zone},1\n1,2024-01-10T00:00{zone},3\n"
    data = read_text_table(tmp_path, text)
    assert data.train.series[0].tolist() == [[1], [2], [3]]
    assert any("put in order" in line for line in data.how)


def test_label_and_group_are_no_channels_whatever_they_are_called(tmp_path):
    text = "id,a,b,kind,who\n1,1,2,up,7\n1,2,1,up,7\n2,4,4,down,8\n"
    found = read_text_table(tmp_path, text, columns=Columns(case="id", label="kind", group="who")).train
    assert found.channels == ("a", "b")
    assert found.labels.tolist() == ["up", "down"]
    assert found.groups.tolist() == ["7", "8"]


def test_a_wide_row_may_begin_or_end_with_its_label(tmp_path):
    for text in ("up,1,2,3,4\ndown,5,6,7,8\n", "1,2,3,4,up\n5,6,7,8,down\n"):
        found = read_text_table(tmp_path, text, channels=2).train
        assert found.labels.tolist() == ["up", "down"]
        assert found.series[1].tolist() == [[5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a,b\n1,2\n3,4\n", {}, r"found no column of cases among a, b.*--case NAME.*--channels C"),
        ("case,a\n1,2\n", {"axes": "NCT"}, "axes 'NCT' for a long table"),
        ("case,a\n1,2\n", {"channels": 3}, r"found 1 channels \(a\), expected 3"),
        ("case,a\n1,2\n1,\n", {}, r"a\.csv, case 0 \('1'\), step 1, channel 'a': found NaN"),
        ("case,a\n1,2\n1,inf\n", {}, "step 1, channel 'a': found an infinite number"),
        ("case,a,b\n1,2,3\n1,dog,3\n", {}, r"row 2, column 'a': found 'dog', expected a number"),
        ("case,group,a\n1,up,3\n1,down,4\n", {}, r"case 1: found the groups 'up' and 'down', expected one"),
        ("case,label,a\n1,up,3\n1,,4\n", {}, r"case 0 \('1'\), step 1: found no label, expected a class"),
        ("case,subject,a\n1,p,3\n2,,4\n", {}, r"a\.csv, case 1 \('2'\): found no group"),
        ("case,subject,a\n1,p,3\n1,q,4\n", {}, r"case 1: found the groups 'p' and 'q'"),
        ("case,label,a\n1,,3\n1,,4\n", {}, r"case 0: found no label"),
        ("case,time,a\n1,0,3\n1,0,4\n", {}, r"case 1: found the time 0 twice.*--time none"),
        ("case,time,a\n1,soon,3\n1,late,4\n", {}, r"found 'soon' in the column 'time', expected numbers, durations or"),
        ("case,time,a\n1,0,3\n1,,4\n", {}, r"row 2: found no time in the column 'time'"),
        ("case,time,label\n1,0,up\n", {}, "found no column of a channel"),
        ("case,a\n1,2\n", {"columns": Columns(label="lbl")}, "no column 'lbl' for the label"),
        ("1,2,3\n4,5,6\n", {"channels": 2}, r"one more than 2 channels divide.*--label 'column 1'"),
        ("label,a,b,c\nx,1,2,3\n", {"channels": 2}, "found 3 values in a row, expected a multiple of 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, text, arguments, message):
    with pytest.raises(InputError, match=message) as refused:
        read_text_table(tmp_path, text, **arguments)
    assert "\n" not in str(refused.value)


def test_parquet_with_dates_and_nullable_numbers(tmp_path):
    frame = pd.DataFrame(
        {
            "case": pd.Categorical(["x", "x", "y"]),
            "when": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-01"], utc=True),
            "a": pd.array([2, 1, 3], dtype="Int64"),
            "label": pd.Categorical(["up", "up", "down"]),
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    found = read_table(tmp_path / "a.parquet", Columns(time="when")).train
    assert [one.tolist() for one in found.series] == [[[1], [2]], [[3]]]
    assert found.labels.tolist() == ["up", "down"]
    frame["a"] = pd.array([2, None, 3], dtype="Int64")
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"case 0 \('x'\), step 0, channel 'a': found NaN"):
        read_table(tmp_path / "a.parquet", Columns(time="when"))


def test_a_temperature_called_t_beside_the_time_is_a_channel(tmp_path):
    data = read_text_table(tmp_path, "case,T,time,label\n1,20.5,1,up\n1,30.5,0,up\n2,4,0,down\n2,3,1,down\n")
    assert data.train.channels == ("T",)
    assert [one.tolist() for one in data.train.series] == [[[30.5], [20.5]], [[4], [3]]]


DATES = pd.to_datetime(["2024-01-02", "2024-01-01"])
DURATIONS = pd.to_timedelta([90, 30], "s")


@pytest.mark.parametrize(
    ("kind", "times"), [("dates", DATES), ("dates", DATES.tz_localize("Asia/Shanghai")), ("durations", DURATIONS)]
)
def test_dates_and_durations_are_a_time_and_no_channel(tmp_path, kind, times):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"case": [1, 1], "when": times, "a": [2.0, 1.0]}).to_parquet(path)
    with pytest.raises(InputError, match=rf"a\.parquet: found {kind} in the column 'when', .*time='when'"):
        read_table(path)
    data = read_table(path, Columns(time="when"))
    assert data.train.channels == ("a",)
    assert data.train.series[0].tolist() == [[1], [2]]


def test_a_case_without_a_group_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"case": [1, 1, 2], "group": ["p", "p", None], "a": [2.0, 1.0, 0.0]}).to_parquet(path)
    with pytest.raises(InputError, match=r"a\.parquet, case 1 \('2'\): found no group, expected that of its subject"):
        read_table(path)


def test_times_of_the_day_are_refused_as_a_time(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"case": [1, 1], "time": [time(0, 1), time(0, 2)], "a": [2.0, 1.0]}).to_parquet(path)
    with pytest.raises(InputError, match="found '00:01:00' in the column 'time', expected numbers, durations or dates"):
        read_table(path)


def test_a_damaged_parquet_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"case": [1, 1], "a": [1.0, 2.0]}).to_parquet(path)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(FileFormatError, match=r"a\.parquet: damaged, or no Parquet") as refused:
            read_table(path)
        assert "\n" not in str(refused.value)


def test_a_decimal_comma_in_quotes_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('case,u,v\n1,"0,5",2\n1,"0,25",3\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.csv, row 1, column 'u': found '0,5', expected a number; write decimal"):
        read_table(path)


def test_decimal_commas_in_one_column_alone_are_told_what_to_do(tmp_path):
    text = "case;u;v\n1;0,5;0.5\n1;0,25;1.5\n"
    with pytest.raises(
        InputError, match=r"column 'u': found '0,5', .*; write decimal points in every column, or in none"
    ):
        read_text_table(tmp_path, text)


def test_ids_beyond_the_range_of_integers_stay_apart(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{2**64 + case},{step},0.5" for case in (1, 2) for step in range(3)]
    path.write_text("\n".join(["case,time,u", *rows]), encoding="utf-8")
    assert read_table(path).train.names == (str(2**64 + 1), str(2**64 + 2))
    pd.read_csv(path, dtype={"case": float}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 1: found the case 18446744073709551616 as float64, which cannot tell"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_label_that_changes_within_a_case_is_one_of_each_step(tmp_path, kind):
    frame = pd.DataFrame(
        {"case": [2, 1, 1, 2, 1], "t": [1, 0, 2, 0, 1], "a": [0.0, 1, 2, 3, 4], "label": ["y", "x", "y", "x", "x"]}
    )
    path = tmp_path / f"steps.{kind}"
    write(frame, path)
    data = read_table(path)
    assert [one.tolist() for one in data.train.step_labels] == [["x", "y"], ["x", "x", "y"]]
    assert [one[:, 0].tolist() for one in data.train.series] == [[3, 0], [1, 4, 2]]
    assert data.train.labels.tolist() == ["y", "y"]
    assert data.how[-1] == "labels change within a case: a class at each step"
    assert data.train.describe() == "2 cases x 2 to 3 steps x 1 channel, 2 classes, one at each step"
    with pytest.raises(
        InputError, match=r"case 0 \('2'\): found the labels 'x', 'y', expected one for each case, or --pr"
    ):
        data.train.check_trainable()
    data.train.check_trainable(every_step=True)
