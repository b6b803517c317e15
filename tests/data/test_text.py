import pytest

from quadgate.data.text import read_text
from quadgate.errors import FileFormatError, InputError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_each_encoding_gives_the_same_text(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("标签,值\r\n走路,1\r跑步,2\n".encode(encoding))
    text, told = read_text(path)
    assert text == "标签,值\n走路,1\n跑步,2\n"
    assert told == encoding.removesuffix("-sig")


@pytest.mark.parametrize("raw", [b"\xff\x00\x01\x81", b"a,b\n1,\x00\n", b"\xff\xfea"])
def test_bytes_that_are_no_text_are_refused(tmp_path, raw):
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    with pytest.raises(FileFormatError, match=r"a\.csv: found bytes that are no text"):
        read_text(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: cannot be opened \(No such file"):
        read_text(tmp_path / "none.csv")
