import numpy as np
import pytest

from checkpoint_files import cell_arrays, write_single_file
from quadgate.errors import FileFormatError
from quadgate.formats.tensorflow_checkpoint.single_file import read_single_file


def test_every_kind_of_number_has_its_bits(tmp_path):
    arrays = {
        **cell_arrays(),
        "double": np.array([[1.5, -2.5]]),
        "half": np.array([1, -2.5, 65504], np.float16),
        "counter": np.array(-7, np.int64),
        "small": np.array([-1, 2, -128], np.int8),
    }
    write_single_file(tmp_path / "old.ckpt", arrays)
    contents = read_single_file(tmp_path / "old.ckpt")
    assert set(contents.tensors) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(contents.tensors[name].read(), array, strict=True)


def test_a_shape_that_the_numbers_do_not_fill_takes_no_memory(tmp_path):
    huge = np.broadcast_to(np.float32(0), (1 << 20, 1 << 20))

    class Announced(np.ndarray):
        """Says it is huge, and writes itself as four bytes."""

        def tobytes(self):
            return b"\0\0\0\0"

    write_single_file(tmp_path / "old.ckpt", {"w": huge.view(Announced)})
    with pytest.raises(FileFormatError, match="do not fill its shape"):
        read_single_file(tmp_path / "old.ckpt")


def test_fewer_numbers_than_the_shape_has(tmp_path):
    array = np.zeros((2, 3), np.int32)

    class Short(np.ndarray):
        def ravel(self):
            return np.full(5, 1 << 40)  # six bytes each: there is room for six numbers, five are there

    write_single_file(tmp_path / "old.ckpt", {"w": array.view(Short)})
    with pytest.raises(FileFormatError, match="found 5 numbers, expected 6"):
        read_single_file(tmp_path / "old.ckpt").tensors["w"].read()
