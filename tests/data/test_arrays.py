import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quadgate.data import from_arrays, pad
from quadgate.data.arrays import read_npy, read_npz, unfold
from quadgate.data.read import read as read_any
from quadgate.errors import FileFormatError, InputError

on_disk = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@on_disk
@given(drawn=st.data())
def test_npz_with_lengths_gives_back_what_was_saved(tmp_path, same, any_sequences, drawn):
    made = drawn.draw(any_sequences())
    x, lengths = pad(made.series)
    np.savez(tmp_path / "a.npz", X=x, y=made.labels, lengths=lengths, groups=lengths, fs=50)
    data = read_npz(tmp_path / "a.npz", axes="NTC")
    same(data.train, made, channels=False)
    assert data.train.groups.tolist() == lengths.tolist()
    assert data.how[-1] == "left out: fs"


@on_disk
@given(drawn=st.data())
def test_npy_gives_back_what_was_saved_in_both_orders(tmp_path, same, any_sequences, drawn):
    made = drawn.draw(any_sequences(equal=True))
    x, _ = pad(made.series)
    np.save(tmp_path / "y.npy", made.labels)
    for axes, stored in (("NTC", x), ("NCT", np.ascontiguousarray(x.transpose(0, 2, 1)))):
        np.save(tmp_path / "X.npy", stored)
        same(read_npy(tmp_path / "X.npy", tmp_path / "y.npy", axes=axes).train, made, channels=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"X": np.zeros((5, 12, 820))}, r"shape \(5, 12, 820\), which is 12 steps of 820 channels"),
        ({"X": np.zeros((5, 12, 9)), "channels": 12}, "12 steps of 9 channels"),
        ({"X": np.zeros((5, 12, 12)), "lengths": [13] * 5}, None),
        ({"X": [np.zeros((12, 820))] * 3}, "12 steps of 820 channels"),
        ({"X": [np.zeros((12, 820)), np.zeros((12, 700))]}, "12 rows and unequal columns"),
    ],
)
def test_axes_that_look_swapped_are_refused(arguments, told):
    if told is None:  # lengths beyond T, and no other axis has as many steps: nothing to swap
        with pytest.raises(InputError, match="lengths from 13 to 13, expected 1 to 12"):
            from_arrays(**arguments)
        return
    with pytest.raises(InputError, match=told) as refused:
        from_arrays(**arguments)
    named = ("axes='NCT' (--axes NCT)", "X.transpose(0, 2, 1)", "axes='NTC' (--axes NTC)")
    for part in ("expected steps on axis 1 and channels on axis 2", *named):
        assert part in str(refused.value)


def test_lengths_tell_that_axes_are_swapped():
    with pytest.raises(InputError, match="look swapped"):
        from_arrays(np.zeros((2, 5, 7)), lengths=[6, 7], channels=7)


def test_axes_given_silence_the_check():
    x = np.arange(2 * 12 * 20.0).reshape(2, 12, 20)
    kept = from_arrays(x, axes="NTC").train
    turned = from_arrays(x, axes="NCT").train
    assert kept.series[1].shape == (12, 20)
    np.testing.assert_array_equal(turned.series[1], x[1].T)
    np.testing.assert_array_equal(from_arrays(list(x), axes="NCT").train.series[1], x[1].T)
    assert from_arrays(x, channels=20).train.series[0].shape == (12, 20)


def test_what_a_model_reads_settles_the_axes(tmp_path):
    x = np.arange(2 * 7 * 12.0).reshape(2, 7, 12)
    for short in (x, list(x), x[:, :1], [x[0, :1]]):
        assert from_arrays(short, inputs=12).train.series[0].shape == (len(short[0]), 12)
        with pytest.raises(InputError, match="look swapped"):
            from_arrays(short)
    with pytest.raises(InputError, match="look swapped"):
        from_arrays(x.transpose(0, 2, 1), inputs=12)
    assert from_arrays(x[:, :, 0], inputs=12).train.series[0].shape == (7, 1)
    np.save(tmp_path / "X.npy", x)
    np.savez(tmp_path / "a.npz", X=x)
    for source in ({"x": tmp_path / "X.npy"}, {"source": tmp_path}, {"source": tmp_path / "a.npz"}):
        assert read_any(**source, inputs=12).train.describe() == "2 cases x 7 steps x 12 channels, no labels"


