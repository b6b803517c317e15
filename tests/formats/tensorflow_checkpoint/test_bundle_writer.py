import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.errors import InputError
from quadgate.formats.tensorflow_checkpoint.bundle import read_bundle
from quadgate.formats.tensorflow_checkpoint.bundle_writer import CODES, write_bundle


def same_bits(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def arrays_of_every_kind(count=3):
    rng = np.random.default_rng(count)
    arrays = {}
    for k in range(count):
        for dtype in CODES:
            shape = ((), (1,), (7, 3), (0, 4), (2, 1, 5))[k % 5]
            words = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
            array = words[..., 0].astype(bool) if dtype.kind == "b" else words.view(dtype)[..., 0]
            arrays[f"scope_{k}/{dtype.name}/é"] = array
    return arrays


@pytest.mark.parametrize("count", [1, 5, 60])
def test_every_number_comes_back_bit_for_bit(tmp_path, count):
    arrays = arrays_of_every_kind(count)
    write_bundle(tmp_path / "m.ckpt", arrays)
    found = read_bundle(tmp_path / "m.ckpt").tensors
    assert list(found) == sorted(arrays, key=str.encode)
    assert all(same_bits(found[name].read(), array) for name, array in arrays.items())


@given(names=st.sets(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=300), max_size=40))
@settings(max_examples=30, deadline=None)
def test_any_names(names, tmp_path_factory):
    prefix = tmp_path_factory.mktemp("c") / "m"
    write_bundle(prefix, {name: np.float32([len(name)]) for name in names})
    assert {name: one.read()[0] for name, one in read_bundle(prefix).tensors.items()} == {n: len(n) for n in names}


def test_memory_order_and_byte_order_do_not_matter(tmp_path):
    array = np.arange(12, dtype=">f4").reshape(3, 4).T
    write_bundle(tmp_path / "m", {"w": array, "turned": np.ascontiguousarray(array.astype("<f4"))})
    found = {name: one.read() for name, one in read_bundle(tmp_path / "m").tensors.items()}
    np.testing.assert_array_equal(found["w"], array)
    assert same_bits(found["w"], found["turned"])


def test_what_it_cannot_hold_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="w is <U1, which a checkpoint cannot hold"):
        write_bundle(tmp_path / "m", {"w": np.array(["x"])})
    assert list(tmp_path.iterdir()) == []


def test_tensorflow_reads_it(tmp_path):
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    arrays = {name: array for name, array in arrays_of_every_kind(60).items() if array.size}
    write_bundle(tmp_path / "m.ckpt", arrays)
    reader = tensorflow.train.load_checkpoint(str(tmp_path / "m.ckpt"))
    assert set(reader.get_variable_to_shape_map()) == set(arrays)
    assert all(same_bits(np.asarray(reader.get_tensor(name)), array) for name, array in arrays.items())
