"""The operator as PyTorch sees it: gradients of first and second order, compilation, transforms, autocast."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import library
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.fx.experimental.proxy_tensor import make_fx
from torch.profiler import profile
from torch.utils._python_dispatch import TorchDispatchMode

import quadgate
from quadgate.cell import Activations, LSTMParameters
from quadgate.cell import lstm as reference_lstm
from quadgate.cell import lstm_backward as reference_backward
from quadgate.errors import InputError
from quadgate.layouts import LAYOUTS
from quadgate.layouts.blocks import join
from quadgate.layouts.sizes import Sizes
from quadgate.modules import BasicLSTM, operator
from quadgate.modules.placement import Weights, normal
from quadgate.modules.sequence import Cell, lstm_sequence

N, T, C, H = 3, 5, 2, 3


def numbers(dtype=torch.float64, requires_grad=True, scale=0.8):
    generator = torch.Generator().manual_seed(7)

    def draw(*shape):
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)

    tensors = draw(N, T, C), draw(C + H, 4 * H), draw(4 * H), draw(N, H), draw(N, H)
    return [tensor.requires_grad_(requires_grad) for tensor in tensors]


LENGTHS = [None, torch.tensor([5, 0, 2])]
LENGTH_NAMES = ["full", "lengths"]


def flat(x, kernel, bias, c, h, lengths=None, **options):
    outputs, state = quadgate.lstm(x, kernel, bias, (c, h), lengths, **options)
    return outputs, *state


def reference(x, kernel, bias, c, h, lengths=None, reverse=False):
    weights = normal("tf1.BasicLSTMCell", Weights(kernel, bias=bias))
    outputs, state = lstm_sequence(x, weights, Cell(), lengths, (c, h), reverse)
    return outputs, *state


@pytest.mark.parametrize("lengths", LENGTHS, ids=LENGTH_NAMES)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients(lengths, reverse):
    assert gradcheck(lambda *t: flat(*t, lengths, reverse=reverse, forget_bias=0.3), numbers(), fast_mode=True)


@pytest.mark.parametrize("wanted", range(5))
def test_one_gradient_alone_is_that_of_all(wanted):
    tensors = numbers()
    weights = [torch.randn_like(result) for result in flat(*tensors)]

    def gradients(inputs):
        return torch.autograd.grad(flat(*inputs), inputs[wanted], weights)[0]

    alone = [tensor.detach().requires_grad_(k == wanted) for k, tensor in enumerate(tensors)]
    assert torch.equal(gradients(alone), gradients(tensors))


@pytest.mark.parametrize("used", range(3))
def test_a_loss_that_uses_one_result(used):
    tensors = numbers()
    weight = torch.randn_like(flat(*tensors)[used])
    found = torch.autograd.grad(flat(*tensors)[used], tensors, weight)
    expected = torch.autograd.grad(reference(*tensors)[used], tensors, weight)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lengths", LENGTHS, ids=LENGTH_NAMES)
def test_second_derivatives(lengths):
    assert gradgradcheck(lambda *t: flat(*t, lengths), numbers(), fast_mode=True)


def test_third_derivatives_are_those_of_the_loop():
    tensors = numbers()

    def third(function):
        total = sum((result**2).sum() for result in function(*tensors))
        for _ in range(2):
            first = torch.autograd.grad(total, tensors, create_graph=True)
            total = sum((one**2).sum() for one in first)
        return torch.autograd.grad(total, tensors)

    torch.testing.assert_close(third(flat), third(reference), rtol=1e-9, atol=1e-9)


@pytest.fixture
def filled_memory():
    """What is kept for the way back has gaps, and a comparison would read them."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("filled_memory")
