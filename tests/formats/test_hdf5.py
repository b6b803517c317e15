import numpy as np
import pytest

from quadgate.errors import FileFormatError
from quadgate.formats.hdf5 import read

h5py = pytest.importorskip("h5py", reason="needs quadgate[hdf5]")


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(3)
    with h5py.File(tmp_path / "a.h5", "w") as target:
        target.attrs["keras_version"] = "2.2.4-tf"
        group = target.create_group("lstm")
        group.attrs["weight_names"] = [b"lstm/kernel:0", b"lstm/bias:0"]
        group["whole"] = rng.normal(size=(5, 8)).astype("f4")
        group.create_dataset("chunked", data=rng.normal(size=(7, 3)), chunks=(2, 3), compression="gzip")
        group["big_endian"] = np.arange(4, dtype=">i2")
        group["empty"] = np.zeros((0, 3), "f4")
        group["scalar"] = 2.5
        group["text"] = "not numbers"
        target["again"] = group
    return tmp_path / "a.h5"


def test_arrays_and_attributes(file):
    found = read(file)
    with h5py.File(file) as expected:
        for name in ("whole", "chunked", "big_endian", "empty", "scalar"):
            where = next(path for path in found.arrays if path.endswith(name))
            np.testing.assert_array_equal(found.arrays[where], expected[f"lstm/{name}"][()])
            assert found.arrays[where].dtype == expected[f"lstm/{name}"].dtype
    assert len(found.arrays) == 5
    assert found.attributes[""] == {"keras_version": "2.2.4-tf"}


def test_arrays_in_one_piece_are_mapped(file):
    assert isinstance(next(a for name, a in read(file).arrays.items() if name.endswith("whole")), np.memmap)


def test_a_file_within_a_file(file, tmp_path):
    content = file.read_bytes()
    (tmp_path / "b.zip").write_bytes(b"x" * 301 + content + b"y" * 50)
    inside, alone = read(tmp_path / "b.zip", 301, len(content)), read(file)
    assert list(inside.arrays) == list(alone.arrays)
    for name, array in alone.arrays.items():
        np.testing.assert_array_equal(inside.arrays[name], array)


@pytest.mark.parametrize("link", ["soft", "external"])
def test_links_are_refused(tmp_path, link):
    with h5py.File(tmp_path / "a.h5", "w") as target:
        target["x"] = h5py.SoftLink("/y") if link == "soft" else h5py.ExternalLink("/etc/passwd", "/y")
    with pytest.raises(FileFormatError, match="link"):
        read(tmp_path / "a.h5")


def test_datasets_in_other_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as target:
        target.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])
    with pytest.raises(FileFormatError, match="another file"):
        read(tmp_path / "a.h5")


def test_a_dataset_that_claims_more_than_any_compression_gives_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as target:
        target.create_dataset("x", (10**6, 10**6), "f8", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(FileFormatError, match="claim"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(400), b"text"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(FileFormatError, match="not readable as HDF5") as caught:
        read(tmp_path / "a.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_flipped_bytes_are_refused_or_read(file):
    rng = np.random.default_rng(9)
    content = file.read_bytes()
    for _ in range(40):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            read(file)
        except FileFormatError as error:
            told = str(error)
        else:
            told = ""
        assert "\n" not in told
