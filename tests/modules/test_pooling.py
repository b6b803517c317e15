"""Pooling over the steps of each case, against arithmetic by hand and the NumPy room that runs saved models."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.kernels import pooling
from quadgate.modules.pooling import POOLS, pooled

KINDS = st.sampled_from(POOLS)


def outputs_of(N, T, F, lengths, dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    outputs = torch.randn(N, T, F, generator=generator, dtype=torch.float64).to(dtype)
    outputs[torch.arange(T) >= lengths[:, None]] = 0
    final = torch.randn(N, F, generator=generator, dtype=torch.float64).to(dtype)
    query = torch.randn(F, generator=generator, dtype=torch.float64).to(dtype)
    return outputs, final, query


@pytest.mark.parametrize("pool", POOLS)
def test_each_case_by_hand(pool):
    lengths = torch.tensor([4, 2, 1, 0])
    outputs, final, query = outputs_of(4, 4, 3, lengths)
    found = pooled(outputs, final, lengths, pool, query)
    for case, length in enumerate(lengths.tolist()):
        steps = outputs[case, :length].numpy()
        if pool == "last":
            expected = final[case].numpy()
        elif not length:
            expected = np.zeros(3)
        elif pool == "mean":
            expected = steps.mean(axis=0)
        elif pool == "max":
            expected = steps.max(axis=0)
        else:
            weights = np.exp(steps @ query.numpy())
            expected = weights / weights.sum() @ steps
        np.testing.assert_allclose(found[case], expected, rtol=1e-13, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), pool=KINDS)
def test_the_saved_model_pools_alike(data, pool):
    N, T, F = (data.draw(st.sampled_from([1, 2, 5, 7])) for _ in range(3))
    lengths = data.draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N))
    steps = torch.full((N,), T) if lengths is None else torch.tensor(lengths)
    outputs, final, query = outputs_of(N, T, F, steps, torch.float32)
    found = pooled(outputs, final, None if lengths is None else steps, pool, query)
    expected = pooling.pool(
        outputs.numpy(),
        final.numpy(),
        None if lengths is None else steps.numpy(),
        pool,
        query.numpy() if pool == "attention" else None,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lengths", [None, [4, 2, 1, 0], [0, 0, 0, 0]], ids=["full", "unequal", "zero"])
@pytest.mark.parametrize("pool", POOLS)
def test_gradients(pool, lengths):
    steps = torch.full((4,), 4) if lengths is None else torch.tensor(lengths)
    tensors = [tensor.requires_grad_() for tensor in outputs_of(4, 4, 3, steps)]
    given_lengths = None if lengths is None else steps
    valid = (torch.arange(4) < steps[:, None])[:, :, None]

    def through_the_mask(outputs, final, query):
        return pooled(torch.where(valid, outputs, 0.0), final, given_lengths, pool, query)

    assert torch.autograd.gradcheck(through_the_mask, tensors)
    found = torch.autograd.grad(through_the_mask(*tensors).sum(), tensors, allow_unused=True)
    assert all(gradient.isfinite().all() for gradient in found if gradient is not None)


def test_all_outputs_below_zero_keep_their_largest():
    """The padding is zero, which would be the largest."""
    outputs = torch.tensor([[[-3.0], [-1.0], [0.0]]])
    assert pooled(outputs, outputs[:, 1], torch.tensor([2]), "max").item() == -1.0


def test_a_query_of_zeros_is_the_mean():
    lengths = torch.tensor([5, 3, 1])
    outputs, final, _ = outputs_of(3, 5, 4, lengths)
    attention = pooled(outputs, final, lengths, "attention", torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(attention, pooled(outputs, final, lengths, "mean"), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("size", [100.0, -100.0])
def test_attention_to_large_scores_stays_finite(size):
    lengths = torch.tensor([3, 1])
    outputs, final, _ = outputs_of(2, 3, 4, lengths, torch.float32)
    query = torch.full((4,), size, requires_grad=True)
    features = pooled(100 * outputs, final, lengths, "attention", query)
    assert features.isfinite().all()
    assert torch.autograd.grad(features.sum(), query)[0].isfinite().all()


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_every_step_gets_a_gradient_at_once(pool):
    """What `last` lacks: the first step is as near as the last one."""
    outputs = torch.eye(6)[None].clone().requires_grad_()
    features = pooled(outputs, outputs[:, -1], None, pool, torch.zeros(6))
    (gradient,) = torch.autograd.grad(features.sum(), outputs)
    assert (gradient.abs().sum(dim=2) > 0).all()