def test_two_dimensions_are_one_channel_unless_channels_cut_them():
    x = np.arange(12.0).reshape(2, 6)
    data = from_arrays(x)
    assert data.train.series[0].shape == (6, 1)
    assert data.how == ("X: shape (2, 6) is cases x steps, one channel",)
    np.testing.assert_array_equal(from_arrays(x, channels=2).train.series[0], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(unfold(x, 2, "NCT", "X")[0][0], [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32])
def test_one_hot_labels_are_recognised_and_told(kind):
    y = np.eye(3)[[2, 0, 1, 1]].astype(kind)
    data = from_arrays(np.zeros((4, 5, 2)), y)
    assert data.train.labels.tolist() == [2, 0, 1, 1]
    assert data.how[-1] == "y: one-hot rows of 3 columns, taken as the classes 0 to 2"


def test_other_forms_of_labels():
    x = np.zeros((2, 5, 2))
    assert from_arrays(x, [[3.0], [1.0]]).train.labels.tolist() == [3, 1]
    assert from_arrays(x, np.array([b"a", b"b"])).train.labels.tolist() == ["a", "b"]
    assert from_arrays(x, ["a", "b"], groups=[1, 2]).train.groups.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.zeros(5)}, r"found shape \(5,\), expected \[cases, steps, channels\]"),
        ({"X": np.zeros((0, 5, 2))}, "found no case"),
        ({"X": np.zeros((5, 0, 0))}, "found 0 channels"),
        ({"X": np.zeros((820, 4, 12)), "y": [0, 1, 0, 1]}, r"expected the cases on axis 0 .* np.moveaxis\(X, 1, 0\)"),
        ({"X": np.zeros((820, 4)), "y": [0, 1, 0, 1]}, "and not on axis 1"),
        ({"X": np.zeros((3, 5, 2)), "y": [0, 1, 0, 1]}, "found 4 labels for 3 cases"),
        ({"X": np.zeros((2, 5, 2)), "y": [[0.2, 0.8], [0.5, 0.5]]}, r"y: found shape \(2, 2\)"),
        ({"X": np.zeros((2, 5, 2)), "y": [[1, 1], [0, 1]]}, r"y: found shape \(2, 2\)"),
        ({"X": np.zeros((2, 5, 2)), "y": [0.5, 1.0]}, "label 0.5"),
        ({"X": np.zeros((2, 5, 2)), "channels": 3}, "found 2 channels, expected 3"),
        ({"X": np.zeros((2, 5)), "channels": 2}, "found 5 values in a row, expected a multiple of 2"),
        ({"X": np.zeros((2, 5, 2)), "lengths": [5, 0]}, "lengths from 0 to 5, expected 1 to 5"),
        ({"X": np.zeros((2, 5, 2)), "lengths": [5.0, 1.0]}, "expected 2 whole numbers"),
        ({"X": np.zeros((2, 5, 2)), "lengths": [5]}, "expected 2 whole numbers"),
        ({"X": np.zeros((2, 5, 2)), "axes": "CNT"}, "axes: found 'CNT'"),
        ({"X": np.array([["a"]])}, "values of type <U1, expected numbers"),
        ({"X": [np.zeros(3)]}, r"case 0: found shape \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        from_arrays(**arguments)


def test_padding_may_hold_anything_where_lengths_are_given():
    x = np.full((2, 5, 1), np.nan)
    x[0, :3], x[1, :1] = 1, 2
    assert from_arrays(x, lengths=[3, 1]).train.lengths.tolist() == [3, 1]


def test_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "X.npy", np.array([np.zeros((3, 1)), "x"], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match=r"found Python objects.*y.astype\(str\).*np.savez") as refused:
        read_npy(tmp_path / "X.npy")
    assert "\n" not in str(refused.value)
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 3, 1)), y=np.array(["a", None], dtype=object))
    with pytest.raises(FileFormatError, match="Python objects"):
        read_npz(tmp_path / "a.npz")


