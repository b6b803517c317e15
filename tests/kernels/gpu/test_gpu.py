"""The kernels for GPUs against the judge: on a GPU where there is one, else run by Triton's interpreter."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.gpu.rungs import DEVICE, RUNGS, layer_of, run_backward, run_forward
from kernels.layers import cases_of, judged_backward, judged_forward, problem
from quadgate.kernels.gpu import triton_lstm
from quadgate.kernels.gpu.layer import backward, forward
from quadgate.kernels.gpu.recurrence import Kept

TOLERANCE = 3e-5
NAMES = list(RUNGS)
SIZES = [(1, 1, 1, 1), (2, 3, 1, 2), (5, 7, 3, 5), (17, 3, 12, 33), (3, 4, 5, 64)]


def close(found, expected):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


def check_against_the_judge(rung, one, every=0):
    layer = layer_of(one, every=every)
    found, kept = run_forward(rung, layer, keep=True)
    for mine, right in zip(found, judged_forward(one), strict=True):
        close(mine, right)
    for bare, with_kept in zip(run_forward(rung, layer)[0], found, strict=True):
        np.testing.assert_array_equal(bare, with_kept)
    mine, right = run_backward(rung, layer, kept, one), judged_backward(one)
    assert mine.keys() == right.keys()
    for name in right:
        close(mine[name], right[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("N", "T", "C", "H"), [(1, 1, 1, 1), (2, 3, 1, 2), (5, 7, 3, 5), (17, 3, 12, 33), (3, 4, 5, 64)]
)
def test_every_size(N, T, C, H, reverse, name):
    check_against_the_judge(RUNGS[name], problem(N, T, C, H, reverse=reverse))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("every", [0, 4])
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths(reverse, every, name):
    one = problem(7, 6, 3, 5, lengths=[0, 1, 6, 3, 0, 5, 2], reverse=reverse)
    check_against_the_judge(RUNGS[name], one, every)
    outputs, c, h = run_forward(RUNGS[name], layer_of(one))[0]
    assert not outputs[np.arange(6) >= one.lengths[:, None]].any()
    assert (c[0] == one.state[0][0]).all()
    assert (h[4] == one.state[1][4]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("N", "T"), [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("every", [0, 2])
def test_nothing_to_do(N, T, every, name):
    check_against_the_judge(RUNGS[name], problem(N, T, 3, 5), every)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [100.0, -100.0])
def test_large_pre_activations(scale, name):
    one = problem(3, 4, 2, 5)
    check_against_the_judge(
        RUNGS[name], replace(one, parameters=replace(one.parameters, b_x=one.parameters.b_x * scale))
    )


@pytest.mark.parametrize("name", NAMES)
def test_nan_in_a_case_reaches_no_other(name):
    one = problem(3, 4, 2, 5)
    clean = run_forward(RUNGS[name], layer_of(one))[0]
    one.x[1, 2] = np.nan
    outputs, c, h = run_forward(RUNGS[name], layer_of(one))[0]
    assert np.isnan(outputs[1, 2:]).all()
    assert np.isnan(c[1]).all()
    others = [0, 2]
    for mine, right in zip((outputs, c, h), clean, strict=True):
        np.testing.assert_array_equal(mine[others], right[others])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_as_exact_as_an_ordinary_loop(dtype, name):
    """The error is at most twice that of the same steps in PyTorch's own operations of that type."""
    one = problem(4, 5, 3, 20, lengths=[5, 2, 0, 4])
    layer = layer_of(one, dtype)
    rounded = replace(
        one,
        x=layer.x.float().nan_to_num().cpu().numpy(),
        parameters=replace(
            one.parameters,
            **{
                to: np.stack([part.float().cpu().numpy() for part in tensor.chunk(4, -1)])
                for to, tensor in (("w_x", layer.w_x), ("w_h", layer.w_h), ("b_x", layer.bias))
            },
        ),
        state=tuple(part.float().cpu().numpy() for part in (layer.c, layer.h)),
    )
    right = judged_forward(rounded)
    found, kept = run_forward(RUNGS[name], layer, keep=True)
    ordinary = loop(layer)
    for mine, usual, expected in zip(found, ordinary, right, strict=True):
        assert np.abs(mine - expected).max() <= 2 * np.abs(usual - expected).max()
    gradients = run_backward(RUNGS[name], layer, kept, rounded)
    for key, expected in judged_backward(rounded).items():
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(gradients[key] - expected).max() <= scale * (0.05 if dtype == torch.bfloat16 else 0.008), key


