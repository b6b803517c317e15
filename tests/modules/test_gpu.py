"""The operator's way to a GPU, on main memory: Triton's interpreter in place of the GPU, PyTorch's lstm as cuDNN."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch._subclasses import FakeTensorMode

from quadgate.errors import InputError
from quadgate.kernels.choice import Choice
from quadgate.kernels.gpu import graph
from quadgate.kernels.gpu.layer import kept_bytes
from quadgate.kernels.gpu.precision import exact, float32_products
from quadgate.modules import LSTM, gpu, placement
from quadgate.modules.operator import LSTMLayer, _forward_on_gpu
from quadgate.modules.placement import Weights, arranged, normal, placed

pytest.importorskip("triton")
ON_GPU = torch.cuda.is_available()
N, T, C, H = 3, 5, 2, 6
LENGTHS = torch.tensor([5, 0, 2])


def weights_of(layout, dtype=torch.float64, projection=False):
    generator = torch.Generator().manual_seed(5)
    P = 4 if projection else H
    shapes = {
        "tf1.BasicLSTMCell": [(C + H, 4 * H), None, (4 * H,), None, None, None],
        "torch.nn.LSTM": [(4 * H, C), (4 * H, P), (4 * H,), (4 * H,), None, (P, H) if projection else None],
        "keras.LSTM": [(C, 4 * H), (H, 4 * H), (4 * H,), None, None, None],
    }[layout]
    return [shape and torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) * 0.5 for shape in shapes]


def layer_of(layout, lengths=None, reverse=False, time_major=False, dtype=torch.float64, every=0, projection=False):
    generator = torch.Generator().manual_seed(6)
    weights = weights_of(layout, dtype, projection)
    P = 4 if projection else H

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    x, c, h = draw(N, T, C), draw(N, H), draw(N, P)
    if lengths is not None:
        x[torch.arange(T) >= lengths[:, None]] = torch.nan
    x = x.transpose(0, 1).contiguous() if time_major else x
    tensors = (x, *weights, lengths, c, h)
    tensors = [one.requires_grad_() if one is not None and one.is_floating_point() else one for one in tensors]
    return LSTMLayer(*tensors, layout, 0.7, "sigmoid", "tanh", "tanh", None, None, None, reverse, time_major, every)


def leaves(layer):
    return [one for one in layer if isinstance(one, torch.Tensor) and one.requires_grad]


@pytest.fixture
def chosen(monkeypatch):
    """Let an implementation be chosen without a GPU."""

    def choose(name):
        monkeypatch.setattr(gpu, "chosen", lambda *_: Choice(name, True, "asked for by the test"))
        monkeypatch.setattr(graph, "STEPS", (3, 2))
        graph.forget()

    yield choose
    graph.forget()


@pytest.mark.parametrize("layout", ["tf1.BasicLSTMCell", "torch.nn.LSTM", "keras.LSTM"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("projection", [False, True])
def test_cudnn_is_the_loop(layout, lengths, reverse, projection):
    if projection and layout != "torch.nn.LSTM":
        layout = "torch.nn.LSTM"
    layer = layer_of(layout, lengths, reverse, time_major=reverse, projection=projection)
    found, expected = gpu.as_cudnn(layer), layer.as_loop(lengths)
    flat = [(outputs, *state) for outputs, state in (found, expected)]
    torch.testing.assert_close(*flat, rtol=1e-12, atol=1e-12)
    ways_in = [torch.randn_like(one) for one in flat[0]]
    gradients = [torch.autograd.grad(results, leaves(layer), ways_in) for results in flat]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-11)


@pytest.mark.skipif(ON_GPU, reason="runs Triton's interpreter, which a process with a GPU has not")
@pytest.mark.parametrize("name", ["Triton", "graph"])
@pytest.mark.parametrize(
    ("layout", "lengths", "reverse", "time_major", "every"),
    [
        ("tf1.BasicLSTMCell", None, False, False, 0),
        ("torch.nn.LSTM", LENGTHS, True, True, 2),
        ("keras.LSTM", LENGTHS, False, True, 0),
    ],
)
def test_the_operator_is_the_loop(chosen, name, layout, lengths, reverse, time_major, every):
    chosen(name)
    layer = layer_of(layout, lengths, reverse, time_major, torch.float32, every)
    outputs, c, h, kept = _forward_on_gpu(*layer, True)
    expected = [one.detach() for one in (lambda o, s: (o, *s))(*layer.as_loop(lengths))]
    torch.testing.assert_close([outputs, c, h], expected, rtol=1e-5, atol=1e-5)
    assert kept.numel() == gpu.kept_size(layer, layer.placement)

    ways_in = [torch.randn_like(one) for one in expected]
    d_x, *d_weights, d_c, d_h = gpu.backward(layer, outputs, kept, *ways_in, True, True)
    found = [d_x, *(one for one in d_weights if one.numel()), d_c, d_h]
    outputs, state = layer.as_loop(lengths)
    right = torch.autograd.grad((outputs, *state), leaves(layer), ways_in)
    torch.testing.assert_close(found, list(right), rtol=1e-4, atol=1e-5)


def test_room_without_numbers_is_that_of_the_results():
    layer = layer_of("torch.nn.LSTM", time_major=True, dtype=torch.float32)
    with FakeTensorMode():
        tensors = (isinstance(one, torch.Tensor) and torch.empty(one.shape, device="cuda") for one in layer)
        arguments = [
            stand_in if isinstance(stand_in, torch.Tensor) else one
            for stand_in, one in zip(tensors, layer, strict=True)
        ]
        outputs, c, h, kept = torch.ops.quadgate.lstm(*arguments, True)
    assert (outputs.shape, c.shape, h.shape) == ((T, N, H), (N, H), (N, H))
    assert (kept.dtype, kept.shape) == (torch.uint8, (kept_bytes(N, T, H, 4, 0),))
    assert outputs.device.type == "cuda"


@pytest.mark.parametrize("layout", ["tf1.BasicLSTMCell", "torch.nn.LSTM", "keras.LSTM"])
def test_arranged_turns_normal_back(layout):
    weights = Weights(*weights_of(layout))
    back = arranged(layout, normal(layout, weights), weights)
    for one, other in zip(back, weights, strict=True):
        assert other is None or torch.equal(one, other)
    assert placed(layout, back).sizes == (C, H, H)


def test_the_compiler_is_told_the_choice_as_a_constant(chosen):
    chosen("Triton")

    @torch.compile(fullgraph=True, backend="eager")
    def told(x):
        choice = gpu._constant_choice(torch.float32, 64, int(x.shape[0]), False, False, str(x.device))
        return x + (1 if choice.implementation == "Triton" else 2)

    assert told(torch.zeros(2)).tolist() == [1, 1]


REFUSALS = {
    "peepholes": ({"peepholes": torch.zeros(3, H)}, "no kernel for GPUs has peepholes"),
    "functions": ({"cell": "relu"}, "other functions than sigmoid and tanh"),
    "clip": ({"cell_clip": 1.0}, "no kernel for GPUs clips"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_no_kernel_has_is_the_loop(changes, reason):
    layer = layer_of("torch.nn.LSTM")._replace(**changes)
    choice = gpu.way(layer, layer.placement, False)
    assert choice.implementation == gpu.LOOP
    assert reason in choice.reason


def test_float64_and_projections_are_cudnn():
    layer = layer_of("torch.nn.LSTM")
    assert gpu.way(layer, layer.placement, False).implementation == "cuDNN"
    layer = layer_of("torch.nn.LSTM", projection=True, dtype=torch.float32)
    assert "no projection" in gpu.way(layer, layer.placement, False).reason


def test_lengths_on_the_gpu_are_held_to_the_sequence():
    x = torch.zeros(3, 5, 2)
    assert gpu.device_lengths(torch.tensor([0, 5, 3]), x).tolist() == [0, 5, 3]
    with pytest.raises(InputError, match="lengths"):
        gpu.device_lengths(torch.tensor([0, 9, 3]), x)
    with pytest.raises(InputError, match=r"lengths: found shape \(1,\), expected \(3,\): one for each case"):
        gpu.device_lengths(torch.ones(1, dtype=torch.int64, device="meta"), x.to("meta"))
    with pytest.raises(InputError, match=r"lengths: found torch\.float32, expected whole numbers"):
        gpu.device_lengths(torch.ones(3, device="meta"), x.to("meta"))


def test_a_sequence_shorter_than_what_was_measured_is_cudnn(chosen):
    chosen("Triton")
    layer = layer_of("torch.nn.LSTM", dtype=torch.float32)
    assert "were not measured" in gpu.way(layer, layer.placement, False).reason
    longer = layer._replace(x=torch.zeros(N, gpu.LEAST_STEPS, C))
    assert gpu.way(longer, layer.placement, False).implementation == "Triton"
    assert gpu.way(layer._replace(x=torch.zeros(N, 0, C)), layer.placement, False).implementation == gpu.LOOP


@pytest.mark.skipif(ON_GPU, reason="runs Triton's interpreter, which a process with a GPU has not")
def test_what_was_first_run_in_inference_mode_can_be_trained(chosen, monkeypatch):
    chosen("graph")
    monkeypatch.setattr(placement, "_index", placement._remembered_index)
    placement._remembered_index.cache_clear()
    layer = layer_of("torch.nn.LSTM", dtype=torch.float32)
    with torch.inference_mode():
        first = gpu.forward(layer, False)[0]
        as_cudnn = gpu.as_cudnn(layer)[0]
    assert torch.equal(gpu.forward(layer, True)[0], first)
    outputs = gpu.as_cudnn(layer)[0]
    torch.testing.assert_close(outputs.detach(), as_cudnn, rtol=1e-6, atol=1e-6)
    outputs.sum().backward()


@pytest.mark.parametrize("said", ["highest", "high", "medium"])
def test_the_precision_of_products_is_asked_and_put_back(said):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(said)
        assert exact() == (said == "highest")
        with float32_products(True, cudnn=True):
            assert exact()
        with float32_products(False):
            assert not exact()
        assert torch.get_float32_matmul_precision() == said
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_module_in_main_memory_gains_nothing():
    assert not gpu.gains(LSTM(2, 6), torch.zeros(5, 3, 2))


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="torch.cuda is not available here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["cuDNN", "CUDA", "Triton", "graph"])
def test_a_module_on_a_gpu_is_pytorch_s(monkeypatch, name, dtype):
    """Through the dispatcher, autograd, autocast and the compiler, in each implementation."""
    monkeypatch.setattr(gpu, "_ASKED", name)
    torch.manual_seed(0)
    ours = LSTM(12, 64, batch_first=True, bidirectional=True).to("cuda", dtype)
    theirs = torch.nn.LSTM(12, 64, batch_first=True, bidirectional=True).to("cuda", dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 40, 12, device="cuda", dtype=dtype, requires_grad=True)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    results = [module(x)[0] for module in (ours, theirs)]
    torch.testing.assert_close(*results, **tolerance)
    way_in = torch.randn_like(results[0])
    gradients = [
        torch.autograd.grad(one, [x, *module.parameters()], way_in)
        for one, module in zip(results, (ours, theirs), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=tolerance["rtol"], atol=tolerance["atol"] * 20)
    torch.testing.assert_close(torch.compile(ours)(x)[0], results[0], **tolerance)
    with torch.autocast("cuda", torch.bfloat16):
        assert ours(x)[0].dtype == torch.bfloat16


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="torch.cuda is not available here")
@pytest.mark.parametrize("name", ["CUDA", "Triton", "graph"])
def test_a_recording_of_the_caller_s_holds_the_layer(name):
    """The caller's graph goes on with other inputs, also after the layer's own graphs were forgotten."""
    layer = LSTM(12, 64).to("cuda")
    x = torch.randn(100, 5, 12, device="cuda")
    with torch.no_grad(), gpu.run_by(name):
        layer(x)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            outputs = layer(x)[0]
        graph.forget()
        for N in range(1, 20):
            layer(torch.randn(40, N, 12, device="cuda"))
        x.copy_(torch.randn_like(x))
        recorded.replay()
        torch.testing.assert_close(outputs, layer(x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="torch.cuda finds fewer than two GPUs here")
@pytest.mark.parametrize("name", ["cuDNN", "CUDA", "Triton", "graph"])
def test_the_second_gpu(name):
    layer = LSTM(12, 64)
    x = torch.randn(100, 5, 12)
    expected = layer(x)[0]
    with gpu.run_by(name):
        found = layer.to("cuda:1")(x.to("cuda:1"))[0]
        found.sum().backward()
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="torch.cuda is not available here")
def test_threads_do_not_meet_in_the_buffers_of_a_graph():
    layer = LSTM(12, 64).to("cuda").requires_grad_(False)
    inputs = [torch.full((100, 5, 12), float(k), device="cuda") for k in range(4)]
    with gpu.run_by("graph"):
        expected = [layer(x)[0] for x in inputs]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda x: layer(x)[0], inputs * 5))
    for one, right in zip(found, expected * 5, strict=True):
        assert torch.equal(one, right)
