"""The compiled kernels against the judge and against TensorFlow 1.15.5's own numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import assert_float32_close
from kernels.layers import arrays_of, cases_of, gru_problem, problem
from quadgate import cell
from quadgate.cell import Activations, LSTMParameters
from quadgate.errors import InputError
from quadgate.kernels import cpu

SIZES = [(1, 1, 1, 1), (2, 3, 1, 2), (5, 7, 3, 5), (3, 9, 12, 64), (13, 4, 11, 13), (33, 5, 7, 17), (4, 3, 130, 8)]
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}


def close(found, expected, dtype):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def check_against_the_judge(one, dtype):
    found, state = cpu.lstm_forward(one.x, one.parameters, one.state, one.lengths)
    expected, expected_state = cell.lstm(one.x, one.parameters, one.state, one.lengths)
    assert found.dtype == dtype
    for mine, right in zip((found, *state), (expected, *expected_state), strict=True):
        close(mine, right, dtype)

    arguments = one.x, one.parameters, one.d_outputs, one.d_state, one.state, one.lengths
    d_x, d_state, gradient = cpu.lstm_backward(*arguments)
    right_d_x, right_d_state, right_gradient = cell.lstm_backward(*arguments)
    for mine, right in zip((d_x, *d_state), (right_d_x, *right_d_state), strict=True):
        close(mine, right, dtype)
    mine, right = arrays_of(gradient), arrays_of(right_gradient)
    assert mine.keys() == right.keys()
    for name in right:
        close(mine[name], right[name], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("N", "T", "C", "H"), SIZES)
def test_every_size(N, T, C, H, reverse, dtype):
    check_against_the_judge(problem(N, T, C, H, dtype, reverse=reverse), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths(reverse, dtype):
    one = problem(7, 6, 3, 5, dtype, lengths=[0, 1, 6, 3, 0, 5, 2], reverse=reverse)
    check_against_the_judge(one, dtype)
    outputs, (c, h) = cpu.lstm_forward(one.x, one.parameters, one.state, one.lengths)
    assert not outputs[np.arange(6) >= one.lengths[:, None]].any()
    assert (c[0] == one.state[0][0]).all()
    assert (h[4] == one.state[1][4]).all()


@pytest.mark.parametrize(("N", "T"), [(0, 4), (3, 0), (0, 0)])
def test_nothing_to_do(N, T):
    check_against_the_judge(problem(N, T, 3, 5), np.float32)


OPTIONS = {
    "peepholes": {"peepholes": True},
    "cell clip": {"cell_clip": 0.6},
    "input clip": {"input_clip": 0.7},
    "projection": {"projection": 3},
    "projection and its clip": {"projection": 4, "projection_clip": 0.4},
    "everything": {"peepholes": True, "cell_clip": 0.8, "input_clip": 0.9, "projection": 3, "projection_clip": 0.5},
    "relu": {"activations": Activations(cell="relu", output="relu")},
    "hard sigmoid": {"activations": Activations(gate="hard_sigmoid")},
    "hard sigmoid of Keras 3": {"activations": Activations(gate="hard_sigmoid_v3", cell="linear", output="sigmoid")},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option(options, reverse, dtype):
    one = problem(5, 6, 3, 7, dtype, lengths=[6, 0, 3, 1, 5], scale=0.7, reverse=reverse, **options)
    check_against_the_judge(one, dtype)


def test_both_biases_get_the_gradient():
    one = problem(3, 4, 2, 5)
    both = replace(one.parameters, b_h=one.parameters.b_x * -0.3)
    check_against_the_judge(replace(one, parameters=both), np.float32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_combination(data):
    N, T = data.draw(st.integers(1, 9), "N"), data.draw(st.integers(1, 6), "T")
    C, H = data.draw(st.integers(1, 20), "C"), data.draw(st.integers(1, 20), "H")
    one = problem(
        N,
        T,
        C,
        H,
        np.float64,
        lengths=data.draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N), "lengths"),
        seed=data.draw(st.integers(0, 9), "seed"),
        reverse=data.draw(st.booleans(), "reverse"),
    )
    check_against_the_judge(one, np.float64)


def test_without_state_or_bias_both_are_zero():
    one = problem(3, 4, 2, 5)
    bare = LSTMParameters(one.parameters.w_x, one.parameters.w_h)
    zeroed = LSTMParameters(bare.w_x, bare.w_h, b_x=np.zeros((4, 5), np.float32))
    found, _ = cpu.lstm_forward(one.x, bare)
    expected, _ = cpu.lstm_forward(one.x, zeroed, (np.zeros((3, 5), np.float32), np.zeros((3, 5), np.float32)))
    assert (found == expected).all()


@pytest.mark.parametrize("name", ["basic_small", "basic_forget0"])
def test_tensorflow_forward_and_backward(oracle, name):
    case = oracle(name)
    kernel, bias = case["var/rnn/basic_lstm_cell/kernel"], case["var/rnn/basic_lstm_cell/bias"]
    parameters = LSTMParameters.from_kernel(kernel, bias, forget_bias=0.0 if name == "basic_forget0" else 1.0)
    N, H = len(case["x"]), parameters.units
    c, h = (case.get(f"initial/{part}") for part in "ch")
    state = (np.zeros((N, H), np.float32) if c is None else c, np.zeros((N, H), np.float32) if h is None else h)
    lengths = case.get("sequence_length")
    outputs, final = cpu.lstm_forward(case["x"], parameters, state, lengths)
    assert_float32_close(outputs, case["f64/outputs"])
    for part, found in zip("ch", final, strict=True):
        assert_float32_close(found, case[f"f64/final/{part}"])

    d_state = case["cot/final/c"], case["cot/final/h"]
    d_x, _, gradient = cpu.lstm_backward(case["x"], parameters, case["cot/outputs"], d_state, state, lengths)
    assert_float32_close(d_x, case["f64/vjp_in/x"])
    assert_float32_close(gradient.kernel, case["f64/vjp/rnn/basic_lstm_cell/kernel"])
    assert_float32_close(gradient.bias, case["f64/vjp/rnn/basic_lstm_cell/bias"])


def test_tensorflow_seed_network(oracle):
    case = oracle("seed_network")
    kernel, bias = case["var/rnn/basic_lstm_cell/kernel"], case["var/rnn/basic_lstm_cell/bias"]
    outputs, (c, h) = cpu.lstm_forward(case["x"], LSTMParameters.from_kernel(kernel, bias))
    assert_float32_close(outputs[:, case["f64_at/steps"]], case["f64_at/outputs"])
    assert_float32_close(c, case["f64/final/c"])
    assert_float32_close(h, case["f64/final/h"])


def test_the_error_is_at_most_twice_that_of_torch():
    N, T, C, H = 16, 300, 12, 64
    one = problem(N, T, C, H, scale=0.5)
    p = one.parameters
    layer = torch.nn.LSTM(C, H, batch_first=True)
    order = [0, 2, 1, 3]  # torch keeps i, f, j, o
    bias = p.bias.reshape(4, H).copy()
    bias[2] += p.forget_bias
    with torch.no_grad():
        for parameter, value in zip(
            layer.parameters(),
            (
                p.w_x[order].swapaxes(1, 2).reshape(4 * H, C),
                p.w_h[order].swapaxes(1, 2).reshape(4 * H, H),
                bias[order].reshape(-1),
                np.zeros(4 * H, np.float32),
            ),
            strict=True,
        ):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    x = torch.from_numpy(one.x).requires_grad_()
    theirs, _ = layer(x)
    theirs.backward(torch.from_numpy(one.d_outputs))
    mine, _ = cpu.lstm_forward(one.x, p)
    expected, _ = cell.lstm(one.x, p)
    d_x, _, gradient = cpu.lstm_backward(one.x, p, one.d_outputs)
    right_d_x, _, right = cell.lstm_backward(one.x, p, one.d_outputs)

    def error(found, expected):
        return np.sqrt(np.mean((np.asarray(found, np.float64) - expected) ** 2))

    assert error(mine, expected) <= 2 * error(theirs.detach(), expected)
    assert error(d_x, right_d_x) <= 2 * error(x.grad, right_d_x)
    their_w_x = layer.weight_ih_l0.grad.numpy().reshape(4, H, C)[order].swapaxes(1, 2)
    their_w_h = layer.weight_hh_l0.grad.numpy().reshape(4, H, H)[order].swapaxes(1, 2)
    assert error(gradient.w_x, right.w_x) <= 2 * error(their_w_x, right.w_x)
    assert error(gradient.w_h, right.w_h) <= 2 * error(their_w_h, right.w_h)


@pytest.mark.parametrize("sign", [-1, 1])
def test_saturated_gates(sign):
    one = problem(4, 5, 3, 7)
    p = one.parameters
    driven = LSTMParameters(p.w_x * 0, p.w_h * 0, np.full((4, 7), sign * 100, np.float32), forget_bias=1.0)
    outputs, (c, h) = cpu.lstm_forward(one.x, driven, one.state)
    expected, (right_c, right_h) = cell.lstm(one.x, driven, one.state)
    close(outputs, expected, np.float32)
    close(c, right_c, np.float32)
    close(h, right_h, np.float32)
    _, (d_c, _), gradient = cpu.lstm_backward(one.x, driven, one.d_outputs, one.d_state, one.state)
    assert np.isfinite(d_c).all()
    assert np.isfinite(gradient.w_x).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_sequence_with_nan_or_infinity_touches_no_other(poison):
    one = problem(35, 6, 3, 13)
    clean, (clean_c, clean_h) = cpu.lstm_forward(one.x, one.parameters, one.state)
    clean_d_x, _, _ = cpu.lstm_backward(one.x, one.parameters, one.d_outputs, one.d_state, one.state)
    x = one.x.copy()
    x[17, 2, 1] = poison
    found, (c, h) = cpu.lstm_forward(x, one.parameters, one.state)
    with np.errstate(invalid="ignore"):
        expected, _ = cell.lstm(x, one.parameters, one.state, dtype=np.float32)
    d_x, _, _ = cpu.lstm_backward(x, one.parameters, one.d_outputs, one.d_state, one.state)
    others = np.arange(35) != 17
    for mine, right in ((found, clean), (c, clean_c), (h, clean_h), (d_x, clean_d_x)):
        assert (mine[others] == right[others]).all()
    assert (found[17, :2] == clean[17, :2]).all()
    np.testing.assert_allclose(found[17], expected[17], rtol=1e-4, atol=1e-5)


def test_what_stands_in_the_padding_has_no_influence():
    one = problem(5, 6, 3, 9, lengths=[6, 0, 3, 1, 5])
    padding = np.arange(6) >= one.lengths[:, None]
    x, d_outputs = one.x.copy(), one.d_outputs.copy()
    x[padding] = d_outputs[padding] = np.nan
    for reverse in (False, True):
        p = problem(5, 6, 3, 9, reverse=reverse).parameters
        clean = cpu.lstm_forward(one.x, p, one.state, one.lengths)
        found = cpu.lstm_forward(x, p, one.state, one.lengths)
        assert (found[0] == clean[0]).all()
        d_x, _, gradient = cpu.lstm_backward(x, p, d_outputs, one.d_state, one.state, one.lengths)
        right_d_x, _, right = cpu.lstm_backward(one.x, p, one.d_outputs, one.d_state, one.state, one.lengths)
        assert (d_x == right_d_x).all()
        assert (gradient.kernel == right.kernel).all()


def test_denormals_whatever_the_caller_flushes():
    one = problem(3, 5, 2, 6)
    small = cases_of(one, slice(None))
    x = (small.x * 1e-39).astype(np.float32)
    state = tuple((part * 1e-39).astype(np.float32) for part in small.state)
    quiet = LSTMParameters(one.parameters.w_x, one.parameters.w_h, forget_bias=1.0)
    before = cpu.lstm_forward(x, quiet, state)
    gradients = cpu.lstm_backward(x, quiet, one.d_outputs, None, state)
    assert before[0].any()
    assert torch.set_flush_denormal(True)
    try:
        after = cpu.lstm_forward(x, quiet, state)
        gradients_after = cpu.lstm_backward(x, quiet, one.d_outputs, None, state)
        torch_still_flushes = not (torch.tensor([1e-39]) * 0.5).any()
    finally:
        torch.set_flush_denormal(False)
    assert torch_still_flushes
    assert before[0].tobytes() == after[0].tobytes()
    assert before[1][0].tobytes() == after[1][0].tobytes()
    assert gradients[0].tobytes() == gradients_after[0].tobytes()


def test_a_packed_layer_gives_the_same_bits():
    one = problem(9, 6, 12, 64, lengths=[6, 5, 4, 3, 2, 1, 0, 6, 6])
    packed = cpu.PackedLSTM(one.parameters)
    found, state = packed(one.x, one.state, one.lengths)
    expected, expected_state = cpu.lstm_forward(one.x, one.parameters, one.state, one.lengths)
    assert (found == expected).all()
    assert (state[0] == expected_state[0]).all()
    assert (state[1] == expected_state[1]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((5, 3), np.float32)}, r"x: found shape \(5, 3\), expected .*3"),
        ({"x": np.zeros((2, 5, 4), np.float32)}, r"x: found shape \(2, 5, 4\)"),
        ({"state": (np.zeros((2, 6), np.float32), np.zeros((1, 6), np.float32))}, r"h: found shape \(1, 6\)"),
        ({"lengths": [6, 1]}, "lengths: found 6 at case 0, expected 0 to 5"),
        ({"lengths": [1, -1]}, "lengths: found -1 at case 1, expected 0 to 5"),
        ({"lengths": [1]}, r"lengths: found .* shape \(1,\), expected .*2"),
        ({"lengths": [1.5, 2.0]}, "lengths: found float64"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    one = problem(2, 5, 3, 6)
    arguments = {"x": one.x, "parameters": one.parameters, "state": one.state, "lengths": None, **change}
    with pytest.raises(InputError, match=message):
        cpu.lstm_forward(**arguments)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_arrays_at_odd_addresses_are_copied(kind):
    # As they lie in a file that stores its tensors one behind another.
    one = problem(3, 5, 2, 6) if kind == "lstm" else gru_problem(3, 5, 2, 6)
    names = ("w_x", "w_h", "b_x")
    odd = replace(one.parameters, **{name: at_odd_address(getattr(one.parameters, name)) for name in names})
    run = cpu.lstm.lstm_forward if kind == "lstm" else cpu.gru.gru_forward
    state = one.state if kind == "lstm" else one.state[0]
    expected = run(one.x, one.parameters, state)
    found = run(
        at_odd_address(one.x), odd, tuple(map(at_odd_address, state)) if kind == "lstm" else at_odd_address(state)
    )
    np.testing.assert_array_equal(found[0], expected[0])


def at_odd_address(array):
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    memory[:] = np.frombuffer(array.tobytes(), np.uint8)
    found = memory.view(array.dtype).reshape(array.shape)
    assert not found.flags.aligned
    return found