def loop(layer):
    """The layer step by step in the type of its tensors."""
    c, h, outputs = layer.c, layer.h, []
    for t in range(layer.x.shape[1]):
        z = layer.x[:, t].nan_to_num() @ layer.w_x + layer.bias + h @ layer.w_h
        i, j, f, o = z.chunk(4, -1)
        c_next = c * torch.sigmoid(f + layer.forget_bias) + torch.sigmoid(i) * torch.tanh(j)
        h_next = torch.sigmoid(o) * torch.tanh(c_next)
        alive = (t < layer.lengths)[:, None]
        outputs.append(torch.where(alive, h_next, 0.0))
        c, h = torch.where(alive, c_next, c), torch.where(alive, h_next, h)
    return [one.double().cpu().numpy() for one in (torch.stack(outputs, 1), c, h)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_of_steps_after_another_is_all_of_them(reverse, name):
    one = problem(3, 6, 2, 5, lengths=[6, 3, 1], reverse=reverse)
    layer, rung = layer_of(one), RUNGS[name]
    z, (c, h) = layer.pre_activations, layer.start
    options = {"forget_bias": layer.forget_bias, "reverse": reverse, "exact": True}
    whole = rung.forward(z, layer.w_h, c, h, layer.lengths, (0, 6), keep=None, **options)
    kept = Kept(torch.full_like(z, torch.nan), z.new_full((3, 6, 5), torch.nan))
    first = rung.forward(z, layer.w_h, c, h, layer.lengths, (0, 2), keep=kept, **options)
    second = rung.forward(z, layer.w_h, first.c, first.h, layer.lengths, (2, 6), keep=kept, **options)
    assert torch.equal(second.c, whole.c)
    assert torch.equal(second.h, whole.h)
    steps = torch.arange(6, device=DEVICE) < layer.lengths[:, None]
    assert not any(one[steps].isnan().any() for one in kept)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_in_any_batch_and_again(name):
    one = problem(18, 4, 3, 7, lengths=[4, 1, 2] * 6)
    layer = layer_of(one)
    (outputs, _, _), kept = run_forward(RUNGS[name], layer, keep=True)
    again = run_forward(RUNGS[name], layer)[0]
    alone = run_forward(RUNGS[name], layer_of(cases_of(one, [16])))[0]
    np.testing.assert_array_equal(again[0], outputs)
    if name == "Triton":  # a product of PyTorch's may sum in another order for another number of rows
        np.testing.assert_allclose(alone[0][0], outputs[16], rtol=0, atol=1e-6)
    first, second = (run_backward(RUNGS[name], layer, kept, one) for _ in range(2))
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("used", range(3))
def test_a_loss_that_uses_one_result(used, name):
    one = problem(3, 4, 2, 5)
    layer = layer_of(one)
    outputs, _, _, kept = forward(layer, RUNGS[name], True)
    losses = (one.d_outputs, *one.d_state)
    ways_in = [torch.from_numpy(d).to(DEVICE) if k == used else None for k, d in enumerate(losses)]
    found = backward(layer, RUNGS[name], outputs, kept, *ways_in, needs_x=True, needs_weights=False)
    zeroed = [d * (k == used) for k, d in enumerate(losses)]
    right = judged_backward(replace(one, d_outputs=zeroed[0], d_state=tuple(zeroed[1:])))
    for mine, key in ((found.x, "x"), (found.c, "c"), (found.h, "h")):
        close(mine.cpu().numpy(), right[key])
    assert found.w_x is None


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_every_combination(data):
    N, T = data.draw(st.integers(1, 5), "N"), data.draw(st.integers(1, 5), "T")
    C, H = data.draw(st.integers(1, 7), "C"), data.draw(st.integers(1, 20), "H")
    one = problem(
        N,
        T,
        C,
        H,
        lengths=data.draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N), "lengths"),
        seed=data.draw(st.integers(0, 9), "seed"),
        reverse=data.draw(st.booleans(), "reverse"),
    )
    check_against_the_judge(
        RUNGS[data.draw(st.sampled_from(NAMES), "name")], one, data.draw(st.integers(0, 3), "every")
    )


def test_what_does_not_fit_is_refused_with_the_reason():
    assert triton_lstm.why_not(128, torch.bfloat16) is None
    assert "at most 64 units" in triton_lstm.why_not(65, torch.float32)
    assert "not float64" in triton_lstm.why_not(8, torch.float64)
    assert "this GPU has 166912" in triton_lstm.why_not(128, torch.float16, 166912)
