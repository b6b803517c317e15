"""The operator of the GRU as PyTorch sees it: first and second derivatives, compilation, transforms, autocast."""

import numpy as np
import pytest
import torch
from torch import library
from torch.autograd import gradcheck, gradgradcheck

from quadgate import cell, gru
from quadgate.cell import Activations, GRUParameters
from quadgate.errors import InputError
from quadgate.layouts import decode, encode
from quadgate.modules import GRU, gru_operator
from quadgate.modules.gru_sequence import GRUFunctions, gru_sequence
from quadgate.modules.placement import Weights, normal

N, T, C, H = 3, 5, 2, 3
NAMES = ("x", "kernel", "recurrent_kernel", "bias", "recurrent_bias", "state")
LENGTHS = pytest.mark.parametrize("lengths", [None, torch.tensor([5, 0, 2])], ids=["full", "lengths"])
RESETS = pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])


def numbers(dtype=torch.float64, requires_grad=True, scale=0.8):
    generator = torch.Generator().manual_seed(7)

    def draw(*shape):
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)

    tensors = draw(N, T, C), draw(3 * H, C), draw(3 * H, H), draw(3 * H), draw(3 * H), draw(N, H)
    return [tensor.requires_grad_(requires_grad) for tensor in tensors]


def flat(*tensors, lengths=None, **options):
    return gru(**dict(zip(NAMES, tensors, strict=True)), lengths=lengths, **options)


def reference(x, kernel, recurrent_kernel, bias, recurrent_bias, state, lengths=None, reset_after=True, reverse=False):
    weights = normal("torch.nn.GRU", Weights(kernel, recurrent_kernel, bias, recurrent_bias))
    return gru_sequence(x, weights, GRUFunctions(reset_after), lengths, state, reverse)


def loss(results):
    return sum((result**2).sum() for result in results)


