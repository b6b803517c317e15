from pathlib import Path

import numpy as np
import pytest

from quadgate.data.columns import Columns
from quadgate.data.folders import natural, read_folder
from quadgate.errors import FileFormatError, InputError

AREM = Path(__file__).parents[3] / "shared" / "data" / "arem"


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_folder_for_each_class_with_files_that_are_not_written_alike(tmp_path):
    write(
        tmp_path,
        run__2_csv="# Task: run\r\n# Columns: time,a,b\r\n0,1,2\r\n250,3,4\r\n500,5,6\r\n",
        run__10_csv="#Columns time a b\n0 7 8 \n250 9 10 \n500 9 10\n",
        走路__1_csv="time;b;a;\n0;1,5;2;\n250;3;4;\n500;3;4;\n",
        走路__3_csv="0\t1\t2\n250\t3\t4\n500\t3\t4\n".encode("gbk"),
    )
    data = read_folder(tmp_path)
    assert data.train.names == ("run/2.csv", "run/10.csv", "走路/1.csv", "走路/3.csv")
    assert data.train.labels.tolist() == ["run", "run", "走路", "走路"]
    assert data.train.channels == ("a", "b")
    first_steps = [one[0].tolist() for one in data.train.series]
    assert first_steps == [[1, 2], [7, 8], [2, 1.5], [1, 2]]
    assert data.how[0].endswith("a folder for each class: run 2, 走路 2")


def test_a_first_column_that_rises_in_all_files_is_time(tmp_path):
    write(tmp_path, up__1_csv="0,5\n1,6\n2,7\n", down__1_csv="0,4\n2,3\n3,2\n")
    data = read_folder(tmp_path)
    assert data.train.series[0].tolist() == [[4], [3], [2]]
    assert any("rises at every step" in line for line in data.how)


def test_labels_csv_with_groups(tmp_path):
    write(
        tmp_path,
        a_csv="x,y\n1,2\n3,4\n",
        b_csv="x,y\n5,6\n",
        c_csv="x,y\n0,0\n",
        labels_csv="﻿file,label,subject\nb.csv,up,p\na,down,q\nc.csv,up,p\n",
    )
    found = read_folder(tmp_path).train
    assert found.names == ("a.csv", "b.csv", "c.csv")
    assert found.labels.tolist() == ["down", "up", "up"]
    assert found.groups.tolist() == ["q", "p", "p"]


def test_a_file_that_labels_csv_has_twice_needs_the_same_label(tmp_path):
    files = {"a_csv": "1,2\n3,1\n", "b_csv": "5,6\n"}
    write(tmp_path, **files, labels_csv="file,label,subject\na.csv,up,p\nb.csv,down,q\na,up,p\n")
    assert read_folder(tmp_path).train.labels.tolist() == ["up", "down"]
    for row, told in (("a,down,p", "labels 'up' and 'down'"), ("a.csv,up,q", "groups 'p' and 'q'")):
        write(tmp_path, labels_csv=f"file,label,subject\na.csv,up,p\nb.csv,down,q\n{row}\n")
        with pytest.raises(InputError, match=rf"labels\.csv: found the {told} for 'a.*', expected one"):
            read_folder(tmp_path)


def test_labels_csv_without_a_header_or_with_names_of_its_own(tmp_path):
    write(tmp_path, a_csv="1,2\n3,1\n", b_csv="5,6\n", labels_csv="a.csv,1\nb.csv,2\n")
    assert read_folder(tmp_path).train.labels.tolist() == [1, 2]
    write(tmp_path, labels_csv="kind,run\nup,b\ndown,a\n")
    assert read_folder(tmp_path, Columns(case="run", label="kind")).train.labels.tolist() == ["down", "up"]


def test_files_alone_have_no_labels_but_those_of_a_column(tmp_path):
    write(tmp_path, a_csv="x\n1\n", b_csv="x\n1\n")
    assert read_folder(tmp_path).train.labels is None
    write(tmp_path, a_csv="x,label\n1,up\n", b_csv="x,label\n1,down\n")
    assert read_folder(tmp_path).train.labels.tolist() == ["up", "down"]


def test_a_column_of_labels_inside_never_becomes_a_channel(tmp_path):
    write(tmp_path, up__1_csv="x,class\n1,0\n", down__1_csv="x,class\n1,1\n")
    data = read_folder(tmp_path)
    assert data.train.channels == ("x",)
    assert data.train.labels.tolist() == ["down", "up"]
    assert any("'class' of the files is left out" in line for line in data.how)
    assert read_folder(tmp_path, Columns(label="class")).train.labels.tolist() == [1, 0]


def test_a_column_of_groups_inside(tmp_path):
    write(tmp_path, up__1_csv="x,subject\n1,p\n2,p\n", down__1_csv="x,subject\n1,q\n")
    found = read_folder(tmp_path).train
    assert found.channels == ("x",)
    assert found.groups.tolist() == ["q", "p"]


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, InputError, "found no CSV file"),
        ({"a_csv": "1\n", "up__1_csv": "1\n"}, InputError, "found 1 CSV files and folders with others"),
        ({"up__1_csv": "x,y\n1,2\n", "up__2_csv": "x,z\n1,2\n"}, FileFormatError, r"2\.csv: found the columns x, z"),
        ({"up__1_csv": "1,2\n", "up__2_csv": "1\n"}, FileFormatError, r"2\.csv: found the columns column 1, expected"),
        (
            {"a_csv": "x\n1\n", "labels_csv": "file,label\nb,up\n"},
            InputError,
            r"no label for 1 of 1 files, such as a\.csv",
        ),
        ({"a_csv": "x\n1\n", "labels_csv": "file,label\na,up\nb,up\n"}, InputError, "found a label for 'b'"),
        ({"a_csv": "x\n1\n", "labels_csv": "file\na.csv\n"}, FileFormatError, "expected a file and its label"),
        ({"up__1_csv": "", "up__2_csv": "x\n1\n"}, FileFormatError, r"1\.csv: found no row"),
        ({"up__1_csv": "x\n1\n\nNaN\n"}, InputError, r"case 0 \('up/1\.csv'\), step 1, channel 'x': found NaN"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, files, error, message):
    with pytest.raises(error, match=message) as refused:
        read_folder(write(tmp_path, **files))
    assert "\n" not in str(refused.value)


def test_numbers_in_names_are_ordered_as_numbers():
    names = [Path(name) for name in ("run10.csv", "run2.csv", "Run1.csv", "2.csv", "a.csv")]
    assert [str(name) for name in sorted(names, key=natural)] == ["2.csv", "a.csv", "Run1.csv", "run2.csv", "run10.csv"]


@pytest.mark.skipif(not AREM.is_dir(), reason="the AReM recordings are not beside this clone (../shared/data/arem)")
def test_real_recordings():
    data = read_folder(AREM)
    assert data.train.describe() == "88 cases x 480 steps x 6 channels, 7 classes"
    assert data.train.channels == ("avg_rss12", "var_rss12", "avg_rss13", "var_rss13", "avg_rss23", "var_rss23")
    assert "time: column 'time', no channel" in data.how
    place = data.train.names.index("bending2/dataset4.csv")
    np.testing.assert_array_equal(data.train.series[place][1], np.float32([32.5, 0.5, 0, 0, 18.5, 0.5]))
    assert [int((data.train.labels == k).sum()) for k in data.train.classes] == [7, 6, 15, 15, 15, 15, 15]
