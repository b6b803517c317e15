"""Directions side by side, layers one behind the other: the bits of each layer alone, forward and back."""

import itertools
import weakref

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from quadgate.modules import GRU, LSTM, together
from quadgate.modules.stack import Part

C, H = 3, 11


@pytest.fixture
def threads(monkeypatch):
    return lambda number: monkeypatch.setenv("QUADGATE_NUM_THREADS", str(number))


@pytest.fixture
def ran(monkeypatch):
    """The numbers of calls that ran in a wavefront."""
    counts, run = [], together.run_behind
    monkeypatch.setattr(together, "run_behind", lambda calls, threads: counts.append(len(calls)) or run(calls, threads))
    return counts


def flat(found):
    if found is None:
        return []
    return [found] if isinstance(found, torch.Tensor) else [one for part in found for one in flat(part)]


def same(found, expected):
    for one, other in zip(flat(found), flat(expected), strict=True):
        assert torch.equal(one, other)


def of_direction(layer, reverse):
    """The layer of one direction alone, which shares its parameters."""
    alone = type(layer)(C, H, dtype=layer.weight_ih_l0.dtype)
    for name in list(alone._parameters):
        setattr(alone, name, getattr(layer, f"{name}_reverse" if reverse else name))
    return alone


def backwards(x, lengths):
    turned = torch.zeros_like(x)
    for case, length in enumerate(lengths):
        turned[:length, case] = x[:length, case].flip(0)
    return turned


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize(("N", "T"), [(1, 37), (2, 5), (19, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_directions_have_the_bits_of_each_alone(kind, N, T, dtype, threads):
    torch.manual_seed(N)
    layer = kind(C, H, bidirectional=True, dtype=dtype)
    lengths = torch.randint(0, T + 1, (N,))
    lengths[0] = T
    x = torch.randn(T, N, C, dtype=dtype, requires_grad=True)
    d = torch.randn(T, N, 2 * H, dtype=dtype)
    weights = [x, *layer.parameters()]
    threads(1)
    expected = []
    for reverse, d_out in zip((False, True), d.split(H, 2), strict=True):
        given = backwards(x, lengths) if reverse else x
        outputs, _ = of_direction(layer, reverse)(given, lengths=lengths)
        expected.append(backwards(outputs, lengths) if reverse else outputs)
        (expected[-1] * d_out).sum().backward(retain_graph=True)
    expected_gradients = [one.grad for one in weights]
    for number in (1, 2, 3):
        threads(number)
        for one in weights:
            one.grad = None
        outputs, _ = layer(x, lengths=lengths)
        same(outputs, torch.cat(expected, 2))
        with torch.no_grad():
            same(layer(x, lengths=lengths)[0], outputs)
        (outputs * d).sum().backward()
        same([one.grad for one in weights], expected_gradients)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_one_direction_alone_may_be_asked_for_or_frozen(kind, threads):
    threads(2)
    layer = kind(C, H, bidirectional=True, dtype=torch.float64)
    x = torch.randn(6, 2, C, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]
    parts = [Part(suffix, x, None, None, suffix != "_l0", False) for suffix in ("_l0", "_l0_reverse")]
    _, finals, _ = layer._beside(parts)
    found = torch.autograd.grad(flat(finals[0])[0].sum(), list(layer.parameters()), allow_unused=True)
    assert [one is None for one in found] == [name.endswith("_reverse") for name in names]
    same(found[:4], torch.autograd.grad(layer(x)[0][-1, :, :H].sum(), list(layer.parameters()))[:4])
    for name, one in layer.named_parameters():
        one.requires_grad_(not name.endswith("_reverse"))
    layer(x)[0].sum().backward()
    assert [one.grad is None for one in layer.parameters()] == [name.endswith("_reverse") for name in names]
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_a_graph_that_nobody_holds_is_gone(kind, bidirectional, backward):
    outputs, final = kind(C, H, bidirectional=bidirectional)(torch.randn(5, 2, C))
    if backward:
        outputs.sum().backward()
    node = outputs.grad_fn.next_functions[0][0]  # below that of the copy which is handed out
    graph = weakref.ref(node)
    assert "Differentiable" in type(node).__name__
    del outputs, final, node
    assert graph() is None


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize("layers", [2, 3, 5])
@pytest.mark.parametrize("T", [32, 33, 97])
def test_a_stack_as_a_wavefront_has_the_bits_of_layer_after_layer(kind, layers, T, threads, ran):
    torch.manual_seed(T)
    layer = kind(C, H, num_layers=layers)
    x, state = torch.randn(T, 1, C), torch.randn(layers, 1, H)
    hx = (state, -state) if kind is LSTM else state
    for number, given, lengths in itertools.product((2, 3, 7), (None, hx), (None, [T], [17], [0])):
        threads(1)
        with torch.no_grad():
            expected = layer(x, given, lengths=lengths)
        assert not ran
        threads(number)
        same(layer(x, given, lengths=lengths), expected)  # with a gradient to come: layer after layer
        assert not ran
        for _ in range(3):
            with torch.no_grad():
                same(layer(x, given, lengths=lengths), expected)
        assert ran == [layers] * 3
        ran.clear()


def test_every_option_that_the_kernels_have_runs_as_a_wavefront(threads, ran):
    layer = LSTM(
        C,
        H,
        num_layers=3,
        batch_first=True,
        proj_size=4,
        bias=False,
        peepholes=True,
        forget_bias=1,
        cell_clip=0.3,
        projection_clip=0.2,
        dropout=0.5,
        dtype=torch.float64,
    ).eval()
    x = torch.randn(1, 50, C, dtype=torch.float64)
    packed = pack_padded_sequence(x, [41], batch_first=True)
    with torch.inference_mode():
        threads(1)
        expected = [layer(x), layer(x[0]), layer(packed)]
        threads(2)
        same([layer(x), layer(x[0]), layer(packed)], expected)
    assert ran == [3, 3, 3]


def test_no_wavefront_where_it_gains_nothing_or_is_not_to_be_had(threads, ran):
    threads(2)
    layer = LSTM(C, H, num_layers=2, dropout=0.5)
    with torch.no_grad():
        layer(torch.randn(50, 1, C))  # training: dropout between the layers
        layer.eval()
        layer(torch.randn(50, 2, C))  # as many cases as threads
        layer(torch.randn(31, 1, C))  # too short
        layer(torch.randn(50, 1, C), cells=True)  # step by step
        LSTM(C, H, num_layers=2, bidirectional=True)(torch.randn(50, 1, C))  # a layer reads both directions
        LSTM(C, H, num_layers=2, dtype=torch.bfloat16)(torch.randn(50, 1, C, dtype=torch.bfloat16))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer(torch.randn(50, 1, C))
    layer(torch.randn(50, 1, C, requires_grad=True))
    assert not ran
    for weight in layer.parameters():
        weight.requires_grad_(False)
    layer(torch.randn(50, 1, C))
    assert ran == [2]


def test_a_wrong_shape_is_refused_as_ever(threads):
    threads(2)
    layer = LSTM(C, H, num_layers=2)
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"input\.size"):
        layer(torch.randn(50, 1, C + 1))
