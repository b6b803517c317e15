"""Damaged and hostile checkpoints: a line that names the file, in under a second, and no memory for empty promises."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quadgate
from checkpoint_files import (
    block,
    block_body,
    cell_arrays,
    entry,
    finish,
    fixed32,
    header,
    message,
    number,
    shape,
    table,
    varint,
    write_bundle,
    write_single_file,
)
from hostile.limits import refused
from quadgate.errors import FileFormatError


@pytest.fixture
def prefix(tmp_path):
    write_bundle(tmp_path / "model", cell_arrays())
    return tmp_path / "model"


def test_an_index_cut_off_at_every_byte(prefix):
    index = Path(f"{prefix}.index")
    data = index.read_bytes()
    for end in range(len(data)):
        index.write_bytes(data[:end])
        with pytest.raises(FileFormatError) as caught:
            quadgate.load(prefix)
        assert str(index) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_data_file_cut_off_at_every_byte(prefix):
    data_file = Path(f"{prefix}.data-00000-of-00001")
    data = data_file.read_bytes()
    for end in range(len(data)):
        data_file.write_bytes(data[:end])
        with pytest.raises(FileFormatError, match="past the end"):
            quadgate.load(prefix)


def test_a_checkpoint_of_version_1_cut_off_at_every_byte(tmp_path):
    path = tmp_path / "old"
    write_single_file(path, cell_arrays())
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(FileFormatError):
            quadgate.load(path)


def test_a_flipped_bit_in_the_index_is_found_or_harmless(prefix):
    index = Path(f"{prefix}.index")
    data = index.read_bytes()
    used = data.rindex(block(block_body([])))
    whole = {name: array.copy() for name, array in quadgate.load(prefix).variables.items()}
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        index.write_bytes(damaged)
        try:
            found = quadgate.load(prefix).variables
        except FileFormatError:
            continue
        # The metaindex block, which is empty, and its handle in the footer are not used.
        assert bit // 8 >= used
        for name, array in whole.items():
            np.testing.assert_array_equal(found[name], array)


def test_a_flipped_bit_in_the_numbers_is_found_when_they_are_read(prefix):
    data_file = Path(f"{prefix}.data-00000-of-00001")
    data = data_file.read_bytes()
    for byte in range(len(data)):
        damaged = bytearray(data)
        damaged[byte] ^= 1 << byte % 8
        data_file.write_bytes(damaged)
        model = quadgate.load(prefix)
        with pytest.raises(FileFormatError, match="damaged: found checksum"):
            list(model.variables.values())


def write_items(prefix: Path, items: dict[bytes, bytes], data: bytes = b"") -> None:
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    Path(f"{prefix}.index").write_bytes(table([(b"", header()), *sorted(items.items())]))


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (entry(1, [1 << 30], b""), "found 0 bytes, expected 4294967296"),
        (entry(1, [1 << 30], b"", size=4 << 30), "past the end"),
        (entry(1, [1 << 40, 1 << 40], b""), "more than any file holds"),
        (entry(1, [-1], b"1234"), "size -1 in a shape"),
        (entry(1, [1] * 100, b"1234"), "more than any file holds"),
        (entry(1, [2], b"12345678", offset=1), "past the end"),
        (entry(1, [2], b"12345678", offset=-8), "below zero"),
        (entry(1, [2], b"12345678", offset=1 << 62), "past the end"),
        (entry(1, [2], b"12345678", shard=1), "data file 1 of 1"),
        (entry(1, [2], b"12345678", shard=-1), "below zero"),
        (entry(99, [2], b"12345678"), "dtype 99"),
        (entry(1, [2], b"1234"), "found 4 bytes, expected 8"),
        (number(1, 1) + message(2, number(3, 1)), "unknown rank"),
        (message(1, b"float"), "found bytes, expected a number"),
        (number(2, 7), "found a number, expected bytes"),
        (number(1, 1) + message(2, shape([4])) + message(7, message(1, b"")), "slice .* is missing"),
        (b"\x0b", "field of kind 3"),
        (b"\x0a\x7f", "127 bytes, found 0"),
        (b"\xff" * 11, "more than 10 bytes"),
    ],
)
def test_entries_that_promise_what_is_not_there(tmp_path, value, match):
    write_items(tmp_path / "x", {b"w": value}, b"12345678")
    assert "w" in refused(tmp_path / "x", match)


def test_places_that_overlap(tmp_path):
    one = np.ones(4, np.float32).tobytes()
    write_items(tmp_path / "x", {b"a": entry(1, [4], one), b"b": entry(1, [3], one[4:], offset=4)}, one)
    assert "overlap those of a" in refused(tmp_path / "x", "b: its bytes")


def test_many_tensors_of_nothing_take_no_memory(tmp_path):
    items = {f"{k:05d}".encode(): entry(1, [0, 1 << 40], b"") for k in range(1000)}
    write_items(tmp_path / "x", items)
    refused(tmp_path / "x", "no LSTM or GRU cell")


@pytest.mark.parametrize("shards", [0, -1, 100000, 1 << 40])
def test_numbers_of_data_files(tmp_path, shards):
    (tmp_path / "x.index").write_bytes(table([(b"", header(shards))]))
    refused(tmp_path / "x", "data files, expected 1 to 99999")


def test_a_later_version_of_the_bundle(tmp_path):
    (tmp_path / "x.index").write_bytes(table([(b"", header(consumer=2))]))
    refused(tmp_path / "x", "needs a reader of bundle version 2")


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"/etc/passwd", b"\x80\xff", b"a\nb"])
def test_names_are_names_and_never_paths(tmp_path, name):
    write_items(tmp_path / "x", {name: entry(1, [1], b"1234")}, b"1234")
    refused(tmp_path / "x")


def test_a_data_file_that_is_missing(prefix):
    Path(f"{prefix}.data-00000-of-00001").unlink()
    refused(prefix, "not found, expected beside the index")


def test_slices_that_overlap_leave_numbers_out(tmp_path):
    from quadgate.formats.tensorflow_checkpoint.slices import Extent, slice_key

    raw = np.arange(8, dtype=np.float32).tobytes()
    first = message(7, message(1, number(2, 2)))
    kernel = b"rnn/basic_lstm_cell/kernel"
    arrays = cell_arrays()
    write_bundle(tmp_path / "x", arrays)
    items = {
        kernel: number(1, 1) + message(2, shape([4])) + first + first,
        slice_key(kernel.decode(), (Extent(0, 2),)): entry(1, [2], raw[:8]),
    }
    write_items(tmp_path / "x", items, raw)
    from quadgate.formats.tensorflow_checkpoint.bundle import read_bundle

    with pytest.raises(FileFormatError, match="overlap and leave numbers out"):
        read_bundle(tmp_path / "x").tensors[kernel.decode()].read()


def raw_index(tmp_path: Path, data: bytes, index: list[tuple[bytes, bytes]]) -> Path:
    (tmp_path / "x.index").write_bytes(finish(data, index))
    return tmp_path / "x"


def test_blocks_that_overlap(tmp_path):
    one = block(block_body([(b"", header())]))
    place = varint(0) + varint(len(one) - 5)
    refused(raw_index(tmp_path, one, [(b"a", place), (b"b", place)]), "overlaps the one before")


@pytest.mark.parametrize("place", [varint(1 << 40) + varint(8), varint(0) + varint(1 << 40), varint(1 << 63) * 2])
def test_blocks_outside_the_file(tmp_path, place):
    refused(raw_index(tmp_path, b"", [(b"a", place)]), "past the end")


def test_keys_that_do_not_rise(tmp_path):
    one = block(block_body([(b"", header()), (b"b", b""), (b"a", b"")]))
    refused(raw_index(tmp_path, one, [(b"z", varint(0) + varint(len(one) - 5))]))


def test_keys_that_grow_without_end(tmp_path):
    # Each key repeats the one before and adds a byte: 20 000 entries of 4 bytes hold 200 MB of keys.
    body = varint(0) + varint(0) + varint(len(header())) + header()
    for k in range(20000):
        body += varint(k) + varint(1) + varint(0) + b"k"
    body += struct.pack("<II", 0, 1)
    one = block(body)
    place = varint(0) + varint(len(body))
    (tmp_path / "x.index").write_bytes(finish(one, [(b"z", place)]))
    refused(tmp_path / "x")


@pytest.mark.parametrize(
    ("body", "packing", "match"),
    [
        (b"", 0, "room for them"),
        (struct.pack("<I", 1 << 31), 0, "room for them"),
        (b"\x05\x00\x00" + struct.pack("<II", 0, 1), 0, "reaches past the block"),
        (b"\x00\x7f\x00" + struct.pack("<II", 0, 1), 0, "reaches past the block"),
        (b"\x00", 7, "packing 7"),
        (b"\xff\xff\xff\xff\x0f", 1, "cannot hold"),
        (b"\x04\x0cab", 1, "literal bytes"),
    ],
)
def test_blocks_that_make_no_sense(tmp_path, body, packing, match):
    one = block(body, packing)
    refused(raw_index(tmp_path, one, [(b"z", varint(0) + varint(len(body)))]), match)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"plain text", "70 6c 61 69"),
        (b"", "nothing"),
    ],
)
def test_other_files_are_named(tmp_path, data, match):
    (tmp_path / "file").write_bytes(data)
    assert "TensorFlow 1 checkpoint" in refused(tmp_path / "file", match)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_value_of_an_entry_is_read_or_refused(tmp_path_factory, data):
    prefix = tmp_path_factory.mktemp("any") / "x"
    write_items(prefix, {b"w": data}, bytes(64))
    with pytest.raises(FileFormatError):
        quadgate.load(prefix)  # an entry or none, there is no cell


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200), packing=st.sampled_from([0, 1]))
def test_any_block_is_read_or_refused(tmp_path_factory, body, packing):
    folder = tmp_path_factory.mktemp("any")
    with pytest.raises(FileFormatError):
        quadgate.load(raw_index(folder, block(body, packing), [(b"z", varint(0) + varint(len(body)))]))


def test_fixed_numbers_are_read_as_they_stand():
    from quadgate.formats.protobuf import fields

    assert list(fields(fixed32(6, 0xDEADBEEF), "here")) == [(6, 0xDEADBEEF)]
