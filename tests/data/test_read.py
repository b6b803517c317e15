from pathlib import Path

import numpy as np
import pytest

from quadgate.data import read
from quadgate.errors import FileFormatError, InputError

TS = "@univariate true\n@equalLength true\n@classLabel true a b\n@data\n1,2,3:a\n4,5,6:b\n"
X = np.arange(4 * 5 * 2.0).reshape(4, 5, 2)
Y = np.array([0, 1, 0, 1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One file of each form, in the working directory."""
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    np.save("y.npy", Y)
    np.savez("set.npz", X=X, y=Y)
    Path("long.csv").write_text("case,a,label\n1,1,u\n1,0,u\n2,2,v\n", encoding="utf-8")
    Path("wide.csv").write_text("u,1,2,3,4\nv,5,6,7,8\n", encoding="utf-8")
    for name in ("W_TRAIN.ts", "W_TEST.ts", "alone.ts"):
        Path(name).write_text(TS, encoding="utf-8")
    for part in ("train", "test"):
        for label in ("up", "down"):
            (tmp_path / "parts" / part / label).mkdir(parents=True)
            (tmp_path / "parts" / part / label / "1.csv").write_text("x\n1\n2\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "arguments", "sizes"),
    [
        (None, {"x": "X.npy", "y": "y.npy"}, "4 cases x 5 steps x 2 channels, 2 classes"),
        (".", {}, "4 cases x 5 steps x 2 channels, 2 classes"),
        ("X.npy", {}, "4 cases x 5 steps x 2 channels, no labels"),
        ("set.npz", {"axes": "NCT"}, "4 cases x 2 steps x 5 channels, 2 classes"),
        ("long.csv", {}, "2 cases x 1 to 2 steps x 1 channel, 2 classes"),
        ("wide.csv", {"channels": 2}, "2 cases x 2 steps x 2 channels, 2 classes"),
        ("alone.ts", {}, "2 cases x 3 steps x 1 channel, 2 classes"),
        ("W_TEST.ts", {}, "2 cases x 3 steps x 1 channel, 2 classes"),
        ("parts/train", {}, "2 cases x 2 steps x 1 channel, 2 classes"),
    ],
)
def test_each_form_is_told_by_its_name(folder, source, arguments, sizes):
    data = read(source, **arguments)
    assert data.test is None
    assert data.train.describe() == sizes
    assert data.how[0] == sizes
    assert len(data.how) > 1


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("W_TRAIN.ts", {}),
        ("parts", {}),
        ("set.npz", {"test": "set.npz"}),
        (None, {"x": "X.npy", "y": "y.npy", "test": "set.npz"}),
        ("BasicMotions", {}),
    ],
)
def test_a_test_part_is_read_and_told(folder, source, arguments):
    data = read(source, **arguments)
    assert data.how[:2] == (f"training part: {data.train.describe()}", f"test part: {data.test.describe()}")


def test_a_folder_with_a_pair_of_ts_files(folder):
    (folder / "ts").mkdir()
    for name in ("W_TRAIN.ts", "W_TEST.ts"):
        (folder / name).rename(folder / "ts" / name)
    assert len(read("ts").test) == 2
    (folder / "ts" / "V_TRAIN.ts").touch()
    with pytest.raises(InputError, match=r"found 2 training parts"):
        read("ts")


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (None, {}, "found neither a source nor x, expected one: a file, "),
        ("set.npz", {"x": "X.npy"}, r"found both a source \(set\.npz\) and x \(X\.npy\)"),
        ("set.npz", {"y": "y.npy"}, "found y without x"),
        ("none.csv", {}, r"none\.csv: found no such file or folder"),
        ("some/where", {}, "found no such file or folder"),
        ("JapanesVowels", {}, "did you mean 'JapaneseVowels'"),
        ("BasicMotions", {"test": "set.npz"}, "found a test part of its own"),
        ("BasicMotions", {"axes": "NCT"}, r"found axes='NCT', which means nothing here; expected no argument"),
        ("set.npz", {"label": "y"}, r"found label='y'.*expected only axes, channels, group"),
        ("alone.ts", {"channels": 2}, "found channels=2"),
        ("parts/train", {"axes": "NCT"}, "expected only case, time, label, group"),
        ("set.npz", {"test": "alone.ts"}, "found 1 channels in the test part, expected 2"),
        ("a.xlsx", {}, r"found the ending '.xlsx', expected one of .npy"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(folder, source, arguments, message):
    (folder / "a.xlsx").touch()
    with pytest.raises(InputError, match=message) as refused:
        read(source, **arguments)
    assert "\n" not in str(refused.value)


def test_a_foreign_file_is_refused_in_one_line(folder):
    for name in ("b.npy", "b.npz", "b.csv", "b.ts", "b.parquet"):
        (folder / name).write_bytes(bytes(range(256)) * 4)
        with pytest.raises(FileFormatError, match=name) as refused:
            read(name)
        assert "\n" not in str(refused.value)


def test_both_parts_have_a_class_at_each_step_where_one_has(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 3, 1)), y=[[0, 1, 1], [1, 1, 0]])
    np.savez(tmp_path / "b.npz", X=np.zeros((2, 4, 1)), y=[0, 1])
    for one, other, steps in (("a", "b", [[0] * 4, [1] * 4]), ("b", "a", [[0, 1, 1], [1, 1, 0]])):
        data = read(tmp_path / f"{one}.npz", test=tmp_path / f"{other}.npz")
        assert [labels.tolist() for labels in data.test.step_labels] == steps
        assert data.train.step_labels is not None
