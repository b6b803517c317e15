import pytest

from quadgate.errors import FileFormatError
from quadgate.formats.tensorflow_checkpoint.slices import Extent, resolve, slice_key


@pytest.mark.parametrize(
    ("n", "written"),
    [
        (0, "80"),
        (-1, "7f"),
        (63, "bf"),
        (-64, "40"),
        (64, "c040"),
        (-65, "3fbf"),
        (8191, "dfff"),
        (8192, "e02000"),
        (-8192, "2000"),
        (-8193, "1fdfff"),
        (2**61, "ffa0" + "00" * 7),
        (2**62, "ffc040" + "00" * 7),
    ],
)
def test_numbers_as_ordered_code_writes_them(n, written):
    # The cases follow the header bytes of ordered_code.cc: 80, C0, E0, F0, ..., FF, FF80, FFC0 for 1 to 10 bytes.
    assert slice_key("", (Extent(n, 0),)).hex() == "000001" + "0101" + written + "80"


def test_written_numbers_sort_as_numbers():
    numbers = sorted({sign * (2**k + d) for k in range(1, 62) for d in (-1, 0, 1) for sign in (1, -1)})
    keys = [slice_key("w", (Extent(n, -1),)) for n in numbers]
    assert keys == sorted(keys)


def test_a_scalar_has_rank_0_in_no_bytes():
    assert slice_key("w", ()).hex() == "0077" + "0001" + "00"


@pytest.mark.parametrize("extent", [Extent(-1, 2), Extent(0, 6), Extent(4, 2), Extent(2, -2)])
def test_ranges_outside_their_dimension(extent):
    with pytest.raises(FileFormatError, match="within 0 to 5"):
        resolve((extent,), (5,), "here")


def test_another_number_of_dimensions():
    with pytest.raises(FileFormatError, match="2 dimensions, expected 1"):
        resolve((Extent(0, -1), Extent(0, -1)), (5,), "here")
