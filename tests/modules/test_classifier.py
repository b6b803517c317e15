"""The network that is trained against the reference, put together by hand in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate import cell
from quadgate.cell import LSTMParameters
from quadgate.errors import InputError
from quadgate.modules import SequenceClassifier, from_model, to_model
from quadgate.modules.pooling import POOLS, pooled


def network(seed=3, **options):
    """A network in float64 with different numbers in every gate."""
    module = SequenceClassifier(**{"inputs": 3, "units": 5, "classes": 4} | options).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def series(N=4, T=6, C=3, seed=4):
    return torch.randn(N, T, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(module, x, lengths):
    """The logits, from the float64 reference, pooling (tested in test_pooling.py) and NumPy's product."""
    outputs, final = x, None
    for k, forward in enumerate(module.forward_layers):
        layers = [forward, module.backward_layers[k]] if module.bidirectional else [forward]
        results = [
            cell.lstm(
                outputs,
                LSTMParameters.from_kernel(
                    layer.kernel.detach().numpy(),
                    layer.bias.detach().numpy(),
                    layer.forget_bias,
                    reverse=layer.reverse,
                ),
                lengths=lengths,
            )
            for layer in layers
        ]
        outputs = np.concatenate([one for one, _ in results], axis=2)
        final = np.concatenate([h for _, (_, h) in results], axis=1)
    steps = None if lengths is None else torch.tensor(lengths)
    features = pooled(torch.from_numpy(outputs), torch.from_numpy(final), steps, module.pool, module.query)
    return features.detach().numpy() @ module.weights.detach().numpy() + module.biases.detach().numpy()


