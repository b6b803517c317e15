"""`modules.LSTM` and `LSTMCell`: PyTorch's own classes are the judge, every option crossed with every other."""

import copy
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradgradcheck
from torch.export import Dim, export
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils._pytree import tree_leaves

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules import GRU, LSTM, GRUCell, LSTMCell
from quadgate.modules.placement import _placement

C, H = 4, 5


def pair(seed=0, dtype=torch.float64, **options):
    """PyTorch's layer and ours, each made from the same seed."""
    layers = []
    for kind in (nn.LSTM, LSTM):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dropout with one layer
            layers.append(kind(C, H, **options, dtype=dtype))
    return layers


def flat(result):
    output, (h, c) = result
    return (output.data if isinstance(output, PackedSequence) else output), h, c


def run(layer, x, hx=None, seed=5):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections")
        return layer(x, hx)


@st.composite
def options_of(draw):
    return {
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "dropout": draw(st.sampled_from([0.0, 0.0, 0.4, 1.0])),
        "bidirectional": draw(st.booleans()),
        "proj_size": draw(st.sampled_from([0, 1, 3])),
    }


def inputs_of(data, options):
    """A batch of any kind that PyTorch takes, and a starting state or none."""
    N, T = data.draw(st.integers(1, 5), "N"), data.draw(st.integers(1, 6), "T")
    kind = data.draw(st.sampled_from(["batch", "unbatched", "packed", "packed, sorted"]), "kind")
    rng = torch.Generator().manual_seed(data.draw(st.integers(0, 99), "seed"))

    def numbers(*shape):
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    count = options["num_layers"] * (2 if options["bidirectional"] else 1)
    cases = () if kind == "unbatched" else (N,)
    state = numbers(count, *cases, options["proj_size"] or H), numbers(count, *cases, H)
    hx = state if data.draw(st.booleans(), "with a state") else None
    if kind == "unbatched":
        return numbers(T, C), hx
    x = numbers(N, T, C) if options["batch_first"] else numbers(T, N, C)
    if kind == "batch":
        return x, hx
    lengths = data.draw(st.lists(st.integers(1, T), min_size=N, max_size=N), "lengths")
    lengths = sorted(lengths, reverse=True) if "sorted" in kind else lengths
    return pack_padded_sequence(x, lengths, options["batch_first"], enforce_sorted="sorted" in kind), hx


@settings(max_examples=80, deadline=None)
@given(options=options_of(), data=st.data())
def test_outputs_states_and_gradients_are_pytorchs(options, data):
    theirs, ours = pair(**options)
    x, hx = inputs_of(data, options)
    training = data.draw(st.booleans(), "training")
    expected, found = run(theirs.train(training), x, hx), run(ours.train(training), x, hx)
    if isinstance(x, PackedSequence):
        for one, other in zip(found[0][1:], expected[0][1:], strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.equal(one, other)
    torch.testing.assert_close(flat(found), flat(expected), rtol=1e-10, atol=1e-12)
    for results in (found, expected):
        sum((one**2).sum() * (k + 1) for k, one in enumerate(flat(results))).backward()
    for (name, one), other in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-9, atol=1e-12, msg=name)


@settings(max_examples=20, deadline=None)
@given(options=options_of())
def test_the_same_seed_gives_the_same_parameters_names_and_text(options):
    theirs, ours = pair(**options)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    assert all(map(torch.equal, theirs.state_dict().values(), ours.state_dict().values()))
    assert repr(theirs) == repr(ours)
    _, other = pair(seed=1, **options)
    other.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(other.state_dict())
    assert [tuple(map(id, one)) for one in ours.all_weights] == [tuple(map(id, one)) for one in ours.all_weights]


@pytest.mark.parametrize("remake", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_compute_the_same(remake):
    ours = LSTM(C, H, num_layers=2, peepholes=True, forget_bias=1.0)
    other = remake(ours)
    x = torch.randn(3, 2, C)
    assert torch.equal(other(x)[0], ours(x)[0])
    assert other.weight_ch_l1 is not ours.weight_ch_l1
    assert repr(other) == repr(ours) == "LSTM(4, 5, num_layers=2, forget_bias=1.0, peepholes=True)"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_type(dtype):
    theirs, ours = pair(dtype=dtype, num_layers=2, bidirectional=True)
    x = torch.randn(6, 3, C).to(dtype)
    expected = flat(theirs.double()(x.double()))
    found = flat(ours(x))
    assert {one.dtype for one in found} == {dtype}
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-6}[dtype]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=tolerance)


