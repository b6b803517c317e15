"""`modules.GRU`: PyTorch's own class is the judge, every option crossed with every other."""

import copy
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules import GRU, GRUCell

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


def normalised(values, layer, place):
    deviation = values - values.mean(1, keepdim=True)
    scaled = deviation / torch.sqrt((deviation**2).mean(1, keepdim=True) + 1e-5)
    return scaled * layer.weight_ln_l0[place] + layer.bias_ln_l0[place]


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("zoneout", [0.0, 0.3])
@pytest.mark.parametrize("functions", [("sigmoid", "tanh"), ("hard_sigmoid", "relu")])
def test_options_are_those_of_the_equations(layer_norm, zoneout, functions):
    torch.manual_seed(1)
    options = {"layer_norm": layer_norm, "zoneout": zoneout, "activations": Activations(*functions)}
    layer = GRU(C, H, **options, dtype=torch.float64).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    x, h = torch.randn(4, 2, C, dtype=torch.float64), torch.randn(2, H, dtype=torch.float64)
    output, _ = layer(x, h[None])
    gate = {"sigmoid": torch.sigmoid, "hard_sigmoid": lambda z: torch.clamp(0.2 * z + 0.5, 0, 1)}[functions[0]]
    candidate = {"tanh": torch.tanh, "relu": torch.relu}[functions[1]]
    for t in range(4):
        r_x, z_x, n_x = (x[t] @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, 1)  # PyTorch's order
        r_h, z_h, n_h = (h @ layer.weight_hh_l0.T + layer.bias_hh_l0).chunk(3, 1)
        sums = z_x + z_h, r_x + r_h, n_x, n_h
        if layer_norm:
            sums = tuple(normalised(one, layer, place) for place, one in enumerate(sums))
        z, r, n_x, n_h = sums
        n = candidate(n_x + gate(r) * n_h)
        h = zoneout * h + (1 - zoneout) * (gate(z) * h + (1 - gate(z)) * n)
        torch.testing.assert_close(output[t], h, rtol=1e-11, atol=1e-12)


@given(
    layer_norm=st.booleans(),
    zoneout=st.sampled_from([0.0, 0.3]),
    activations=st.sampled_from([Activations(), Activations("hard_sigmoid", "linear")]),
    bias=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_steps_of_a_cell_are_those_of_the_layer_with_its_options(bias, **options):
    torch.manual_seed(3)
    layer = GRU(C, H, bias=bias, dtype=torch.float64, **options).eval()
    cell = GRUCell(C, H, bias=bias, dtype=torch.float64, **options).eval()
    with torch.no_grad():
        for one in layer.parameters():
            one.normal_()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x, start = torch.randn(5, 3, C, dtype=torch.float64), torch.randn(3, H, dtype=torch.float64)
    outputs, _ = layer(x, start[None])
    h = start
    for step, output in zip(x, outputs, strict=True):
        h = cell(step, h)
        torch.testing.assert_close(h, output, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(cell(x[0, 1], start[1]), outputs[0, 1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(cell(x[0]), layer(x[:1])[0][0], rtol=1e-9, atol=1e-9)
    grads = torch.autograd.grad(h.sum(), list(cell.parameters()))
    expected = torch.autograd.grad(outputs[-1].sum(), list(layer.parameters()))
    for one, other in zip(grads, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("option", [{"layer_norm": True}, {"zoneout": 0.4}])
def test_step_by_step_lengths_and_directions_are_those_of_each_case_alone(option):
    torch.manual_seed(0)
    layer = GRU(C, H, num_layers=2, bidirectional=True, dtype=torch.float64, **option).eval()
    x, lengths = torch.randn(6, 3, C, dtype=torch.float64), [2, 6, 1]
    outputs, h = layer(x, lengths=lengths)
    for case, length in enumerate(lengths):
        alone, last = layer(x[:length, case])
        torch.testing.assert_close(outputs[:length, case], alone)
        torch.testing.assert_close(h[:, case], last)
        assert not outputs[length:, case].any()


def test_zoneout_keeps_the_share_it_says():
    layer = GRU(C, 200, zoneout=0.7)
    torch.manual_seed(0)
    outputs, _ = layer(torch.randn(20, 4, C))
    kept = (outputs[1:] == outputs[:-1]).double().mean().item()
    assert abs(kept - 0.7) < 0.01


def test_recurrent_dropout_has_one_mask_for_the_sequence():
    layer = GRU(1, 3, recurrent_dropout=0.5, bias=False, dtype=torch.float64)
    plain = nn.GRU(1, 3, bias=False, dtype=torch.float64)
    x, seen = torch.ones(6, 1, 1, dtype=torch.float64), set()
    for seed in range(20):
        torch.manual_seed(seed)
        found = layer(x)[0]
        torch.manual_seed(seed)
        mask = nn.functional.dropout(torch.ones(1, 3, dtype=torch.float64), 0.5)
        seen.add(tuple(mask[0].tolist()))
        plain.load_state_dict(layer.state_dict())
        with torch.no_grad():
            plain.weight_hh_l0.mul_(mask)
        torch.testing.assert_close(found, plain(x)[0])
    assert len(seen) > 4
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer.eval()(x)[0], plain(x)[0])


@pytest.mark.parametrize("made", [GRU, GRUCell])
def test_options_are_said_refused_and_reset(made):
    layer = made(C, H, layer_norm=True, zoneout=0.5)
    assert repr(layer) == f"{made.__name__}({C}, {H}, layer_norm=True, zoneout=0.5)"
    layer.reset_parameters()
    norms = {name: value for name, value in layer.named_parameters() if "_ln" in name}
    assert [bool((value == name.startswith("weight")).all()) for name, value in norms.items()] == [True, True]
    for zoneout in (1.0, (0.1, 0.1), float("nan"), -0.1):
        with pytest.raises(InputError, match=r"zoneout: found .*, expected a share"):
            made(C, H, zoneout=zoneout)
    with pytest.raises(InputError, match=r"activations.cell: found 'tanhh'.*did you mean 'tanh'"):
        made(C, H, activations=Activations(cell="tanhh"))
    for option in ("forget_bias", "peepholes", "cell_clip"):  # of a cell state, which a GRU has not
        with pytest.raises(TypeError, match=option):
            made(C, H, **{option: 1.0})


def test_copies_compute_the_same():
    ours = GRU(C, H, num_layers=2, layer_norm=True, zoneout=0.2).eval()
    x = torch.randn(3, 2, C)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(other(x)[0], ours(x)[0])


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_cell_is_pytorchs(batched, with_state):
    torch.manual_seed(0)
    theirs = nn.GRUCell(C, H)
    torch.manual_seed(0)
    ours = GRUCell(C, H)
    assert repr(theirs) == repr(ours)
    cases = (3,) if batched else ()
    x, hx = torch.randn(*cases, C), torch.randn(*cases, H) if with_state else None
    assert torch.equal(ours(x, hx), theirs(x, hx))


@pytest.mark.slow
def test_compiles_to_one_graph():
    _, ours = pair(torch.float32, num_layers=2)
    x = torch.randn(3, 4, C)
    found, _ = torch.compile(ours, fullgraph=True, backend="aot_eager")(x)
    assert torch.equal(found, ours(x)[0])
