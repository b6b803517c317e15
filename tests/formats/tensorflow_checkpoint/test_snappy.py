import pytest

from quadgate.errors import FileFormatError
from quadgate.formats.tensorflow_checkpoint.snappy import unpack


@pytest.mark.parametrize(
    ("packed", "expected"),
    [
        (b"\x00", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\x46\xf0\x45" + b"x" * 70, b"x" * 70),  # a literal with its length in one more byte
        (b"\x0b\x08abc\x11\x03", b"abcabcabcab"),  # copy of 8 from 3 back, overlapping itself
        (b"\x08\x0cabcd\x0e\x04\x00", b"abcdabcd"),  # offset in two bytes
        (b"\x08\x0cabcd\x0f\x04\x00\x00\x00", b"abcdabcd"),  # offset in four bytes
    ],
)
def test_elements(packed, expected):
    assert unpack(packed, "here") == expected


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"", "ends within a number"),
        (b"\xff\xff\xff\xff\x0f\x00", "cannot hold"),
        (b"\x04\x0cab", "literal bytes"),
        (b"\x04\x01", "within an element"),
        (b"\x04\x01\x01", "copies from 1 bytes back, found 0"),
        (b"\x04\x00a\x01\x00", "copies from 0 bytes back"),
        (b"\x02\x08abc", "unpacks to 3 bytes or more, expected 2"),
        (b"\x09\x08abc", "unpacks to 3 bytes or more, expected 9"),
    ],
)
def test_damage(packed, message):
    with pytest.raises(FileFormatError, match=message):
        unpack(packed, "here")