def test_damaged_files_get_one_line(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, np.zeros((20, 30, 2)))
    whole = path.read_bytes()
    for cut in (0, 3, 20, 127, 128, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(FileFormatError, match=r"X\.npy: damaged") as refused:
            read_npy(path)
        assert "\n" not in str(refused.value)
    path.write_bytes(whole.replace(b"(20, 30, 2)", b"(9999999, )"))  # a header that asks for what is not there
    with pytest.raises(FileFormatError, match="damaged"):
        read_npy(path)


def test_damaged_archives_get_one_line(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=np.arange(600.0).reshape(20, 15, 2), y=np.arange(20) % 2)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(FileFormatError, match=r"a\.npz: ") as refused:
            read_npz(path)
        assert "\n" not in str(refused.value)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            read_npz(path, axes="NTC")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - a flipped byte may lie where nothing reads it


@pytest.mark.parametrize(
    ("arrays", "arguments", "message"),
    [
        ({"data": np.zeros(3)}, {}, "found no array 'X'"),
        ({"X": np.zeros((2, 3, 1))}, {"group": "subject"}, "found no array 'subject'"),
    ],
)
def test_an_archive_without_what_is_needed_is_refused(tmp_path, arrays, arguments, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FileFormatError, match=message):
        read_npz(tmp_path / "a.npz", **arguments)


def test_the_group_array_can_be_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 1)), Subject=[4, 5])
    assert read_npz(tmp_path / "a.npz", group="Subject").train.groups.tolist() == [4, 5]


def test_endings_that_lie_are_named(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros((2, 3, 1)))
    with pytest.raises(FileFormatError, match=r"rename it to \.npy"):
        read_npz(tmp_path / "a.npz")
    with (tmp_path / "X.npy").open("wb") as file:
        np.savez(file, X=np.zeros((2, 3, 1)))
    with pytest.raises(FileFormatError, match=r"rename it to \.npz"):
        read_npy(tmp_path / "X.npy")


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (read_npy, read_npz):
        with pytest.raises(InputError, match="cannot be opened"):
            read(tmp_path / "none")


def test_a_class_at_each_step_is_told_from_one_for_each_case(tmp_path):
    y = np.array([[0, 1, 1, 7], [1, 1, 0, 0]])
    data = from_arrays(np.zeros((2, 4, 3)), y)
    assert [one.tolist() for one in data.train.step_labels] == y.tolist()
    assert data.how[-1] == "y: shape (2, 4) is a class at each step"
    cut = from_arrays(np.zeros((2, 3, 4)), y[:, :, None].astype(str), lengths=[4, 2], axes="NCT").train
    assert [one.tolist() for one in cut.step_labels] == [[0, 1, 1, 7], [1, 1]]
    np.savez(tmp_path / "steps.npz", X=np.zeros((2, 4, 3)), y=y, lengths=[3, 4])
    assert [len(one) for one in read_npz(tmp_path / "steps.npz").train.step_labels] == [3, 4]
    ragged = from_arrays([np.zeros((4, 3)), np.zeros((2, 3))], [["b", "a", "a", "a"], ["b", "b"]], axes="NTC").train
    assert [one.tolist() for one in ragged.step_labels] == [["b", "a", "a", "a"], ["b", "b"]]
    assert from_arrays(np.zeros((3, 8)), np.full((3, 4), "x"), channels=2).train.step_labels is not None
    for arguments, message in (
        (
            {"X": np.zeros((2, 4, 1)), "y": np.eye(4, dtype=int)[:2]},
            r"y: found shape \(2, 4\) with a single 1 in each row",
        ),
        (
            {"X": np.zeros((2, 4, 1)), "y": np.zeros((2, 5))},
            r"y: found shape \(2, 5\), expected one label for each case or .* each of 4 steps",
        ),
        ({"X": np.zeros((3, 4, 1)), "y": np.zeros((2, 4))}, "3 labels|2 cases|3 cases"),
        (
            {"X": np.zeros((2, 4, 1)), "y": [[0, 1, 1, 1], [0]]},
            "case 1: found 1 labels for 4 steps, expected one for each",
        ),
        (
            {"X": np.zeros((2, 2, 1)), "y": np.array([[1.0, np.nan], [1, 1]])},
            "case 0, step 1: found no label, expected a",
        ),
    ):
        with pytest.raises(InputError, match=message) as caught:
            from_arrays(**arguments)
        assert "\n" not in str(caught.value)
