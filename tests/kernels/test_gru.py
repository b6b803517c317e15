"""The compiled GRU against the judge and against TensorFlow's and PyTorch's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.layers import backward, forward, gru_problem, judged_backward, judged_forward
from quadgate import cell, kernels
from quadgate.cell import Activations, GRUParameters
from quadgate.errors import InputError
from quadgate.kernels import cpu

SIZES = [(1, 1, 1, 1), (2, 3, 1, 2), (5, 7, 3, 5), (3, 9, 12, 64), (13, 4, 11, 13), (33, 5, 7, 17), (4, 3, 130, 8)]
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}
RESETS = pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])


def close(found, expected, dtype):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def check_against_the_judge(one, dtype):
    for mine, right in zip(forward(one), judged_forward(one), strict=True):
        assert mine.dtype == dtype
        close(mine, right, dtype)
    mine, right = backward(one), judged_backward(one)
    assert mine.keys() == right.keys()
    for name in right:
        close(mine[name], right[name], dtype)


@RESETS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("N", "T", "C", "H"), SIZES)
def test_every_size(N, T, C, H, reverse, dtype, reset_after):
    check_against_the_judge(gru_problem(N, T, C, H, dtype, reverse=reverse, reset_after=reset_after), dtype)


@RESETS
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths(reverse, reset_after):
    lengths = [0, 1, 6, 3, 0, 5, 2]
    one = gru_problem(7, 6, 3, 5, lengths=lengths, reverse=reverse, reset_after=reset_after)
    check_against_the_judge(one, np.float32)
    outputs, h = forward(one)
    assert not outputs[np.arange(6) >= one.lengths[:, None]].any()
    assert (h[0] == one.state[0][0]).all()


@pytest.mark.parametrize(("N", "T"), [(0, 4), (3, 0), (0, 0)])
def test_nothing_to_do(N, T):
    check_against_the_judge(gru_problem(N, T, 3, 5), np.float32)


@RESETS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid", "hard_sigmoid_v3"])
@pytest.mark.parametrize("candidate", ["tanh", "relu", "sigmoid", "linear", "hard_sigmoid"])
def test_every_activation(gate, candidate, dtype, reset_after):
    activations = Activations(gate=gate, cell=candidate)
    one = gru_problem(
        5, 6, 3, 7, dtype, lengths=[6, 0, 3, 1, 5], scale=0.7, activations=activations, reset_after=reset_after
    )
    check_against_the_judge(one, dtype)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_combination(data):
    N, T = data.draw(st.integers(1, 9), "N"), data.draw(st.integers(1, 6), "T")
    C, H = data.draw(st.integers(1, 20), "C"), data.draw(st.integers(1, 20), "H")
    one = gru_problem(
        N,
        T,
        C,
        H,
        np.float64,
        lengths=data.draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N), "lengths"),
        seed=data.draw(st.integers(0, 9), "seed"),
        reverse=data.draw(st.booleans(), "reverse"),
        reset_after=data.draw(st.booleans(), "reset_after"),
    )
    p = one.parameters
    without = data.draw(st.sampled_from(["", "b_x", "b_h"]), "without")
    check_against_the_judge(replace(one, parameters=replace(p, **{without: None}) if without else p), np.float64)


@RESETS
def test_saturated_gates(reset_after):
    one = gru_problem(4, 5, 3, 7, reset_after=reset_after)
    for biases in np.ndindex(2, 2, 2):
        bias = np.repeat(np.array(biases, np.float32)[:, None] * 200 - 100, 7, axis=1)
        driven = replace(one.parameters, w_x=one.parameters.w_x * 0.01, b_x=bias)
        check_against_the_judge(replace(one, parameters=driven), np.float32)


@RESETS
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_sequence_with_nan_or_infinity_touches_no_other(poison, reset_after):
    one = gru_problem(35, 6, 3, 13, reset_after=reset_after)
    x = one.x.copy()
    x[17, 2, 1] = poison
    others = np.arange(35) != 17
    ill = replace(one, x=x)
    for mine, right in zip(forward(ill), forward(one), strict=True):
        assert (mine[others] == right[others]).all()
    found, expected = backward(ill), backward(one)
    assert (found["x"][others] == expected["x"][others]).all()
    outputs = forward(ill)[0]
    with np.errstate(invalid="ignore"):
        right, _ = judged_forward(ill)
    np.testing.assert_allclose(outputs[17], right[17], rtol=1e-4, atol=1e-5)


@RESETS
@pytest.mark.parametrize("reverse", [False, True])
def test_what_stands_in_the_padding_has_no_influence(reverse, reset_after):
    one = gru_problem(5, 6, 3, 9, lengths=[6, 0, 3, 1, 5], reverse=reverse, reset_after=reset_after)
    padding = np.arange(6) >= one.lengths[:, None]
    x, d_outputs = one.x.copy(), one.d_outputs.copy()
    x[padding] = d_outputs[padding] = np.nan
    dirty = replace(one, x=x, d_outputs=d_outputs)
    for mine, right in zip(forward(dirty), forward(one), strict=True):
        assert (mine == right).all()
    expected = backward(one)
    for name, mine in backward(dirty).items():
        assert (mine == expected[name]).all(), name


@RESETS
def test_denormals_whatever_the_caller_flushes(reset_after):
    one = gru_problem(3, 5, 2, 6, reset_after=reset_after)
    quiet = replace(one.parameters, b_x=None, b_h=None)
    tiny = replace(one, x=one.x * np.float32(1e-39), state=(one.state[0] * np.float32(1e-39),), parameters=quiet)
    before = [*forward(tiny), *backward(tiny).values()]
    assert before[0].any()
    assert torch.set_flush_denormal(True)
    try:
        after = [*forward(tiny), *backward(tiny).values()]
    finally:
        torch.set_flush_denormal(False)
    assert [array.tobytes() for array in before] == [array.tobytes() for array in after]


def torch_layer(p: GRUParameters) -> torch.nn.GRU:
    """PyTorch's own, with the same numbers: gates r, z, n, rows of a gate together."""
    layer = torch.nn.GRU(p.inputs, p.units, batch_first=True)
    order = [1, 0, 2]
    values = (p.w_x[order].swapaxes(1, 2), p.w_h[order].swapaxes(1, 2), p.b_x[order], p.b_h[order])
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)).reshape(parameter.shape))
    return layer


