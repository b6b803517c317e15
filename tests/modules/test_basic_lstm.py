"""The cell and the layer against the float64 reference: numbers, gradients, unequal lengths and padding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate import cell
from quadgate.cell import Activations, LSTMParameters
from quadgate.errors import InputError
from quadgate.modules import BasicLSTM, BasicLSTMCell


def layer_of(C, H, seed=1, scale=1.0, dtype=torch.float64, **options):
    """A layer with different numbers in every gate."""
    module = BasicLSTM(C, H, **options).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def parameters_of(module):
    return LSTMParameters.from_kernel(
        module.kernel.detach().double().numpy(),
        module.bias.detach().double().numpy(),
        module.forget_bias,
        activations=Activations(cell=module.activation, output=module.activation),
        reverse=module.reverse,
    )


def batch(N, T, C, H, seed=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = (N, T, C), (N, H), (N, H)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def run(module, x, lengths, state, weights):
    """The results, and the gradients of their weighted sum by x, the state and the parameters."""
    outputs, (c, h) = module(x, lengths, state)
    found = [outputs, c, h]
    gradients = torch.autograd.grad(found, [x, *state, module.kernel, module.bias], weights)
    return [tensor.detach() for tensor in (*found, *gradients)]


def weights_of(N, T, H, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in ((N, T, H), (N, H), (N, H))]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), reverse=st.booleans(), forget_bias=st.sampled_from([0.0, 1.0, -2.5]))
def test_numbers_and_gradients_are_those_of_the_reference(data, reverse, forget_bias):
    N, T, C, H = (data.draw(st.sampled_from(sizes)) for sizes in ((1, 2, 7), (1, 3, 13), (1, 5), (1, 3, 8, 11)))
    activation = data.draw(st.sampled_from(["tanh", "relu", "hard_sigmoid"]))
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N))
    module = layer_of(C, H, scale=0.5, forget_bias=forget_bias, activation=activation, reverse=reverse)
    x, c, h = batch(N, T, C, H)
    weights = weights_of(N, T, H)
    found = run(module, x, lengths, (c, h), weights)

    arrays = [tensor.detach().numpy() for tensor in (x, c, h, *weights)]
    outputs, final = cell.lstm(arrays[0], parameters_of(module), arrays[1:3], lengths)
    d_x, d_state, gradient = cell.lstm_backward(
        arrays[0], parameters_of(module), arrays[3], arrays[4:], arrays[1:3], lengths
    )
    expected = outputs, *final, d_x, *d_state, gradient.kernel, gradient.bias
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_what_stands_in_the_padding_reaches_nothing(dtype, reverse, poison):
    N, T, C, H = 4, 7, 3, 5
    lengths = torch.tensor([7, 4, 1, 0])
    module = layer_of(C, H, reverse=reverse, dtype=dtype)
    x, c, h = batch(N, T, C, H, dtype=dtype)
    dirty = x.detach().clone()
    padding = torch.arange(T) >= lengths[:, None]
    dirty[padding] = poison
    expected = run(module, x, lengths, (c, h), weights_of(N, T, H, dtype))
    found = run(module, dirty.requires_grad_(), lengths, (c, h), weights_of(N, T, H, dtype))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert not found[0][padding].any()
    assert not found[3][padding].any()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_case_ends_as_if_it_were_alone(reverse):
    N, T, C, H = 3, 6, 2, 4
    module = layer_of(C, H, reverse=reverse, dtype=torch.float32)
    x, c, h = batch(N, T, C, H, dtype=torch.float32)
    outputs, (c_end, h_end) = module(x, [6, 3, 1], (c, h))
    for case, length in enumerate([6, 3, 1]):
        alone, (c_alone, h_alone) = module(x[case : case + 1, :length], None, (c[case : case + 1], h[case : case + 1]))
        assert torch.equal(outputs[case, :length], alone[0])
        assert torch.equal(c_end[case], c_alone[0])
        assert torch.equal(h_end[case], h_alone[0])


def test_cases_of_length_zero_end_as_they_started_and_teach_nothing():
    N, T, C, H = 3, 5, 2, 4
    module = layer_of(C, H)
    x, c, h = batch(N, T, C, H)
    weights = weights_of(N, T, H)
    outputs, c_end, h_end, d_x, d_c, d_h, d_kernel, d_bias = run(module, x, [0, 0, 0], (c, h), weights)
    assert torch.equal(c_end, c)
    assert torch.equal(h_end, h)
    assert torch.equal(d_c, weights[1])
    assert torch.equal(d_h, weights[2])
    for zero in (outputs, d_x, d_kernel, d_bias):
        assert not zero.any()


def test_no_step_at_all_ends_as_it_started():
    module = layer_of(2, 4)
    x, c, h = batch(3, 0, 2, 4)
    outputs, (c_end, h_end) = module(x, None, (c, h))
    assert outputs.shape == (3, 0, 4)
    assert torch.equal(c_end, c)
    assert torch.equal(h_end, h)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_saturated_gates(dtype):
    """Pre-activations of a hundred and more: nothing overflows, and a closed gate passes no gradient."""
    module = layer_of(3, 5, scale=100.0, dtype=dtype)
    x, c, h = batch(2, 9, 3, 5, dtype=dtype)
    found = run(module, x, None, (c, h), weights_of(2, 9, 5, dtype))
    assert all(tensor.isfinite().all() for tensor in found)
    outputs, _ = cell.lstm(
        x.detach().double().numpy(), parameters_of(module), [one.detach().double().numpy() for one in (c, h)]
    )
    np.testing.assert_allclose(found[0].double(), outputs, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-9)


def test_the_cell_step_by_step_is_the_layer():
    layer = layer_of(3, 5, forget_bias=0.25, activation="relu")
    one = BasicLSTMCell(3, 5, forget_bias=0.25, activation="relu").double()
    one.load_state_dict(layer.state_dict())
    x, c, h = batch(2, 6, 3, 5)
    outputs, final = layer(x, None, (c, h))
    state, steps = (c, h), []
    for t in range(6):
        output, state = one(x[:, t], state)
        steps.append(output)
    torch.testing.assert_close(torch.stack(steps, 1), outputs, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(state, final, rtol=1e-13, atol=1e-13)


def test_what_does_not_fit_is_refused_in_one_line():
    layer = BasicLSTM(3, 5)
    x = torch.zeros(2, 7, 3)
    refused = [
        (lambda: layer(torch.zeros(2, 7)), r"x: found shape \(2, 7\), expected \(cases, steps, 3\)"),
        (lambda: layer(torch.zeros(2, 7, 4)), r"x: found shape \(2, 7, 4\), expected \(cases, steps, 3\)"),
        (lambda: layer(x.double()), r"x: found torch.float64, expected torch.float32"),
        (lambda: layer(x, [1, 2, 3]), "lengths"),
        (lambda: layer(x, [1, 8]), "lengths"),
        (lambda: layer(x, [-1, 2]), "lengths"),
        (lambda: layer(x, [1.5, 2.0]), "lengths"),
        (lambda: layer(x, None, (torch.zeros(2, 4), torch.zeros(2, 5))), r"state c: found shape \(2, 4\)"),
        (lambda: BasicLSTMCell(3, 5)(x), r"x: found shape \(2, 7, 3\), expected \(cases, 3\)"),
        (lambda: BasicLSTM(0, 5), "inputs: found 0, expected at least 1"),
        (lambda: BasicLSTM(3, 0), "units: found 0, expected at least 1"),
        (lambda: BasicLSTM(3, 5, activation="tahn"), "did you mean 'tanh'"),
        (lambda: BasicLSTM(3, 5, initializer="glorto"), "did you mean 'glorot'"),
    ]
    for call, expected in refused:
        with pytest.raises(InputError, match=expected) as caught:
            call()
        assert "\n" not in str(caught.value)
