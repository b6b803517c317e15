import numpy as np
import pytest

from quadgate.data.ts import find_test_part, read_ts
from quadgate.errors import FileFormatError, InputError

HEADER = """\
# a comment
@problemName Walks
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true Walking runFast
@data
"""


def file_of(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_a_file_of_unequal_lengths(tmp_path, encoding):
    text = HEADER.replace("a comment", "注释说明") + "1,-2,3.5:4,5,6e-3:Walking\n7,8:9,10:runFast\n"
    found = read_ts(file_of(tmp_path / "a.ts", text, encoding))
    np.testing.assert_array_equal(found.series[0], np.float32([[1, 4], [-2, 5], [3.5, 6e-3]]))
    np.testing.assert_array_equal(found.series[1], np.float32([[7, 9], [8, 10]]))
    assert found.labels.tolist() == ["Walking", "runFast"]  # aeon gives them in lower case


def test_a_file_without_classes(tmp_path):
    text = HEADER.replace("true Walking runFast", "false") + "1,2:4,5\n7,8:9,10\n"
    assert read_ts(file_of(tmp_path / "a.ts", text)).labels is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no case"),
        (HEADER, "found no case"),
        (HEADER.replace("@timeStamps false", "@timeStamps true") + "(0,1):a\n", "@timeStamps true"),
        (HEADER.replace("@classLabel true Walking runFast", "@targetLabel true") + "1:2:3\n", "@targetLabel true"),
        (HEADER + "1,x:2,3:Walking\n", "damaged, aeon says"),
        (HEADER + "1,2:2:Walking\n", "damaged, aeon says"),
        (HEADER + "1,2:2,3:Walking\n1,2:Walking\n", "damaged, aeon says"),
    ],
)
def test_damaged_files_get_one_line(tmp_path, text, message):
    with pytest.raises(FileFormatError, match=rf"a\.ts: .*{message}") as refused:
        read_ts(file_of(tmp_path / "a.ts", text))
    assert "\n" not in str(refused.value)


def test_a_missing_value_is_placed(tmp_path):
    with pytest.raises(InputError, match=r"a\.ts, case 0, step 1, channel '1': found NaN"):
        read_ts(file_of(tmp_path / "a.ts", HEADER + "1,2:2,?:Walking\n1,2:3,4:runFast\n"))


@pytest.mark.parametrize(("train", "test"), [("A_TRAIN.ts", "A_TEST.ts"), ("a_train.ts", "a_test.ts")])
def test_the_other_of_a_pair_is_found(tmp_path, train, test):
    assert find_test_part(tmp_path / train) is None
    (tmp_path / "B_TEST.ts").touch()
    assert find_test_part(tmp_path / train) is None
    (tmp_path / test).touch()
    assert find_test_part(tmp_path / train) == tmp_path / test
    assert find_test_part(tmp_path / test) is None
