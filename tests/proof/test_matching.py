import time
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from proof_layers import gru_layer, lstm_layer, with_gates
from quadgate.proof import match


@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_layers_of_one_size_are_found_by_what_they_compute(seed, order):
    layers = [lstm_layer(seed + k, 3, 4) for k in range(5)]
    folded = [replace(layer, b_x=layer.b_x + layer.b_h, b_h=None) for layer in layers]
    assert match(layers, [folded[place] for place in order]).pairs == tuple((k, order.index(k)) for k in range(5))


@given(order=st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_a_mistake_in_every_layer_hides_none_of_them(order):
    layers = [lstm_layer(k, 3, 4) for k in range(4)]
    wrong = [with_gates(layer, (0, 2, 1, 3)) for layer in layers]
    assert match(layers, [wrong[place] for place in order]).pairs == tuple((k, order.index(k)) for k in range(4))
    later = [replace(layer, w_x=layer.w_x + 0.1 * lstm_layer(9, 3, 4).w_x) for layer in layers]
    assert match(layers, [later[place] for place in order]).pairs == tuple((k, order.index(k)) for k in range(4))


def test_sizes_and_kinds_are_told_apart():
    a = [lstm_layer(0, 3, 4), gru_layer(1, 3, 4), lstm_layer(2, 4, 4)]
    b = [gru_layer(1, 3, 4), lstm_layer(5, 7, 4), lstm_layer(0, 3, 4)]
    found = match(a, b)
    assert (found.pairs, found.only_a, found.only_b) == (((0, 2), (1, 0)), (2,), (1,))


def test_equal_layers_are_paired_in_order():
    layers = [lstm_layer(0, 3, 4)] * 3
    assert match(layers, layers).pairs == ((0, 0), (1, 1), (2, 2))
    assert match(layers, layers[:2]) == match(layers, layers[:2])
    assert match(layers, layers[:2]).only_a == (2,)


def test_fifty_layers_take_little_time():
    layers = [lstm_layer(k, 16, 16) for k in range(50)]
    started = time.perf_counter()
    found = match(layers, layers[::-1])
    assert found.pairs == tuple((k, 49 - k) for k in range(50))
    assert time.perf_counter() - started < 10


def test_nothing_matches_nothing():
    assert match([], [lstm_layer(0, 1, 1)]).only_b == (0,)
    assert match([], []).pairs == ()


def test_layers_of_nan_are_paired_all_the_same():
    layer = lstm_layer(0, 2, 3)
    broken = replace(layer, w_x=layer.w_x * np.nan)
    assert match([layer, broken], [layer, broken]).pairs == ((0, 0), (1, 1))
