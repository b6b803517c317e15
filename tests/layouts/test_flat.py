import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadgate.errors import InputError
from quadgate.layouts import cut_flat, decode, join_flat

sizes = st.integers(1, 5)


@given(C=sizes, H=sizes, L=sizes, D=st.integers(1, 2), gates=st.sampled_from([3, 4]))
def test_cut_and_joined_it_is_the_same_vector(C, H, L, D, gates):
    widths = [C if layer == 0 else D * H for layer in range(L) for _ in range(D)]
    total = sum(gates * H * (width + H) for width in widths) + 2 * gates * H * L * D
    vector = np.arange(total, dtype=np.float32)
    layers = cut_flat(vector, C, H, L, D, gates)
    assert [len(layer) for layer in layers] == [gates * H * (width + H + 2) for width in widths]
    np.testing.assert_array_equal(join_flat(layers, gates * H), vector)


def test_the_biases_of_every_layer_come_after_all_weights():
    C, H, L, D = 3, 2, 2, 2
    weights = {k: np.full(4 * H * ((C if k < D else D * H) + H), k) for k in range(L * D)}
    biases = {k: np.full(8 * H, 10 + k) for k in range(L * D)}
    vector = np.concatenate([*weights.values(), *biases.values()])
    for k, layer in enumerate(cut_flat(vector, C, H, L, D)):
        parameters = decode({"opaque_kernel": layer}, "tf1.CudnnLSTM", units=H)
        assert parameters.inputs == (C if k < D else D * H)
        assert np.unique(parameters.w_x) == np.unique(parameters.w_h) == k
        assert np.unique(parameters.b_x) == np.unique(parameters.b_h) == 10 + k


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(InputError, match="found 287 numbers, expected 288 for C=2, H=4, L=2, D=1"):
        cut_flat(np.zeros(287), 2, 4, 2)
    with pytest.raises(InputError, match="found 288 numbers, expected 288"):
        cut_flat(np.zeros((2, 144)), 2, 4, 2)
