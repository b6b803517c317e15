"""TensorFlow's Adam against its own formula, and against PyTorch's, which it is not."""

import math

import numpy as np
import pytest
import torch

from quadgate.modules import TensorFlowAdam

GRADIENTS = [[0.5, -2.0, 0.0, 1e-9], [0.25, 1.0, 0.0, -3e-9], [-1.5, 0.5, 0.0, 2e-9]]


def trained(make, steps=GRADIENTS):
    variable = torch.nn.Parameter(torch.tensor([1.0, -1.0, 2.0, 0.5], dtype=torch.float64))
    optimizer = make([variable])
    for gradient in steps:
        variable.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return variable.detach().numpy(), optimizer


def test_the_formula():
    lr, beta1, beta2, epsilon = (float(np.float32(value)) for value in (0.01, 0.9, 0.999, 1e-8))
    expected, m, v = np.array([1.0, -1.0, 2.0, 0.5]), np.zeros(4), np.zeros(4)
    power1, power2 = np.float32(0.9), np.float32(0.999)
    for g in np.array(GRADIENTS):
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        expected -= lr * math.sqrt(1 - float(power2)) / (1 - float(power1)) * m / (np.sqrt(v) + epsilon)
        power1, power2 = power1 * np.float32(0.9), power2 * np.float32(0.999)
    found, _ = trained(lambda variables: TensorFlowAdam(variables, lr=0.01))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0)


def test_it_is_not_pytorchs_where_gradients_are_small():
    ours, _ = trained(lambda variables: TensorFlowAdam(variables, lr=0.01))
    theirs, _ = trained(lambda variables: torch.optim.Adam(variables, lr=0.01))
    np.testing.assert_allclose(ours[:3], theirs[:3], rtol=0, atol=1e-6)
    assert abs(ours[3] - theirs[3]) > 2e-5  # of three steps of at most 0.01


@pytest.mark.parametrize("done", [1, 2])
def test_it_goes_on_from_its_saved_state(done):
    expected, _ = trained(TensorFlowAdam)
    halfway, optimizer = trained(TensorFlowAdam, GRADIENTS[:done])
    variable = torch.nn.Parameter(torch.from_numpy(halfway))
    again = TensorFlowAdam([variable])
    again.load_state_dict(optimizer.state_dict())
    for gradient in GRADIENTS[done:]:
        variable.grad = torch.tensor(gradient, dtype=torch.float64)
        again.step()
    np.testing.assert_array_equal(variable.detach().numpy(), expected)


def test_a_variable_without_a_gradient_stays():
    used, idle = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = TensorFlowAdam([used, idle], lr=0.1)

    def loss():
        optimizer.zero_grad()
        total = used.square().sum()
        total.backward()
        return total.item()

    assert optimizer.step(loss) == 2.0
    assert torch.equal(idle, torch.ones(2))
    assert (used < 1).all()