def test_autocast_gives_pytorchs_types():
    theirs, ours = pair(dtype=torch.float32, num_layers=2)
    x = torch.randn(6, 3, C)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = flat(ours(x))
        try:
            expected = flat(theirs(x))
        except RuntimeError:  # PyTorch has no such LSTM on a processor without AVX-512
            expected = None
    if expected is None:
        expected = [one.to(torch.bfloat16) for one in flat(theirs(x))]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=2e-2)


def test_second_derivatives():
    _, ours = pair(num_layers=2, bidirectional=True, proj_size=2)
    x = torch.randn(3, 2, C, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(lambda x: flat(ours(x)), (x,), fast_mode=True)


def test_functional_call():
    _, ours = pair(num_layers=2)
    _, other = pair(seed=1, num_layers=2)
    x = torch.randn(3, 2, C, dtype=torch.float64)
    found = torch.func.functional_call(ours, dict(other.named_parameters()), (x,))
    assert torch.equal(found[0], other(x)[0])


@pytest.mark.parametrize(
    ("x", "hx"),
    [
        (torch.zeros(3, 2, C + 1), None),
        (torch.zeros(3, 2, C).double(), None),
        (torch.zeros(3), None),
        (torch.zeros(1, 3, 2, C), None),
        (torch.zeros(0, 2, C), None),
        (torch.zeros(3, 2, C), (torch.zeros(1, 2, H), torch.zeros(1, 2, H + 1))),
        (torch.zeros(3, 2, C), (torch.zeros(1, 3, H), torch.zeros(1, 2, H))),
        (torch.zeros(3, 2, C), (torch.zeros(2, H), torch.zeros(2, H))),
        (torch.zeros(3, C), (torch.zeros(1, 2, H), torch.zeros(1, 2, H))),
    ],
)
def test_wrong_input_is_refused_in_pytorchs_words(x, hx):
    refusals = []
    for layer in pair(dtype=torch.float32):
        with pytest.raises((RuntimeError, ValueError)) as refused:
            layer(x, hx)
        refusals.append((refused.type, str(refused.value)))
    assert refusals[0] == refusals[1]


IN_PLACE = {
    "add": lambda outputs: outputs.add_(torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)),
    "dropout": nn.Dropout(0.5, inplace=True),
    "masked fill": lambda outputs: outputs.masked_fill_(torch.arange(outputs.shape[1])[:, None] == 1, 0.0),
    "multiply": lambda outputs: outputs.mul_(2),
    "part": lambda outputs: outputs[1:].exp_(),
    "relu": nn.ReLU(inplace=True),
}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 4])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kinds", [(nn.LSTM, LSTM), (nn.GRU, GRU)])
def test_outputs_may_be_written_to_before_the_way_back(kinds, bidirectional, num_layers, batch_first):
    # In float64, where PyTorch's LSTM in one direction takes no kernel that refuses it.
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "batch_first": batch_first}
    theirs, ours = (kind(C, 17, **options, dtype=torch.float64) for kind in kinds)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(5, 3, C, dtype=torch.float64, requires_grad=True)
    for change in IN_PLACE.values():
        found = []
        for layer in (ours, theirs):
            outputs, state = layer(x)
            torch.manual_seed(3)
            change(outputs)
            states = state if isinstance(state, tuple) else (state,)
            for one in states:
                one.mul_(3)
            loss = (outputs * torch.linspace(1, 2, outputs.numel(), dtype=x.dtype).view_as(outputs)).sum()
            loss = loss + sum(one.square().sum() for one in states)
            found.append((outputs, *torch.autograd.grad(loss, [x, *layer.parameters()])))
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("kind", "asked"), [(LSTM, {}), (LSTM, {"cells": True}), (GRU, {})])
def test_outputs_of_a_layer_step_by_step_may_be_written_to(kind, asked, bidirectional):
    layer = kind(C, H, layer_norm=True, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(5, 3, C, dtype=torch.float64, requires_grad=True)
    gradients = []
    for in_place in (True, False):
        outputs, _, *cells = layer(x, **asked)
        given = [one.mul_(2) if in_place else one * 2 for one in (outputs, *cells)]
        gradients.append(torch.autograd.grad(sum(one.square().sum() for one in given), [x, *layer.parameters()]))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize(
    "options",
    [{"layer_norm": True}, {"zoneout": 0.1}, {"recurrent_dropout": 0.1}, {"activations": Activations("relu")}],
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_no_steps_are_refused_whatever_the_options(kind, options, batch_first):
    layer = kind(C, H, batch_first=batch_first, **options)
    x = torch.zeros((2, 0, C) if batch_first else (0, 2, C))
    for lengths in (None, [0, 0]):
        with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
            layer(x, lengths=lengths)


def test_an_empty_batch():
    theirs, ours = pair(dtype=torch.float32)
    for one, other in zip(flat(theirs(torch.zeros(3, 0, C))), flat(ours(torch.zeros(3, 0, C))), strict=True):
        assert one.shape == other.shape


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_are_those_of_a_packed_sequence(batch_first, bidirectional):
    _, ours = pair(num_layers=2, batch_first=batch_first, bidirectional=bidirectional)
    lengths = [2, 6, 1]
    x = torch.randn(3, 6, C, dtype=torch.float64)
    for case, length in enumerate(lengths):
        x[case, length:] = torch.nan
    x = x if batch_first else x.transpose(0, 1)
    packed = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    expected, state = ours(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first)
    for given_as in (lengths, torch.tensor(lengths)):
        found, final = ours(x, lengths=given_as)
        assert torch.equal(found, expected)
        assert all(map(torch.equal, final, state))
    with pytest.raises(InputError, match="lengths: found beside a PackedSequence"):
        ours(packed, lengths=lengths)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_options_of_the_cell_step_by_step(data):
    """The kernels against the same options where they run as a loop, which `cells` asks for."""
    options = {
        "num_layers": data.draw(st.integers(1, 2), "layers"),
        "bidirectional": data.draw(st.booleans(), "bidirectional"),
        "proj_size": data.draw(st.sampled_from([0, 3]), "proj_size"),
        "peepholes": data.draw(st.booleans(), "peepholes"),
        "forget_bias": data.draw(st.sampled_from([0.0, 1.0]), "forget_bias"),
        "cell_clip": data.draw(st.sampled_from([None, 0.3]), "cell_clip"),
        "activations": Activations(*data.draw(st.sampled_from([("sigmoid",), ("hard_sigmoid", "relu", "linear")]))),
    }
    options["projection_clip"] = 0.2 if options["proj_size"] and data.draw(st.booleans(), "projection_clip") else None
    torch.manual_seed(3)
    layer = LSTM(C, H, **options, dtype=torch.float64)
    x, lengths = torch.randn(4, 3, C, dtype=torch.float64), [4, 0, 2]
    output, (h, c) = layer(x, lengths=lengths)
    other, state, cells = layer(x, lengths=lengths, cells=True)
    torch.testing.assert_close((output, h, c), (other, *state), rtol=1e-11, atol=1e-12)
    assert cells.shape == (4, 3, H * (2 if options["bidirectional"] else 1))
    assert torch.equal(cells[3, 0, :H], state[1][-2 if options["bidirectional"] else -1, 0])


def test_layer_norm_is_that_of_the_equations():
    layer = LSTM(C, H, layer_norm=True, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ln_l0.uniform_(0.5, 2)
        layer.bias_ln_l0.normal_()
    x = torch.randn(4, 2, C, dtype=torch.float64)
    output, _ = layer(x)
    h = c = torch.zeros(2, H, dtype=torch.float64)

    def norm(values, place):
        deviation = values - values.mean(1, keepdim=True)
        scaled = deviation / torch.sqrt((deviation**2).mean(1, keepdim=True) + 1e-5)
        return scaled * layer.weight_ln_l0[place] + layer.bias_ln_l0[place]

    for t in range(4):
        z = x[t] @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        i, f, j, o = z.chunk(4, 1)  # PyTorch's order
        i, j, f, o = (norm(one, place) for place, one in enumerate((i, j, f, o)))
        c = norm(c * torch.sigmoid(f) + torch.sigmoid(i) * torch.tanh(j), 4)
        h = torch.sigmoid(o) * torch.tanh(c)
        torch.testing.assert_close(output[t], h, rtol=1e-11, atol=1e-12)


def test_zoneout_keeps_the_share_it_says():
    torch.manual_seed(0)
    layer = LSTM(C, 200, zoneout=(0.7, 0.0), dtype=torch.float64)  # in float32 two neighbours may be alike by chance
    *_, cells = layer(torch.randn(20, 4, C, dtype=torch.float64), cells=True)
    kept = (cells[1:] == cells[:-1]).double().mean().item()
    assert abs(kept - 0.7) < 0.01
    layer.eval()
    *_, cells = layer(torch.randn(20, 4, C, dtype=torch.float64), cells=True)
    assert not (cells[1:] == cells[:-1]).any()


def test_recurrent_dropout_has_one_mask_for_the_sequence():
    layer = LSTM(1, 3, recurrent_dropout=0.5, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(0.5)
    x = torch.ones(6, 1, 1, dtype=torch.float64)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        found = layer(x)[0]
        torch.manual_seed(seed)
        mask = nn.functional.dropout(torch.ones(1, 3, dtype=torch.float64), 0.5)
        seen.add(tuple(mask[0].tolist()))
        plain = nn.LSTM(1, 3, bias=False, dtype=torch.float64)
        plain.load_state_dict(layer.state_dict())
        with torch.no_grad():
            plain.weight_hh_l0.mul_(mask)
        torch.testing.assert_close(found, plain(x)[0])
    assert len(seen) > 4
    layer.eval()
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x)[0], plain(x)[0])


def test_options_outside_their_range_are_refused():
    with pytest.raises(InputError, match=r"zoneout: found 1.0, expected a share"):
        LSTM(C, H, zoneout=1.0)
    with pytest.raises(InputError, match=r"activations.gate: found 'sigmod'.*did you mean 'sigmoid'"):
        LSTM(C, H, activations=Activations("sigmod"))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True, "proj_size": 2}])
