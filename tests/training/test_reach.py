import numpy as np
import pytest
import torch
from torch import nn

from quadgate.modules import SequenceClassifier
from quadgate.training import Examples, Reach, Settings, measure_reach
from small_training import small_examples, small_network


def noise_examples(lengths, channels=12, seed=0):
    rng = np.random.default_rng(seed)
    series = tuple(rng.standard_normal((steps, channels)).astype(np.float32) for steps in lengths)
    return Examples(series, np.arange(len(lengths)) % 2)


class Weighted(nn.Module):
    """Logits that depend on each step by a known weight, counted back from the end of each series."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights)
        self.twist = nn.Parameter(torch.ones(1))

    def forward(self, x, lengths):
        T = len(self.weights)
        each = torch.stack(
            [(x[n, :length].sum(1) * self.weights[T - length :]).sum() for n, length in enumerate(lengths.tolist())]
        )
        return torch.stack([self.twist * each * 0, 1e-3 * self.twist * each], 1)


def test_shares_are_those_of_a_known_gradient_aligned_at_the_end():
    module = Weighted([0.0, 1e-4, 2e-3, 0.5, 1.0])
    reach = measure_reach(module, noise_examples([5, 5, 3, 1], channels=2))
    np.testing.assert_allclose(reach.shares, [0.0, 1e-4, 2e-3, 0.5, 1.0], rtol=0.02, atol=1e-12)
    assert (reach.first, reach.reached, reach.steps, reach.is_short) == (2, 3, 5, False)
    assert module.twist.grad is None


def test_a_reach_tells_what_it_found():
    short = Reach(np.array([0.0] * 7 + [0.5, 1.0]))
    assert short.is_short
    assert short.warning() == (
        "warning: before training, the gradient of the loss reaches 2 of 9 steps (7 to 8; step 0 gets 0 of the "
        "greatest share); a class told by other steps will not be learned\n"
        "cure: --pool mean, --pool attention or --initializer chrono"
    )
    both_ends = Reach(np.array([1.0, 0.5] + [0.0] * 10 + [1.0]))
    assert "reaches 3 of 13 steps (0 to 1, 12; step 0" in both_ends.warning()
    assert Reach(np.ones(5)).warning() is None
    nowhere = Reach(np.zeros(4))
    assert (nowhere.first, nowhere.reached) == (4, 0)
    assert nowhere.describe() == "the gradient of the loss is 0 at all 4 steps"


def test_the_mode_of_the_module_and_its_gradients_are_left_alone():
    module = small_network(Settings(units=5, dropout=0.5)).train()
    one, other = (measure_reach(module, small_examples()) for _ in range(2))
    np.testing.assert_array_equal(one.shares, other.shares)
    assert module.training
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.fixture(scope="module")
def seed_length():
    return noise_examples([820] * 2)


def classifier(**given):
    torch.manual_seed(0)
    return SequenceClassifier(12, 64, 2, **({"head": "scaled"} | given))


def test_the_seed_network_does_not_reach_the_start_of_820_steps(seed_length):
    reach = measure_reach(classifier(head="normal"), seed_length)
    assert reach.shares[0] == 0.0  # not small: 0 in float32
    assert 20 < reach.reached < 100
    assert reach.first == 820 - reach.reached
    assert "--pool mean" in reach.warning()


@pytest.mark.parametrize("given", [{"pool": "mean"}, {"pool": "mean", "bidirectional": True}, {"pool": "attention"}])
def test_pooling_reaches_every_step(seed_length, given):
    reach = measure_reach(classifier(**given), seed_length)
    assert reach.reached == 820
    assert reach.warning() is None


def test_chrono_initialisation_reaches_most_steps_from_the_last_output_alone(seed_length):
    reach = measure_reach(classifier(pool="last", initializer="chrono", longest=820), seed_length)
    assert reach.shares[0] > 0
    assert reach.warning() is None


def test_two_directions_read_at_their_last_step_do_not_see_the_middle(seed_length):
    reach = measure_reach(classifier(pool="last", bidirectional=True), seed_length)
    assert reach.first == 0
    assert reach.shares[410] < 1e-20
    assert reach.is_short


def test_short_series_are_reached(seed_length):
    reach = measure_reach(classifier(head="normal"), noise_examples([7, 29, 13]))
    assert (reach.reached, reach.steps) == (29, 29)
    assert reach.warning() is None