def test_the_error_is_at_most_twice_that_of_torch():
    one = gru_problem(16, 300, 12, 64, scale=0.5)
    one = replace(one, state=(one.state[0] * 0,), d_state=(one.d_state[0] * 0,))
    layer = torch_layer(one.parameters)
    x = torch.from_numpy(one.x).requires_grad_()
    theirs, _ = layer(x)
    theirs.backward(torch.from_numpy(one.d_outputs))
    mine, right = backward(one), judged_backward(one)

    def error(found, expected):
        return np.sqrt(np.mean((np.asarray(found, np.float64) - expected) ** 2))

    expected, _ = judged_forward(one)
    assert error(forward(one)[0], expected) <= 2 * error(theirs.detach(), expected)
    order = [1, 0, 2]
    w_x, w_h, b_x, b_h = (
        parameter.grad.numpy().reshape(3, 64, -1)[order].swapaxes(1, 2) for parameter in layer.parameters()
    )
    gradients = {"x": x.grad, "w_x": w_x, "w_h": w_h, "b_x": b_x[:, 0], "b_h": b_h[:, 0]}
    for name, found in gradients.items():
        assert error(mine[name], right[name]) <= 2 * error(found, right[name]), name


def test_the_chooser_takes_it_and_falls_back(monkeypatch):
    one = gru_problem(5, 6, 3, 7, lengths=[6, 0, 3, 1, 5])
    arguments = one.x, one.parameters, one.state[0], one.lengths
    compiled = kernels.gru(*arguments)
    assert (compiled[0] == cpu.gru_forward(*arguments)[0]).all()
    monkeypatch.setattr(kernels.choice, "explain_choice", lambda: kernels.Choice("NumPy", True, "for this test"))
    plain = kernels.gru(*arguments)
    for mine, right in zip(plain, cell.gru(*arguments, dtype=np.float32), strict=True):
        assert (mine == right).all()


def test_a_packed_layer_gives_the_same_bits():
    one = gru_problem(9, 6, 12, 64, lengths=[6, 5, 4, 3, 2, 1, 0, 6, 6])
    found = cpu.PackedGRU(one.parameters)(one.x, one.state[0], one.lengths)
    for mine, right in zip(found, forward(one), strict=True):
        assert (mine == right).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((5, 3), np.float32)}, r"x: found shape \(5, 3\), expected .*3"),
        ({"state": np.zeros((1, 6), np.float32)}, r"state: found shape \(1, 6\)"),
        ({"lengths": [6, 1]}, "lengths: found 6 at case 0, expected 0 to 5"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    one = gru_problem(2, 5, 3, 6)
    arguments = {"x": one.x, "parameters": one.parameters, "state": one.state[0], "lengths": None, **change}
    with pytest.raises(InputError, match=message):
        cpu.gru_forward(**arguments)
