import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.layouts import LAYOUTS
from quadgate.layouts.sizes import Sizes, shape_text, solve
from sample_layers import USABLE, name_of

sizes = st.integers(1, 10**6)


@pytest.mark.parametrize("row", USABLE, ids=name_of)
@settings(max_examples=20)
@given(C=sizes, H=sizes, P=sizes)
def test_the_shapes_tell_the_sizes(row, C, H, P):
    projected = "projection" in row.optional
    expected = Sizes(C, H, P if projected else H)
    there = [tensor for tensor in row.tensors if projected or "projection" not in tensor.arrays]
    shapes = {tensor: expected.shape(row, tensor) for tensor in there}
    assert solve(row, shapes, units=H if row.flat else None) == expected


def test_one_vector_is_told_by_its_length_and_units():
    row = LAYOUTS["tf1.CudnnLSTM"]
    assert solve(row, {row.tensors[0]: (288,)}, units=4) == Sizes(12, 4, 4)
    assert solve(row, {row.tensors[0]: (288,)}, inputs=12, units=4) == Sizes(12, 4, 4)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("tf1.BasicLSTMCell", ["[C+H, 4H]", "[4H]"]),
        ("keras.GRU", ["[C, 3H]", "[H, 3H]", "[2, 3H]"]),
        ("keras.CuDNNLSTM", ["[C, 4H]", "[H, 4H]", "[8H]"]),
        ("dl4j.GravesLSTM", ["[C, 4H]", "[H, 4H+3]", "[1, 4H]"]),
        ("tf1.CudnnLSTM", ["[4HC+4HH+8H]"]),
        ("matlab.lstmLayer", ["[4H, C]", "[4H, H]", "[4H, 1]"]),
        ("tf1.GRUCell", ["[C+H, 2H]", "[2H]", "[C+H, H]", "[H]"]),
    ],
)
def test_shapes_in_letters(name, shapes):
    row = LAYOUTS[name]
    assert [shape_text(row, tensor) for tensor in row.tensors] == shapes


def test_a_projection_narrows_the_state():
    row = LAYOUTS["torch.nn.LSTM"]
    assert [shape_text(row, tensor, projected=True) for tensor in row.tensors[1::3]] == ["[4H, P]", "[P, H]"]
