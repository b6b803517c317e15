"""`modules.GRU`: PyTorch's own class is the judge, every option crossed with every other."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from quadgate.modules import GRU

C, H = 4, 5


def pair(dtype=torch.float64, **options):
    layers = []
    for kind in (nn.GRU, GRU):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dropout with one layer
            layers.append(kind(C, H, **options, dtype=dtype))
    return layers


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_outputs_states_and_gradients_are_pytorchs(data):
    options = {
        "num_layers": data.draw(st.integers(1, 3), "layers"),
        "bias": data.draw(st.booleans(), "bias"),
        "batch_first": data.draw(st.booleans(), "batch_first"),
        "dropout": data.draw(st.sampled_from([0.0, 0.4]), "dropout"),
        "bidirectional": data.draw(st.booleans(), "bidirectional"),
    }
    theirs, ours = pair(**options)
    assert repr(theirs) == repr(ours)
    assert all(map(torch.equal, theirs.state_dict().values(), ours.state_dict().values()))
    N, T = data.draw(st.integers(1, 4), "N"), data.draw(st.integers(1, 6), "T")
    kind = data.draw(st.sampled_from(["batch", "unbatched", "packed"]), "kind")
    x = torch.randn((N, T, C) if options["batch_first"] else (T, N, C), dtype=torch.float64)
    count = options["num_layers"] * (2 if options["bidirectional"] else 1)
    hx = torch.randn(count, N, H, dtype=torch.float64) if data.draw(st.booleans(), "state") else None
    if kind == "unbatched":
        x, hx = x[0] if options["batch_first"] else x[:, 0], None if hx is None else hx[:, 0]
    if kind == "packed":
        lengths = data.draw(st.lists(st.integers(1, T), min_size=N, max_size=N), "lengths")
        x = pack_padded_sequence(x, lengths, options["batch_first"], enforce_sorted=False)
    results = []
    for layer in (theirs, ours):
        torch.manual_seed(5)
        output, h = layer(x, hx)
        output = output.data if isinstance(output, PackedSequence) else output
        ((output**2).sum() + 2 * (h**2).sum()).backward()
        results.append((output, h, *(one.grad for one in layer.parameters())))
    torch.testing.assert_close(results[1], results[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "hx"),
    [
        (torch.zeros(3, 2, C + 1), None),
        (torch.zeros(3, 2, C).double(), None),
        (torch.zeros(3), None),
        (torch.zeros(0, 2, C), None),
        (torch.zeros(3, 2, C), torch.zeros(1, 3, H)),
        (torch.zeros(3, 2, C), torch.zeros(2, H)),
        (torch.zeros(3, C), torch.zeros(1, 2, H)),
    ],
)
def test_wrong_input_is_refused_in_pytorchs_words(x, hx):
    refusals = []
    for layer in pair(torch.float32):
        with pytest.raises((RuntimeError, ValueError)) as refused:
            layer(x, hx)
        refusals.append((refused.type, str(refused.value)))
    assert refusals[0] == refusals[1]


def test_lengths_are_those_of_a_packed_sequence():
    _, ours = pair(num_layers=2, bidirectional=True)
    x = torch.randn(6, 3, C, dtype=torch.float64)
    packed = pack_padded_sequence(x, [2, 6, 1], enforce_sorted=False)
    expected, state = ours(packed)
    found, final = ours(x, lengths=[2, 6, 1])
    assert torch.equal(found, pad_packed_sequence(expected)[0])
    assert torch.equal(final, state)


@pytest.mark.slow
def test_compiles_to_one_graph():
    _, ours = pair(torch.float32, num_layers=2)
    x = torch.randn(3, 4, C)
    found, _ = torch.compile(ours, fullgraph=True, backend="aot_eager")(x)
    assert torch.equal(found, ours(x)[0])