@pytest.mark.parametrize("lengths", LENGTHS, ids=LENGTH_NAMES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(lengths, requires_grad):
    x, kernel, bias, c, h = numbers(torch.float32, requires_grad)
    peepholes, projection = torch.randn(3, H), torch.randn(H, 2)
    narrower = kernel[:-1].detach().requires_grad_(requires_grad)
    plain = ("tf1.BasicLSTMCell", 1.0, "sigmoid", "tanh", "tanh", None, None, None)
    clipped = ("tf1.LSTMCell", 0.5, "hard_sigmoid", "relu", "linear", 2.0, 1.0, 0.5)
    for arguments in (
        (x, kernel, None, bias, None, None, None, lengths, c, h, *plain, False, False, 0, requires_grad),
        (x, kernel, None, None, None, None, None, None, None, None, *plain, True, True, 2, True),
        (x, narrower, None, bias, None, peepholes, projection, lengths, c, None, *clipped, True, False, 0, True),
    ):
        library.opcheck(torch.ops.quadgate.lstm.default, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS, ids=LENGTH_NAMES)
def test_compile_gives_one_graph_and_the_same_bits(lengths):
    tensors = numbers(torch.float32)
    compiled = torch.compile(flat, fullgraph=True, backend="aot_eager")
    weights = [torch.randn_like(result) for result in flat(*tensors)]
    found, expected = compiled(*tensors, lengths), flat(*tensors, lengths)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    gradients = torch.autograd.grad(found, tensors, weights)
    for one, other in zip(gradients, torch.autograd.grad(expected, tensors, weights), strict=True):
        assert torch.equal(one, other)


def test_compile_with_a_dynamic_number_of_steps():
    _, kernel, bias, c, h = numbers(torch.float32, requires_grad=False)
    compiled = torch.compile(flat, fullgraph=True, backend="eager", dynamic=True)
    for steps in (4, 7, 9):
        x = torch.randn(N, steps, C)
        assert torch.equal(compiled(x, kernel, bias, c, h)[0], flat(x, kernel, bias, c, h)[0])


def test_func_grad_and_vmap():
    x, kernel, bias, c, h = numbers(requires_grad=False)

    def loss(kernel, x, c, h):
        return sum((result**2).sum() for result in flat(x[None], kernel, bias, c[None], h[None]))

    per_case = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0, 0))(kernel, x, c, h)
    for case in range(N):
        leaf = kernel.clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(leaf, x[case], c[case], h[case]), leaf)
        torch.testing.assert_close(per_case[case], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # PyTorch takes the gradients one by one
def test_a_batch_of_gradients():
    x, kernel, bias, c, h = numbers()
    outputs = flat(x, kernel, bias, c, h)[0]
    directions = torch.randn((3, *outputs.shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    together = torch.autograd.grad(outputs, kernel, directions, is_grads_batched=True, retain_graph=True)[0]
    for one, direction in zip(together, directions, strict=True):
        expected = torch.autograd.grad(outputs, kernel, direction, retain_graph=True)[0]
        torch.testing.assert_close(one, expected, rtol=1e-12, atol=1e-12)
    mapped = torch.func.vmap(lambda d: torch.autograd.grad(outputs, kernel, d, retain_graph=True)[0])(directions)
    torch.testing.assert_close(mapped, together)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # PyTorch's own formulas are made with it
def test_forward_derivatives_are_those_of_the_way_back():
    x, kernel, bias, c, h = numbers(requires_grad=False)
    direction = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with forward_ad.dual_level():
        outputs = flat(x, forward_ad.make_dual(kernel, direction), bias, c, h)[0]
        along = forward_ad.unpack_dual(outputs).tangent.sum()
    leaf = kernel.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(flat(x, leaf, bias, c, h)[0].sum(), leaf)
    torch.testing.assert_close(along, (gradient * direction).sum(), rtol=1e-10, atol=1e-10)


def test_whoever_watches_the_operators_sees_this_one():
    x, kernel, bias, *_ = numbers(torch.float32, requires_grad=False)
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Watch():
        quadgate.lstm(x, kernel, bias)
    assert torch.ops.quadgate.lstm.default in seen

    def outputs(x):
        return quadgate.lstm(x, kernel, bias)[0]

    with profile() as seen_by_profiler:
        quadgate.lstm(x, kernel, bias)
    assert "quadgate::lstm" in {event.key for event in seen_by_profiler.key_averages()}

    other = torch.randn_like(x)
    with pytest.warns(DeprecationWarning, match="jit"):
        traces = torch.jit.trace(outputs, x), make_fx(outputs)(x)
    for traced in traces:
        assert torch.equal(traced(other), outputs(other))

    class Marked(torch.Tensor):
        pass

    assert type(outputs(x.as_subclass(Marked))) is Marked


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_narrow_types_are_computed_in_float32(narrow):
    tensors = numbers(narrow)
    found = flat(*tensors)
    expected = flat(*(tensor.detach().float() for tensor in tensors))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == narrow
        assert torch.equal(one, other.to(narrow))
    assert all(gradient.dtype == narrow for gradient in torch.autograd.grad(found[0].sum(), tensors[:3]))


def test_autocast_computes_in_float32_and_keeps_it():
    x, kernel, bias, c, h = numbers(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, *_ = flat(x.bfloat16(), kernel, bias, c, h)
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, flat(x.bfloat16().float(), kernel, bias, c, h)[0])


def test_strides_and_kinds_of_tensor():
    x, kernel, bias, c, h = numbers(torch.float32, requires_grad=False)
    expected = flat(x, kernel, bias, c, h)
    time_major = x.transpose(0, 1).contiguous().transpose(0, 1)
    spread = x.repeat_interleave(2, -1)[..., ::2]
    transposed = kernel.t().contiguous().t()
    for one in (time_major, spread):
        for found, right in zip(flat(one, transposed, bias, c, h), expected, strict=True):
            assert torch.equal(found, right)
    with torch.inference_mode():
        assert torch.equal(flat(x.clone(), kernel.clone(), bias, c, h)[0], expected[0])


def test_without_state_and_bias_both_are_zero():
    x, kernel, *_ = numbers(torch.float32, requires_grad=False)
    zeros = torch.zeros(N, H)
    outputs, _ = quadgate.lstm(x, kernel)
    assert torch.equal(outputs, flat(x, kernel, torch.zeros(4 * H), zeros, zeros)[0])


def test_lengths_may_be_a_list_and_any_whole_type():
    x, kernel, bias, c, h = numbers(torch.float32, requires_grad=False)
    expected = flat(x, kernel, bias, c, h, torch.tensor([5, 0, 2]))
    for lengths in ([5, 0, 2], torch.tensor([5, 0, 2], dtype=torch.int32), torch.tensor([5, 0, 2], dtype=torch.uint8)):
        for found, right in zip(flat(x, kernel, bias, c, h, lengths), expected, strict=True):
            assert torch.equal(found, right)


@pytest.mark.parametrize("recompute_every", [0, 1, 3, 8])
def test_recomputed_gradients_are_the_same_bits(recompute_every):
    tensors = numbers(torch.float32)
    lengths = torch.tensor([5, 0, 2])

    def gradients(**options):
        results = flat(*tensors, lengths, **options)
        return torch.autograd.grad([(result**2).sum() for result in results], tensors)

    for found, expected in zip(gradients(recompute_every=recompute_every), gradients(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(T, C)}, r"x: found shape \(5, 2\), expected \(cases, steps, 2\)"),
        ({"x": torch.zeros(N, T, C + 1)}, r"x: found shape \(3, 5, 3\)"),
        ({"x": torch.zeros(N, T, C, dtype=torch.float64)}, r"x: found torch.float64, expected torch.float32"),
        (
            {"kernel": torch.zeros(C + H, 4 * H + 1)},
            r"tf1.BasicLSTMCell: found kernel of shape \(5, 13\), expected \(5, 12\): \[C\+H, 4H\]",
        ),
        ({"kernel": torch.zeros(H, 4 * H)}, r"tf1.BasicLSTMCell: .*found kernel \(3, 12\), expected \[C\+H, 4H\]"),
        ({"bias": torch.zeros(H)}, r"tf1.BasicLSTMCell: found bias of shape \(3,\), expected \(12,\)"),
        ({"state": (torch.zeros(N, H), torch.zeros(N, C))}, r"state h: found shape \(3, 2\)"),
        ({"lengths": [5, 6, 1]}, r"lengths: found 6 at case 1, expected 0 to 5"),
        ({"lengths": [5, 1, -1]}, r"lengths: found -1 at case 2, expected 0 to 5"),
        ({"lengths": [5, 1]}, r"lengths: found .*shape \(2,\)"),
        ({"lengths": [5.0, 1.0, 2.0]}, r"lengths: found torch.float32, expected whole numbers"),
        ({"activations": Activations(cell="tan")}, r"activations.cell: found 'tan', .*; did you mean 'tanh'"),
        ({"layout": "torch.nn.LSTM"}, r"recurrent_kernel: found none, expected the tensor that torch.nn.LSTM calls"),
        ({"layout": "torch.LSTM"}, r"layout: found 'torch.LSTM', which is not known; did you mean 'torch.nn.LSTM'"),
        ({"layout": "flax.linen.LSTMCell"}, r"keeps w_x and w_h in 8 tensors, which no kernel reads; .*another layout"),
        ({"recurrent_bias": torch.zeros(12)}, r"recurrent_bias: found one, but tf1.BasicLSTMCell has no tensor"),
        ({"peepholes": torch.zeros(3, H).double()}, r"peepholes: found torch.float64, expected torch.float32"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    x, kernel, bias, c, h = numbers(torch.float32, requires_grad=False)
    arguments = {"x": x, "kernel": kernel, "bias": bias, "state": (c, h), **change}
    with pytest.raises(InputError, match=message):
        quadgate.lstm(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", LENGTHS, ids=LENGTH_NAMES)
def test_a_layer_compiles_to_one_graph(lengths):
    layer = BasicLSTM(C, H)
    x = torch.randn(N, T, C)
    found, _ = torch.compile(layer, fullgraph=True, backend="aot_eager")(x, lengths)
    expected, _ = layer(x, lengths)
    assert torch.equal(found, expected)
    found.sum().backward()
    compiled_gradient, layer.kernel.grad = layer.kernel.grad, None
    expected.sum().backward()
    assert torch.equal(compiled_gradient, layer.kernel.grad)


def test_a_layer_runs_under_autocast():
    layer = BasicLSTM(C, H)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, _ = layer(torch.randn(N, T, C).bfloat16())
    assert outputs.dtype == torch.float32


def test_a_layer_under_functional_transforms():
    layer = BasicLSTM(C, H).double()
    parameters = dict(layer.named_parameters())
    x = torch.randn(N, T, C, dtype=torch.float64)

    def loss(parameters):
        outputs, _ = torch.func.functional_call(layer, parameters, (x,))
        return (outputs**2).sum()

    found = torch.func.grad(loss)(parameters)
    loss(parameters).backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-11, atol=1e-11)


FUNCTIONS = ["sigmoid", "tanh", "relu", "linear", "hard_sigmoid", "hard_sigmoid_v3"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_option_crossed_with_every_layout_against_the_reference(data):
    """Numbers and gradients of the compiled operator and of the loop, in float64, from each framework's tensors."""

    def drawn(name, strategy):
        return data.draw(strategy, name)

    row = LAYOUTS[
        drawn("layout", st.sampled_from(["tf1.LSTMCell", "torch.nn.LSTM", "keras.LSTM", "onnx.LSTM", "chainer.LSTM"]))
    ]
    N, T, C, H = (drawn(name, st.sampled_from([1, 2, 3, 7])) for name in "NTCH")
    P = drawn("P", st.sampled_from([None, 1, 5])) if "onnx" not in row.name else None
    peepholes = drawn("peepholes", st.booleans())
    clips = {name: drawn(name, st.sampled_from([None, 0.4])) for name in ("input_clip", "cell_clip", "projection_clip")}
    if P is None:
        clips["projection_clip"] = None
    functions = Activations(*(drawn(place, st.sampled_from(FUNCTIONS)) for place in ("gate", "cell", "output")))
    reverse, time_major = drawn("reverse", st.booleans()), drawn("time_major", st.booleans())
    every = drawn("recompute_every", st.sampled_from([0, 0, 2]))
    lengths = drawn("lengths", st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N))
    rng = np.random.default_rng(drawn("seed", st.integers(0, 99)))
    width = P or H

    def numbers_of(shape):
        # Small enough that functions without a bound stay near those that have one.
        return rng.standard_normal(shape) * 0.4

    def draw(*shape):
        return torch.tensor(rng.standard_normal(shape), requires_grad=True)

    biases = [array for array in row.biases if drawn(array, st.booleans()) or len(row.holding(array)[0].parts) > 1]
    if "b_h" in biases and "b_x" not in biases:
        biases = []
    parameters = LSTMParameters(
        *(numbers_of((4, rows, H)) for rows in (C, width)),
        *(numbers_of((4, H)) if array in biases else None for array in ("b_x", "b_h")),
        forget_bias=0.75,
        peepholes=numbers_of((3, H)) if peepholes else None,
        projection=numbers_of((H, P)) if P else None,
        activations=functions,
        reverse=reverse,
        **clips,
    )
    weights = as_kept(row, parameters)
    x, c, h = draw(N, T, C), draw(N, H), draw(N, width)
    x_given = x.transpose(0, 1) if time_major else x
    d = [rng.standard_normal(shape) for shape in ((N, T, width), (N, H), (N, width))]
    cotangents = [torch.tensor(one) for one in d]

    with np.errstate(over="ignore", invalid="ignore"):  # gates without a bound square the state at each step
        outputs, expected_state = reference_lstm(x.detach(), parameters, (c.detach(), h.detach()), lengths)
        d_x, (d_c, d_h), gradient = reference_backward(
            x.detach(), parameters, d[0], (d[1], d[2]), (c.detach(), h.detach()), lengths
        )
    gradient = as_kept(row, gradient)
    numbers = [outputs, *expected_state, d_x, d_c, d_h, *(one.detach() for one in gradient.values())]
    assume(all(np.abs(np.asarray(one)).max(initial=0) < 1e150 for one in numbers))
    for run in (quadgate.lstm, on_the_loop):
        found, state = run(
            x_given,
            **weights,
            state=(c, h),
            lengths=lengths,
            layout=row.name,
            forget_bias=0.75,
            activations=functions,
            reverse=reverse,
            time_major=time_major,
            recompute_every=every,
            **clips,
        )
        found = found.transpose(0, 1) if time_major else found
        for one, right in zip((found, *state), (outputs, *expected_state), strict=True):
            close(one.detach(), right, 1e-11)
        gradients = torch.autograd.grad((found, *state), [x, c, h, *weights.values()], cotangents)
        for name, one, right in zip(
            ["x", "c", "h", *weights], gradients, [d_x, d_c, d_h, *(w.detach() for w in gradient.values())], strict=True
        ):
            close(one, right, 1e-9, name)


def close(found, right, tolerance, name=""):
    """As close as the largest number allows: a linear layer grows, and rounding takes digits of the small ones."""
    right = np.asarray(right)
    scale = max(1.0, float(np.abs(right).max(initial=0)))
    np.testing.assert_allclose(found, right, rtol=0, atol=tolerance * scale, err_msg=name)


def as_kept(row, parameters):
    """The tensors of a layer as a framework keeps them, by the names that the operator gives them."""
    found = {}
    sizes = Sizes(parameters.inputs, parameters.units, parameters.state_width)
    arrays = {name: getattr(parameters, name) for name in ("w_x", "w_h", "b_x", "b_h", "peepholes", "projection")}
    for names, held in (
        (("kernel", "recurrent_kernel"), {"w_x", "w_h"}),
        (("bias", "recurrent_bias"), {"b_x", "b_h"}),
        (("peepholes",), {"peepholes"}),
        (("projection",), {"projection"}),
    ):
        tensors = [tensor for tensor in row.tensors if tensor.arrays & held]
        if len(names) == 1 and len(tensors) != 1:
            array = arrays[names[0]]
            if array is not None:
                found[names[0]] = torch.tensor(array, requires_grad=True)
            continue
        for name, tensor in zip(names, tensors, strict=False):
            if all(arrays[array] is not None for array in tensor.arrays):
                found[name] = torch.tensor(join(row, tensor, arrays, sizes), requires_grad=True)
    return found


def on_the_loop(*tensors, **options):
    """The operator where no kernel fits."""
    with mock.patch.object(operator, "kernel_fits", return_value=False):
        return quadgate.lstm(*tensors, **options)