@settings(max_examples=40, deadline=None)
@given(
    pool=st.sampled_from(POOLS),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    lengths=st.none() | st.lists(st.integers(0, 6), min_size=4, max_size=4),
)
def test_logits_are_those_of_the_reference(pool, layers, bidirectional, lengths):
    module = network(pool=pool, layers=layers, bidirectional=bidirectional)
    x = series()
    np.testing.assert_allclose(module(x, lengths).detach(), by_hand(module, x.numpy(), lengths), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_gradients(pool, bidirectional):
    module = network(units=2, classes=2, pool=pool, layers=2, bidirectional=bidirectional)
    names = [name for name, _ in module.named_parameters()]
    x = series(3, 4).requires_grad_()

    def logits(x, *parameters):
        named = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(module, named, (x, torch.tensor([4, 0, 2])))

    parameters = [parameter.detach().clone().requires_grad_() for parameter in module.parameters()]
    assert torch.autograd.gradcheck(logits, [x, *parameters], fast_mode=True)


@pytest.mark.parametrize("pool", POOLS)
def test_padding_reaches_neither_logits_nor_gradients(pool):
    module = network(pool=pool, layers=2, bidirectional=True)
    lengths = torch.tensor([6, 3, 1, 0])
    x = series()
    dirty = x.clone()
    dirty[torch.arange(6) >= lengths[:, None]] = torch.nan
    results = []
    for given_x in (x, dirty):
        module.zero_grad()
        logits = module(given_x, lengths)
        logits.square().sum().backward()
        results.append([logits.detach(), *(parameter.grad.clone() for parameter in module.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_a_model_carries_the_same_numbers_there_and_back(pool, bidirectional):
    module = network(pool=pool, layers=2, bidirectional=bidirectional).float()
    x = series().float()
    model = to_model(module)
    again = from_model(model)
    for (name, one), (_, other) in zip(module.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(one, other), name
    found, _ = model.run(x.numpy(), np.array([6, 3, 1, 2]), output="logits")
    expected = module(x, [6, 3, 1, 2]).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_dropout_acts_in_training_alone():
    module = network(dropout=0.5, layers=2)
    x = series()
    module.eval()
    assert torch.equal(module(x), module(x))
    np.testing.assert_allclose(module(x).detach(), by_hand(module, x.numpy(), None), rtol=1e-11, atol=1e-12)
    module.train()
    torch.manual_seed(0)
    assert not torch.equal(module(x), module(x))


def test_heads_start_as_they_say():
    torch.manual_seed(0)
    normal = SequenceClassifier(3, 2000, 2)
    assert abs(normal.weights.std().item() - 1) < 0.05
    assert normal.biases.any()
    scaled = SequenceClassifier(3, 2000, 2, head="scaled")
    assert scaled.weights.abs().max().item() <= (6 / 2002) ** 0.5
    assert not scaled.biases.any()


def test_the_seed_network_has_19842_numbers():
    module = SequenceClassifier(12)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        "weights": (64, 2),
        "biases": (2,),
        "forward_layers.0.kernel": (76, 256),
        "forward_layers.0.bias": (256,),
    }


def test_what_does_not_fit_is_refused_in_one_line():
    module = SequenceClassifier(3, 5)
    refused = [
        (lambda: module(torch.zeros(4, 6)), r"x: found shape \(4, 6\), expected \(cases, steps, 3\)"),
        (lambda: module(torch.zeros(4, 0, 3)), "x: found 0 steps"),
        (lambda: module(torch.zeros(4, 6, 3), [7, 1, 1, 1]), "lengths"),
        (lambda: SequenceClassifier(3, classes=0), "classes: found 0"),
        (lambda: SequenceClassifier(3, layers=0), "layers: found 0"),
        (lambda: SequenceClassifier(3, pool="meen"), "did you mean 'mean'"),
        (lambda: SequenceClassifier(3, head="norml"), "did you mean 'normal'"),
        (lambda: SequenceClassifier(3, dropout=1.0), "dropout: found 1.0"),
    ]
    for call, expected in refused:
        with pytest.raises(InputError, match=expected) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("pool", POOLS)
def test_chunks_hand_the_state_on_and_end_the_gradient(pool, layers):
    whole = network(pool=pool, layers=layers)
    x = torch.randn(4, 11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([11, 6, 1, 4])
    expected = whole(x, lengths)
    for chunk in (1, 4, 5, 11, 100):
        whole.chunk = chunk
        torch.testing.assert_close(whole(x, lengths), expected, rtol=0, atol=0)
        torch.testing.assert_close(whole.steps(x, lengths)[0, -1], whole(x, lengths)[0], rtol=1e-12, atol=1e-12)
    whole.chunk = 4
    for case, length in enumerate(lengths.tolist()):
        given = x.clone().requires_grad_()
        (h,) = torch.autograd.grad(whole.encode(given, lengths)[1][case].sum(), given)
        reached = (h[case].abs().sum(1) > 0).nonzero()[:, 0].tolist()
        assert reached == list(range((length - 1) // 4 * 4, length))  # its own chunk alone


def test_the_gradient_of_chunks_is_that_of_their_states_held_fast():
    module = network(pool="mean")
    x = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    module.chunk = 3
    found = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    (layer,) = module.forward_layers
    state, parts = None, []
    for part in x.split(3, 1):
        outputs, (c, h) = layer(part, None, state)
        state = (c.detach(), h.detach())
        parts.append(outputs)
    by_hand = torch.cat(parts, 1).mean(1) @ module.weights + module.biases
    expected = torch.autograd.grad(by_hand.square().sum(), list(module.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    module.chunk = 0
    unlike = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    assert max((one - other).abs().max() for one, other in zip(unlike, found, strict=True)) > 1e-3


def test_chunks_of_a_network_that_reads_backward_are_refused():
    with pytest.raises(
        InputError, match="chunk: found 5 steps, expected 0 or more, and 0 for a network that reads back"
    ):
        SequenceClassifier(3, bidirectional=True, chunk=5)
    with pytest.raises(InputError, match="chunk: found -1"):
        SequenceClassifier(3, chunk=-1)
