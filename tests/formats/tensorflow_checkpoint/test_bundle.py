import numpy as np
import pytest

from checkpoint_files import BFLOAT16, cell_arrays, entry, write_bundle
from quadgate.formats.tensorflow_checkpoint.bundle import read_bundle

CASES = ("seed_network", "basic_small", "basic_forget0", "multi", "bidirectional", "lstm_peephole_proj")


@pytest.mark.parametrize("name", CASES)
def test_every_variable_of_real_checkpoints_has_its_bits(oracle, name):
    case = oracle(name)
    contents = read_bundle(case.folder / "model.ckpt")
    expected = case.under("var")
    assert set(contents.tensors) == set(expected)
    for variable, array in expected.items():
        stored = contents.tensors[variable]
        assert (stored.shape, stored.dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(stored.read(), array, strict=True)


@pytest.mark.parametrize("name", CASES)
def test_variables_after_training_have_their_bits(oracle, name):
    case = oracle(name)
    contents = read_bundle(case.folder / "trained.ckpt")
    for variable, array in case.under("adam/var").items():
        np.testing.assert_array_equal(contents.tensors[variable].read(), array, strict=True)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_every_dtype_in_both_byte_orders(tmp_path, dtype, big_endian):
    arrays = {"a": np.arange(6).reshape(2, 3).astype(dtype), "b": np.ones(1, np.int8), "c": np.array(3).astype(dtype)}
    write_bundle(tmp_path / "x", arrays, big_endian=big_endian)
    contents = read_bundle(tmp_path / "x")
    for name, array in arrays.items():
        np.testing.assert_array_equal(contents.tensors[name].read(), array, strict=True)


def test_bfloat16_comes_as_float32(tmp_path):
    raw = np.array([0x3F80, 0xC020], "<u2").tobytes()
    write_bundle(tmp_path / "x", {}, extra={b"half": entry(BFLOAT16, [2], raw)})
    (tmp_path / "x.data-00000-of-00001").write_bytes(raw)
    np.testing.assert_array_equal(
        read_bundle(tmp_path / "x").tensors["half"].read(), np.float32([1, -2.5]), strict=True
    )


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_shards_and_packed_blocks(tmp_path, shards, snappy):
    arrays = {f"{layer}/{name}": a for layer in range(9) for name, a in cell_arrays(seed=layer).items()}
    write_bundle(tmp_path / "x", arrays, shards=shards, snappy=snappy)
    contents = read_bundle(tmp_path / "x")
    assert list(contents.tensors) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(contents.tensors[name].read(), array)


@pytest.mark.parametrize("rows", [1, 2, 64, 65, 300])
def test_a_variable_in_slices_is_put_together(tmp_path, rows):
    arrays = {"w": np.random.default_rng(0).normal(size=(300, 7)).astype(np.float32), "v": np.ones(3, np.float32)}
    write_bundle(tmp_path / "x", arrays, rows_per_slice={"w": rows}, shards=2)
    contents = read_bundle(tmp_path / "x")
    assert set(contents.tensors) == {"w", "v"}
    np.testing.assert_array_equal(contents.tensors["w"].read(), arrays["w"], strict=True)


def test_text_is_named_and_not_read(tmp_path):
    write_bundle(tmp_path / "x", {"a": np.ones(1, np.float32)}, extra={b"words": entry(7, [1], b"")})
    contents = read_bundle(tmp_path / "x")
    assert contents.unread == {"words": "text, no numbers"}
    assert set(contents.tensors) == {"a"}


def test_numbers_are_mapped_not_copied(tmp_path):
    write_bundle(tmp_path / "x", {"a": np.ones(1000, np.float32)})
    array = read_bundle(tmp_path / "x").tensors["a"].read()
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_an_empty_tensor(tmp_path):
    write_bundle(tmp_path / "x", {"a": np.ones((0, 4), np.float32)})
    assert read_bundle(tmp_path / "x").tensors["a"].read().shape == (0, 4)
