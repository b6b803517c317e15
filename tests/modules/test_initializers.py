"""How parameters start: TensorFlow 1's distribution, and chrono's memory."""

import math

import pytest
import torch

from quadgate.errors import InputError
from quadgate.modules import BasicLSTM, BasicLSTMCell
from quadgate.modules.initializers import chrono_, glorot_uniform_


def kolmogorov(sample, cumulative):
    """The largest distance between the sample's and the wanted cumulative distribution."""
    ordered = sample.double().flatten().sort().values
    wanted = cumulative(ordered)
    n = len(ordered)
    above = torch.arange(1, n + 1) / n - wanted
    below = wanted - torch.arange(n) / n
    return max(above.max().item(), below.max().item())


@pytest.mark.parametrize("shape", [(76, 256), (640, 20), (3000,)])
def test_glorot_is_uniform_within_its_limit(shape):
    torch.manual_seed(0)
    limit = math.sqrt(6 / (shape[0] + shape[-1]))
    drawn = glorot_uniform_(torch.empty(shape))
    assert drawn.abs().max() <= limit
    distance = kolmogorov(drawn, lambda value: (value + limit) / (2 * limit))
    assert distance < 1.95 / math.sqrt(drawn.numel())  # once in a thousand by chance, and the seed is fixed


def test_a_fresh_layer_is_tensorflows():
    torch.manual_seed(0)
    layer = BasicLSTM(12, 64)
    assert not layer.bias.any()
    limit = math.sqrt(6 / (76 + 256))
    assert 0.99 * limit < layer.kernel.abs().max() <= limit
    blocks = layer.kernel.detach().reshape(76, 4, 64)
    assert all(not torch.equal(blocks[:, a], blocks[:, b]) for a in range(4) for b in range(a))


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, -0.5])
def test_chrono_spreads_the_memory_over_the_steps(forget_bias):
    torch.manual_seed(0)
    longest, H = 820, 5000
    bias = chrono_(torch.empty(4 * H, dtype=torch.float64), longest, forget_bias)
    i, j, f, o = bias.chunk(4)
    rest = f + forget_bias  # what the gate sees while running
    torch.testing.assert_close(i, -rest, rtol=0, atol=1e-14)
    assert not j.any()
    assert not o.any()
    # exp(b_f) is uniform on [1, longest - 1]
    distance = kolmogorov(rest.exp(), lambda value: (value - 1) / (longest - 2))
    assert distance < 1.95 / math.sqrt(H)


def test_a_unit_of_chrono_keeps_its_state_for_its_time():
    """With a kernel of zeros only the gates' biases act: after 1 + exp(b_f) steps about 1/e of the state is left."""
    torch.manual_seed(0)
    layer = BasicLSTM(1, 40, initializer="chrono", longest=300).double()
    with torch.no_grad():
        layer.kernel.zero_()
    b_f = layer.bias.detach().chunk(4)[2] + layer.forget_bias
    for unit, steps in enumerate((1 + b_f.exp()).round().int().tolist()):
        _, (c, _) = layer(torch.zeros(1, steps, 1).double(), None, (torch.ones(1, 40).double(),) * 2)
        assert 0.2 < c[0, unit] < 0.45


def test_chrono_reaches_the_first_step_where_glorot_does_not():
    def gradient_at_first_step(initializer):
        torch.manual_seed(0)
        layer = BasicLSTM(12, 64, initializer=initializer, longest=820)
        x = torch.randn(1, 820, 12, requires_grad=True)
        _, (_, h) = layer(x)
        return torch.autograd.grad(h.sum(), x)[0][0, 0].abs().max().item()

    assert gradient_at_first_step("glorot") == 0.0
    assert gradient_at_first_step("chrono") > 1e-5


def test_a_cell_and_a_layer_start_alike():
    for options in ({}, {"initializer": "chrono", "longest": 30}):
        torch.manual_seed(7)
        cell = BasicLSTMCell(3, 5, **options)
        torch.manual_seed(7)
        layer = BasicLSTM(3, 5, **options)
        assert all(torch.equal(one, other) for one, other in zip(cell.parameters(), layer.parameters(), strict=True))


def test_chrono_needs_to_know_for_how_long():
    with pytest.raises(InputError, match="longest is missing"):
        BasicLSTM(3, 5, initializer="chrono")
    with pytest.raises(InputError, match="longest: found 1, expected"):
        BasicLSTM(3, 5, initializer="chrono", longest=1)
