"""Calls that run at the same time, as the compiled module knows them: the same bits, and what is refused."""

import numpy as np
import pytest

from quadgate.errors import InputError
from quadgate.kernels.cpu._native import GruFloat32, LstmFloat32, LstmFloat64, run_behind, run_beside

N, T, C, H = 3, 41, 4, 9


def lstm(inputs=C, reverse=False, trainable=False, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.4, (inputs + H, 4 * H)).astype("f4"), rng.normal(0, 0.4, 4 * H).astype("f4")
    return LstmFloat32(weights, forget_bias=1.0, reverse=reverse, trainable=trainable)


def gru(inputs=C, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (3, inputs, H), (3, H, H), (3, H), (3, H)
    return GruFloat32(tuple(rng.normal(0, 0.4, shape).astype("f4") for shape in shapes))


def arrays(states):
    return [np.full((N, T, H), np.nan, "f4"), *(np.full((N, H), np.nan, "f4") for _ in range(states))]


@pytest.fixture
def x():
    return np.random.default_rng(7).normal(size=(N, T, C)).astype("f4")


@pytest.mark.parametrize("lengths", [None, np.array([41, 0, 17])])
@pytest.mark.parametrize("steps", [1, 7, 16, 41, 100])
@pytest.mark.parametrize("make", [lstm, gru])
def test_a_wavefront_has_the_bits_of_layer_after_layer(x, lengths, steps, make):
    states = 2 if make is lstm else 1
    layers = [make(inputs, seed=k) for k, inputs in enumerate((C, H, H))]
    expected, read = [], x
    for layer in layers:
        expected.append(arrays(states))
        layer.forward(read, lengths, *[None] * states, *expected[-1], None, 0, 1)
        read = expected[-1][0]
    for threads in (1, 2, 3):
        found, calls, read = [], [], x
        for layer in layers:
            found.append(arrays(states))
            calls.append(layer.forward_call(read, lengths, *[None] * states, *found[-1], None, 0, 1, steps))
            read = found[-1][0]
        run_behind(calls, threads)
        for one, other in zip(found, expected, strict=True):
            for a, b in zip(one, other, strict=True):
                assert a.tobytes() == b.tobytes()


def test_calls_keep_their_layer_and_arrays(x):
    expected, found = arrays(2), arrays(2)
    lstm().forward(x, None, None, None, *expected, None, 0, 1)
    calls = [lstm().forward_call(x.copy(), None, None, None, *found, None, 0, 1)]
    run_beside(calls, 2)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))
    run_beside([], 2)
    run_behind([], 2)


def test_what_cannot_run_at_the_same_time_is_refused(x):
    made = arrays(2)
    call = lstm().forward_call(x, None, None, None, *made, None, 0, 1)
    with pytest.raises(InputError, match="calls: found the same call twice"):
        run_beside([call, call], 2)
    other = lstm().forward_call(x, None, None, None, made[0], *arrays(2)[1:], None, 0, 1)
    with pytest.raises(InputError, match="outputs: found memory that it shares with outputs of another call"):
        run_beside([call, other], 2)
    reads = lstm(H).forward_call(made[0], None, None, None, *arrays(2), None, 0, 1)
    for calls in ([call, reads], [reads, call]):
        with pytest.raises(InputError, match=r"shares with (outputs|x) of another call"):
            run_beside(calls, 2)
    with pytest.raises(InputError, match="calls: found str, expected what forward_call"):
        run_beside(["call"], 2)


@pytest.mark.parametrize("time_major", [False, True])
def test_two_may_write_to_columns_of_one_array_beside_each_other(x, time_major):
    expected = arrays(2), arrays(2)
    for layer, results in zip((lstm(), lstm(reverse=True)), expected, strict=True):
        layer.forward(x, None, None, None, *results, None, 0, 1)
    both = np.full((T, N, 2 * H) if time_major else (N, T, 2 * H), np.nan, "f4")
    by_case = both.transpose(1, 0, 2) if time_major else both

    def call(layer, columns):
        return layer.forward_call(x, None, None, None, by_case[:, :, columns], *arrays(2)[1:], None, 0, 1)

    run_beside([call(lstm(), slice(H)), call(lstm(reverse=True), slice(H, None))], 2)
    assert np.array_equal(by_case, np.concatenate([expected[0][0], expected[1][0]], 2))
    for columns in (slice(H - 1, -1), slice(1, H + 1)):
        with pytest.raises(InputError, match="outputs: found memory that it shares with outputs of another call"):
            run_beside([call(lstm(), slice(H)), call(lstm(reverse=True), columns)], 2)


def test_what_cannot_run_behind_is_refused(x):
    made = arrays(2)
    call = lstm().forward_call(x, None, None, None, *made, None, 0, 1, 16)
    reads = lstm(H).forward_call(made[0], None, None, None, *arrays(2), None, 0, 1, 8)
    with pytest.raises(InputError, match="calls: found some in other steps than the first"):
        run_behind([call, reads], 2)
    trainable = lstm(trainable=True)
    saved = np.zeros(trainable.saved_size(N, T, 0), "f4")
    for layer, outputs, kept in (
        (lstm(reverse=True), arrays(2), None),
        (lstm(), [made[0], None, made[2]], None),
        (trainable, arrays(2), saved),
    ):
        with pytest.raises(InputError, match="at_a_time: expected a layer that reads forward"):
            layer.forward_call(x, None, None, None, *outputs, kept, 0, 1, 16)
    with pytest.raises(InputError, match="at_a_time: found -1"):
        lstm().forward_call(x, None, None, None, *arrays(2), None, 0, 1, -1)
    with pytest.raises(InputError, match="x: found float32"):
        LstmFloat64((np.zeros((C + H, 4 * H)), np.zeros(4 * H))).forward_call(
            x, None, None, None, *arrays(2), None, 0, 1
        )