def test_compiles_to_one_graph(options):
    _, ours = pair(dtype=torch.float32, **options)
    x = torch.randn(3, 4, C)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    found, expected = flat(compiled(x)), flat(ours(x))
    assert all(map(torch.equal, found, expected))
    gradients = torch.autograd.grad(found[0].sum(), list(ours.parameters()))
    assert all(map(torch.equal, gradients, torch.autograd.grad(expected[0].sum(), list(ours.parameters()))))


RELU = {"activations": Activations(cell="relu")}
OPTIONS = [
    *((kind, {}, {"lengths": torch.tensor([2, 1])}) for kind in (LSTM, GRU)),
    *((kind, RELU, {}) for kind in (LSTM, LSTMCell, GRU, GRUCell)),
    *((kind, {"forget_bias": 1.0, "peepholes": True, "cell_clip": 0.5}, {}) for kind in (LSTM, LSTMCell)),
    (LSTM, {"proj_size": 2, "projection_clip": 0.1}, {}),
    *((kind, {"layer_norm": True}, {}) for kind in (LSTM, LSTMCell, GRU, GRUCell)),
    *((kind, {"zoneout": 0.3}, {}) for kind in (LSTM, LSTMCell, GRU, GRUCell)),
    *((kind, {"recurrent_dropout": 0.3}, {}) for kind in (LSTM, GRU)),
    (LSTM, {}, {"cells": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options", "asked"), OPTIONS)
def test_every_option_compiles_to_one_graph_before_any_plain_run(kind, options, asked):
    _placement.cache_clear()  # what a plain run would leave behind
    torch.compiler.reset()
    layer = kind(C, H, **options)
    x = torch.randn(2, C) if kind in (LSTMCell, GRUCell) else torch.randn(2, 2, C)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    results = []
    for run in (compiled, layer):
        torch.manual_seed(1)
        found = [one for one in tree_leaves(run(x, **asked)) if one.requires_grad]
        results.append((found, torch.autograd.grad(sum(one.sum() for one in found), list(layer.parameters()))))
    torch.testing.assert_close(*results)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_exports_with_any_number_of_cases_and_steps(kind):
    torch.manual_seed(0)
    ours = kind(C, H, num_layers=2, bidirectional=True).eval()
    N, T = Dim("N", min=1, max=64), Dim("T", min=1, max=1000)
    lengths = torch.tensor([7, 0, 3])
    program = export(
        ours,
        (torch.randn(7, 3, C), None, lengths),
        dynamic_shapes={"input": {0: T, 1: N}, "hx": None, "lengths": {0: N}},
    ).module()
    compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in ((1, 2, C), (9, 5, C), (9, 1, C), (1, 1, C), (100, 33, C)):
        x, lengths = torch.randn(shape), torch.randint(0, shape[0] + 1, shape[1:2])
        expected = ours(x, lengths=lengths)
        for run in (program, compiled):
            found = run(x, None, lengths)
            assert torch.equal(found[0], expected[0])
            assert all(map(torch.equal, found[1], expected[1]))


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_cell(batched, with_state, bias):
    torch.manual_seed(0)
    theirs = nn.LSTMCell(C, H, bias=bias)
    torch.manual_seed(0)
    ours = LSTMCell(C, H, bias=bias)
    assert repr(theirs) == repr(ours)
    cases = (3,) if batched else ()
    x = torch.randn(*cases, C)
    hx = (torch.randn(*cases, H), torch.randn(*cases, H)) if with_state else None
    assert all(map(torch.equal, ours(x, hx), theirs(x, hx)))
    # A forget bias that is not added while running stands in the bias.
    if bias:
        opened = LSTMCell(C, H, forget_bias=1.5)
        opened.load_state_dict(theirs.state_dict())
        with torch.no_grad():
            theirs.bias_ih[H : 2 * H] += 1.5
        for one, other in zip(opened(x, hx), theirs(x, hx), strict=True):
            torch.testing.assert_close(one, other)


@given(
    peepholes=st.booleans(),
    layer_norm=st.booleans(),
    zoneout=st.sampled_from([0.0, (0.3, 0.1)]),
    cell_clip=st.sampled_from([None, 0.2]),
    forget_bias=st.sampled_from([0.0, 1.0]),
    bias=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_steps_of_a_cell_are_those_of_the_layer_with_its_options(bias, **options):
    torch.manual_seed(3)
    layer = LSTM(C, H, bias=bias, dtype=torch.float64, **options).eval()
    cell = LSTMCell(C, H, bias=bias, dtype=torch.float64, **options).eval()
    with torch.no_grad():
        for one in layer.parameters():
            one.normal_()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = torch.randn(5, 3, C, dtype=torch.float64)
    state = torch.randn(2, 3, H, dtype=torch.float64)
    outputs, _ = layer(x, (state[:1], state[1:]))
    h, c = state
    for step, output in zip(x, outputs, strict=True):
        h, c = cell(step, (h, c))
        torch.testing.assert_close(h, output, rtol=1e-9, atol=1e-9)
    single = cell(x[0, 1], (state[0, 1], state[1, 1]))
    torch.testing.assert_close(single[0], outputs[0, 1], rtol=1e-9, atol=1e-9)
    grads = torch.autograd.grad(h.sum(), list(cell.parameters()))
    expected = torch.autograd.grad(outputs[-1].sum(), list(layer.parameters()))
    for one, other in zip(grads, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_a_cell_says_its_options_and_refuses_a_share_of_one():
    assert (
        repr(LSTMCell(C, H, peepholes=True, zoneout=0.5)) == f"LSTMCell({C}, {H}, peepholes=True, zoneout=(0.5, 0.5))"
    )
    for made in (LSTM, LSTMCell):
        for zoneout in (1.0, (0.0, 1.0), (1.0, 0.0), (0.1, float("nan")), -0.1):
            with pytest.raises(InputError, match=r"zoneout: found \S+, expected a share"):
                made(C, H, zoneout=zoneout)
        with pytest.raises(InputError, match="zoneout: found 3 shares, expected one, or two"):
            made(C, H, zoneout=(0.1, 0.1, 0.1))


@pytest.mark.parametrize("made", [LSTM, LSTMCell])
def test_a_reset_starts_normalisation_as_none(made):
    layer = made(C, H, layer_norm=True)
    layer.reset_parameters()
    norms = {name: value for name, value in layer.named_parameters() if "_ln" in name}
    assert [bool((value == name.startswith("weight")).all()) for name, value in norms.items()] == [True, True]


def test_an_option_that_is_set_later_counts():
    cell, x = LSTMCell(C, H), torch.randn(2, C)
    before = cell(x)[1]
    cell.forget_bias, cell.cell_clip = 1.0, 0.01
    assert cell(x)[1].abs().max() <= 0.01 < before.abs().max()
