import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.errors import InputError
from quadgate.layouts import LAYOUTS, decode, strides
from sample_layers import USABLE, name_of, plain_settings, sizes_of, tensors_of

sizes = st.integers(1, 6)


def has_strides(row):
    """Whether every array is whole in one tensor, whose memory is no reread one."""
    parts = [part for tensor in row.tensors for part in tensor.parts]
    whole = all(set(row.gates_of(part)) == set(row.normal_order(part.array)) for part in parts)
    return whole and not any(part.reread for part in parts)


STRIDED = [row for row in USABLE if has_strides(row)]


def read(found, shape, memory):
    """Read an array of the normal form through its strides, as a kernel does."""
    gates, rows, units = shape
    gate, row, unit = np.ogrid[0:gates, 0:rows, 0:units]
    return memory[np.asarray(found.offsets)[gate] + row * found.row_stride + unit * found.unit_stride]


def test_most_rows_have_strides():
    assert len(STRIDED) >= 35
    assert {"tf1.BasicLSTMCell", "torch.nn.LSTM", "keras.LSTM", "onnx.LSTM", "chainer.LSTM", "tf1.CudnnLSTM"} <= {
        row.name for row in STRIDED
    }


@pytest.mark.parametrize("row", STRIDED, ids=name_of)
@settings(max_examples=20)
@given(C=sizes, H=sizes, P=sizes)
def test_strides_find_what_decode_finds(row, C, H, P):
    projected = "projection" in row.optional
    tensors = tensors_of(row, sizes_of(C, H, P if projected else None), projected=projected)
    units = {"units": H} if row.flat else {}
    parameters = decode(tensors, row, **units, **plain_settings(row))
    found = strides(tensors, row, **units)
    for array, place in found.items():
        expected = getattr(parameters, array)
        shape = expected.shape if expected.ndim == 3 else (len(place.offsets), 1, H)
        if array == "projection":
            shape = (1, H, P)
        assert any(place.data is tensor for tensor in tensors.values())
        np.testing.assert_array_equal(read(place, shape, place.data.reshape(-1)).reshape(expected.shape), expected)
    assert set(found) == {
        array
        for array in ("w_x", "w_h", "b_x", "b_h", "peepholes", "projection")
        if getattr(parameters, array, None) is not None
    }


def test_a_view_is_read_where_it_lies():
    memory = np.arange(400.0).reshape(20, 20)
    kernel, bias = memory[1:16:3, ::-1][:, 1:9], memory[:8, 19]  # every third row, columns from right to left
    tensors = {"kernel": kernel, "bias": bias}
    found = strides(tensors, "tf1.BasicLSTMCell")
    parameters = decode(tensors, "tf1.BasicLSTMCell")
    for array, place in found.items():
        expected = getattr(parameters, array)
        start = (place.data.ctypes.data - memory.ctypes.data) // memory.itemsize
        shape = expected.shape if expected.ndim == 3 else (4, 1, 2)
        shifted = type(place)(place.data, tuple(start + offset for offset in place.offsets), *_steps(place))
        np.testing.assert_array_equal(read(shifted, shape, memory.reshape(-1)).reshape(expected.shape), expected)
    assert found["w_x"].unit_stride == -1
    assert found["w_x"].row_stride == 60


def _steps(place):
    return place.row_stride, place.unit_stride


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("flax.linen.LSTMCell", "has no tensor with w_x of every gate"),
        ("keras1.LSTM", "has no tensor with w_x of every gate"),
        ("keras.CuDNNLSTM", "no strides describe the memory of w_x"),
    ],
)
def test_memory_without_strides_is_refused(name, told):
    with pytest.raises(InputError, match=told):
        strides(tensors_of(LAYOUTS[name], sizes_of(2, 3)), name)


def test_each_row_either_has_strides_or_is_refused():
    for row in (row for row in USABLE if row not in STRIDED):
        with pytest.raises(InputError, match="decode it instead"):
            strides(tensors_of(row, sizes_of(2, 3)), row)
