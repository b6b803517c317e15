import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quadgate.data.columns import KNOWN_NAMES
from quadgate.data.delimited import read_delimited
from quadgate.errors import FileFormatError

on_disk = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def form_of(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return read_delimited(path, KNOWN_NAMES)


@on_disk
@given(
    rows=st.lists(st.tuples(*[st.floats(-1e5, 1e5, width=32)] * 3), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t", " ", "  ", ", ", " ; "]),
    header=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    trailing=st.booleans(),
    comments=st.lists(st.sampled_from(["# Task: walking", "#Frequency(Hz):20", "% a", "// b, c", "  # d", ""])),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gbk", "utf-16"]),
)
def test_the_numbers_do_not_depend_on_how_they_are_written(
    tmp_path, rows, delimiter, header, ending, trailing, comments, encoding
):
    names = ("数值", "b", "c")
    lines = [*([delimiter.join(names)] if header else []), *(delimiter.join(map(repr, row)) for row in rows)]
    end = delimiter if trailing else ""
    form = form_of(tmp_path / "a.csv", ending.join([*comments, *(line + end for line in lines), ""]), encoding)
    assert form.names == (names if header else None)
    assert form.frame().to_numpy().tolist() == [list(row) for row in rows]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("time,a,b\n0,1,2\n", ("time", "a", "b")),
        ("label,0,1\nup,1,2\n", ("label", "0", "1")),
        ("0,1,label\n1,2,up\n", ("0", "1", "label")),
        ("1,2,step\n3,4,step\n", None),
        ("kind,0,1\n3,1,2\n", ("kind", "0", "1")),
        ("up,1,2\ndown,3,4\n", None),
        ("1,2\n3,4\n", None),
        ("# Columns: time,a,b\n0,1,2\n", ("time", "a", "b")),
        ("#Columns:time,a,b\n0,1,2\n", ("time", "a", "b")),
        ("# Columns time,a,b\n0,1,2\n", ("time", "a", "b")),
        ("# a,b,c\n# Task: run\n0,1,2\n", ("a", "b", "c")),
        ("# 1,2,3\n0,1,2\n", None),
        ("# a,b\n0,1,2\n", None),
        ("# a,b,c\nx,y,z\n0,1,2\n", ("x", "y", "z")),
        ('"a, of 1","b"\n"0","1"\n', ("a, of 1", "b")),
    ],
)
def test_headers(tmp_path, text, names):
    assert form_of(tmp_path / "a.csv", text).names == names


def test_some_rows_may_end_in_a_delimiter(tmp_path):
    form = form_of(tmp_path / "a.csv", "a,b\n1,2,\n3,4\n5,6,\n")
    assert form.frame().to_numpy().tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_decimal_comma_between_semicolons(tmp_path):
    form = form_of(tmp_path / "a.csv", "a;b\n1,5;2\n3;4,25\n")
    assert form.delimiter == ";"
    assert form.frame().to_numpy().tolist() == [[1.5, 2], [3, 4.25]]


def test_text_columns_stay_text(tmp_path):
    frame = form_of(tmp_path / "a.csv", "label,a\n01,1\nNA,2\n").frame(["label"])
    assert frame["label"].tolist() == ["01", "NA"]
    assert frame["a"].dtype.kind == "i"


def test_how_it_was_read_is_told(tmp_path):
    form = form_of(tmp_path / "a.csv", "# x\n时间;a\n0;1\n", "gbk")
    assert form.how == "semicolon-delimited, gbk, a header, 1 comment line"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no row"),
        ("# only\n\n", "found no row"),
        ("a,b\n", "found a header and no row"),
        ("a,b\n1,2\n3\n4,5\n", "line 3: found 1 fields, expected 2 as in line 1"),
        ("a,b\n\n1,2\n3,4,5\n4,5\n", "line 4: found 3 fields, expected 2"),
        (
            "case,u,v\n1,0,5,2\n1,0,25,3\n",
            "line 2: found 4 fields, expected 3 as in line 1; if commas are decimal, sep",
        ),
        ("a,a\n1,2\n", "two columns named 'a'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(FileFormatError, match=rf"a\.csv.*{message}"):
        form_of(tmp_path / "a.csv", text)


@pytest.mark.parametrize(
    ("delimiter", "rows"), [(";", "1;2\n1,5;2,25"), ("\t", "1,5\t2\n-3,25\t4"), (" ", "1,5 2,5\n3 4")]
)
def test_decimal_commas_are_read_where_a_comma_separates_nothing(tmp_path, delimiter, rows):
    path = tmp_path / "a.csv"
    path.write_text(delimiter.join("ab") + "\n" + rows + "\n", encoding="utf-8")
    found = read_delimited(path, ()).frame()
    expected = [[float(field.replace(",", ".")) for field in row.split(delimiter)] for row in rows.split("\n")]
    assert found.to_numpy().tolist() == expected


def test_points_stay_points_beside_a_comma_for_thousands(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1.5;2,000\n", encoding="utf-8")
    assert read_delimited(path, ()).frame().iloc[0, 0] == 1.5