@LENGTHS
@RESETS
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients(lengths, reset_after, reverse):
    options = {"lengths": lengths, "reset_after": reset_after, "reverse": reverse}
    assert gradcheck(lambda *t: flat(*t, **options), numbers(), fast_mode=True)
    tensors = numbers()
    torch.testing.assert_close(flat(*tensors, **options), reference(*tensors, **options), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wanted", range(6))
def test_one_gradient_alone_is_that_of_all(wanted):
    tensors = numbers()

    def gradient(inputs):
        return torch.autograd.grad(loss(flat(*inputs)), inputs[wanted])[0]

    alone = [tensor.detach().requires_grad_(k == wanted) for k, tensor in enumerate(tensors)]
    assert torch.equal(gradient(alone), gradient(tensors))


@pytest.mark.parametrize("used", range(2))
def test_a_loss_that_uses_one_result(used):
    tensors = numbers()
    weight = torch.randn_like(flat(*tensors)[used])
    found = torch.autograd.grad(flat(*tensors)[used], tensors, weight, allow_unused=True)
    expected = torch.autograd.grad(reference(*tensors)[used], tensors, weight, allow_unused=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@LENGTHS
@RESETS
def test_second_derivatives(lengths, reset_after):
    assert gradgradcheck(lambda *t: flat(*t, lengths=lengths, reset_after=reset_after), numbers(), fast_mode=True)


def test_third_derivatives_are_those_of_the_loop():
    tensors = numbers()

    def third(function):
        total = loss(function(*tensors))
        for _ in range(2):
            total = loss(torch.autograd.grad(total, tensors, create_graph=True))
        return torch.autograd.grad(total, tensors)

    torch.testing.assert_close(third(flat), third(reference), rtol=1e-9, atol=1e-9)


@pytest.fixture
def filled_memory():
    """What is kept for the way back has gaps, and a comparison would read them."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("filled_memory")
@LENGTHS
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("recompute_every", [0, 2])
def test_opcheck(lengths, requires_grad, recompute_every):
    *weights, h = numbers(torch.float32, requires_grad)
    options = ("torch.nn.GRU", True, "sigmoid", "tanh", False, False, recompute_every, requires_grad)
    library.opcheck(torch.ops.quadgate.gru.default, (*weights, lengths, h, *options))
    x, kernel, recurrent_kernel, *_ = weights
    bare = (x, kernel, recurrent_kernel, None, None, None, None)
    library.opcheck(torch.ops.quadgate.gru.default, (*bare, *options))


@pytest.mark.slow
@LENGTHS
def test_compile_gives_one_graph_and_the_same_bits(lengths):
    tensors = numbers(torch.float32)
    compiled = torch.compile(flat, fullgraph=True, backend="aot_eager")
    found, expected = compiled(*tensors, lengths=lengths), flat(*tensors, lengths=lengths)
    gradients = [torch.autograd.grad(loss(results), tensors) for results in (found, expected)]
    for one, other in zip((*found, *gradients[0]), (*expected, *gradients[1]), strict=True):
        assert torch.equal(one, other)


def test_compile_with_a_dynamic_number_of_steps():
    _, *others = numbers(torch.float32, requires_grad=False)
    compiled = torch.compile(flat, fullgraph=True, backend="eager", dynamic=True)
    for steps in (4, 7, 9):
        x = torch.randn(N, steps, C)
        assert torch.equal(compiled(x, *others)[0], flat(x, *others)[0])


@RESETS
def test_func_grad_and_vmap(reset_after):
    x, kernel, *others, h = numbers(requires_grad=False)

    def of_case(kernel, x, h):
        return loss(flat(x[None], kernel, *others, h[None], reset_after=reset_after))

    per_case = torch.func.vmap(torch.func.grad(of_case), in_dims=(None, 0, 0))(kernel, x, h)
    for case in range(N):
        leaf = kernel.clone().requires_grad_()
        (expected,) = torch.autograd.grad(of_case(leaf, x[case], h[case]), leaf)
        torch.testing.assert_close(per_case[case], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_narrow_types_are_computed_in_float32(narrow):
    tensors = numbers(narrow)
    found = flat(*tensors)
    expected = flat(*(tensor.detach().float() for tensor in tensors))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == narrow
        assert torch.equal(one, other.to(narrow))
    assert all(gradient.dtype == narrow for gradient in torch.autograd.grad(loss(found), tensors))


def test_autocast_computes_in_float32_and_keeps_it():
    x, *others = numbers(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, _ = flat(x.bfloat16(), *others)
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, flat(x.bfloat16().float(), *others)[0])


def test_strides_and_kinds_of_tensor():
    x, kernel, *others = numbers(torch.float32, requires_grad=False)
    expected = flat(x, kernel, *others)
    time_major = flat(x.transpose(0, 1).contiguous(), kernel, *others, time_major=True)
    assert torch.equal(time_major[0].transpose(0, 1), expected[0])
    transposed = kernel.t().contiguous().t()
    for one in (x.transpose(0, 1).contiguous().transpose(0, 1), x.repeat_interleave(2, -1)[..., ::2]):
        for found, right in zip(flat(one, transposed, *others), expected, strict=True):
            assert torch.equal(found, right)
    with torch.inference_mode():
        assert torch.equal(flat(x.clone(), kernel.clone(), *others)[0], expected[0])


@pytest.mark.parametrize("recompute_every", [1, 3, 8])
def test_recomputed_gradients_are_the_same_bits(recompute_every):
    tensors = numbers(torch.float32)

    def gradients(**options):
        return torch.autograd.grad(loss(flat(*tensors, lengths=[5, 0, 2], **options)), tensors)

    for found, expected in zip(gradients(recompute_every=recompute_every), gradients(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("layout", ["torch.nn.GRU", "keras.GRU", "keras.GRU.reset_before", "keras2.GRU", "onnx.GRU"])
def test_every_layout_of_whole_tensors(layout):
    """The same layer in the tensors of each framework: the numbers of the judge, and gradients where it keeps them."""
    rng = np.random.default_rng(5)
    reset_after = layout != "keras.GRU.reset_before"
    parameters = GRUParameters(
        rng.standard_normal((3, C, H)),
        rng.standard_normal((3, H, H)),
        rng.standard_normal((3, H)),
        rng.standard_normal((3, H)) if reset_after else None,
        reset_after=reset_after,
        activations=Activations(gate="hard_sigmoid" if layout == "keras2.GRU" else "sigmoid"),
    )
    encoded = encode(parameters, layout).tensors
    tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in encoded.items()}
    kernel, recurrent_kernel, *biases = tensors.values()
    roles = dict(zip(("bias", "recurrent_bias"), biases, strict=False))
    x = torch.from_numpy(rng.standard_normal((N, T, C)))
    outputs, _ = gru(
        x,
        kernel,
        recurrent_kernel=recurrent_kernel,
        layout=layout,
        reset_after=reset_after,
        activations=parameters.activations,
        **roles,
    )
    expected, _ = cell.gru(x.numpy(), parameters)
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=0, atol=1e-12)
    outputs.sum().backward()
    gradients = {name: tensor.grad.numpy() for name, tensor in tensors.items()}
    settings = {"reset_after": reset_after} if layout == "onnx.GRU" else {}
    found = decode(gradients, layout, **settings)
    _, _, right = cell.gru_backward(x.numpy(), parameters, np.ones((N, T, H)))
    np.testing.assert_allclose(found.w_x, right.w_x, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.w_h, right.w_h, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.b_x, right.b_x, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(T, C)}, r"x: found shape \(5, 2\), expected \(cases, steps, 2\)"),
        ({"x": torch.zeros(N, T, C, dtype=torch.float64)}, r"x: found torch.float64, expected torch.float32"),
        ({"kernel": torch.zeros(3 * H + 1, C)}, r"shape \(10, 2\)"),
        ({"recurrent_kernel": None}, "recurrent_kernel: found none, expected the tensor that torch.nn.GRU calls"),
        ({"state": torch.zeros(N, C)}, r"state: found shape \(3, 2\)"),
        ({"lengths": [5, 6, 1]}, r"lengths: found 6 at case 1, expected 0 to 5"),
        ({"lengths": [5.0, 1.0, 2.0]}, r"lengths: found torch.float32, expected whole numbers"),
        ({"activations": Activations(gate="tan")}, r"activations.gate: found 'tan', which is not known"),
        ({"layout": "torch.nn.LSTM"}, r"layout: found torch.nn.LSTM, which is of an LSTM, expected one of a GRU"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    given = dict(zip(NAMES, numbers(torch.float32, requires_grad=False), strict=True))
    if change.get("layout"):
        given["kernel"], given["recurrent_kernel"] = torch.zeros(4 * H, C), torch.zeros(4 * H, H)
        given["bias"], given["recurrent_bias"] = torch.zeros(4 * H), torch.zeros(4 * H)
        change |= {"reset_after": True}
    with pytest.raises(InputError, match=message):
        gru(**given | change)


def test_a_training_call_packs_the_layer_once(monkeypatch):
    packed, native = [], gru_operator._NATIVE[torch.float32]

    def counted(*arguments, **options):
        packed.append(arguments)
        return native(*arguments, **options)

    monkeypatch.setitem(gru_operator._NATIVE, torch.float32, counted)
    layer = GRU(3, 7)
    for _ in range(3):
        packed.clear()
        layer(torch.randn(5, 2, 3))
    assert len(packed) == 1
