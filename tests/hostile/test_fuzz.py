"""Damaged files of every reader: a short run of the fuzzer, the same every time, and files cut off at every byte."""

import random
import zipfile
import zlib

import pytest

from hostile.fuzz import GOLDEN, TARGETS, Target, changed, check, inputs, load
from hostile.limits import refused

SMALL = 1600


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_changed_files_are_read_or_refused_in_one_line(tmp_path, name):
    for number, data in enumerate(inputs(name, tmp_path, changes=150)):
        try:
            check(TARGETS[name], data, tmp_path)
        except Exception as error:
            raise AssertionError(f"input {number} of {name}: {data[:60]!r}...") from error


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(tmp_path, name):
    for data in TARGETS[name].seeds(tmp_path):
        TARGETS[name].read(data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_files_cut_off_at_every_byte(tmp_path, name):
    """At every byte of a small file, at two hundred places of a larger one."""
    for data in TARGETS[name].seeds(tmp_path):
        for end in range(0, len(data), 1 if len(data) <= SMALL else len(data) // 200):
            check(TARGETS[name], data[:end], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["hard_sigmoid/model.h5", "cudnn/cudnn_weights.h5"])
def test_hdf5_files_that_are_damaged(tmp_path, file):
    pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    data = (GOLDEN / "keras_lstm" / file).read_bytes()
    damaged = [data[:end] for end in range(0, len(data), len(data) // 20)]
    random_numbers = random.Random(file)  # noqa: S311
    damaged += [changed(bytearray(data), random_numbers) for _ in range(30)]
    target = Target(lambda _: [data], load("a.h5"))
    for one in damaged:
        check(target, one, tmp_path)


def test_an_hdf5_file_whose_chunks_expand_without_end(tmp_path):
    """Half a gigabyte of zeros, all of them written, in half a megabyte."""
    h5py = pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    path, rows = tmp_path / "a.h5", 1 << 12
    with h5py.File(path, "w") as file:
        packed = file.create_dataset("lstm/kernel:0", (8 * rows, rows), "f4", chunks=(rows, rows), compression="gzip")
        chunk = zlib.compress(bytes(4 * rows * rows), 1)
        for k in range(8):
            packed.id.write_direct_chunk((k * rows, 0), chunk)
    assert path.stat().st_size < 3_000_000
    refused(path, "claim 536870912 bytes in a file of")


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_keras_archive_that_expands_without_end(tmp_path, name):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in ("config.json", "metadata.json", "model.weights.h5"):
            archive.writestr(entry, b"0" * (200_000_000 if entry == name else 10))
    assert path.stat().st_size < 1_000_000
    refused(path)
