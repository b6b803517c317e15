"""The frameworks themselves run the tensors that their rows describe, and agree with the float64 reference.

A state that is not zero, different numbers in every gate and bias, more inputs than units in one case and fewer in the
other, values that leave the linear part of the gates.
"""

import numpy as np
import pytest

from quadgate.cell import Activations, gru, lstm
from quadgate.layouts import LAYOUTS, decode, encode
from sample_layers import sizes_of, tensors_of

N, T = 3, 5
shapes = pytest.mark.parametrize(("C", "H"), [(3, 4), (5, 2), (1, 1)])


def case(name, C, H, P=None, without=(), seed=1, **more):
    """A layer's tensors in float32, its input `[N, T, C]` and its starting state."""
    row = LAYOUTS[name]
    tensors = tensors_of(row, sizes_of(C, H, P), without, projected=P is not None, seed=seed, **more)
    rng = np.random.default_rng(seed + 1)
    x = 2 * rng.normal(size=(N, T, C)).astype(np.float32)
    c, h = (rng.normal(size=(N, width)).astype(np.float32) for width in (H, P or H))
    return tensors, x, c, h


def assert_agree(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-5, atol=2e-6)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def to_torch(torch, arrays):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@shapes
@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torch_lstm(torch, C, H, projected, bias):
    if projected and H == 1:
        pytest.skip("PyTorch wants a projection that is narrower than the units")
    P = H - 1 if projected else None
    tensors, x, c, h = case("torch.nn.LSTM", C, H, P, () if bias else {"b_x", "b_h"})
    module = torch.nn.LSTM(C, H, bias=bias, batch_first=True, proj_size=P or 0)
    module.load_state_dict(to_torch(torch, tensors))
    with torch.no_grad():
        theirs, (h_n, c_n) = module(torch.from_numpy(x), (torch.from_numpy(h)[None], torch.from_numpy(c)[None]))
    ours, (final_c, final_h) = lstm(x, decode(tensors, "torch.nn.LSTM"), (c, h))
    assert_agree(theirs, ours)
    assert_agree(c_n[0], final_c)
    assert_agree(h_n[0], final_h)


def test_torch_lstm_of_two_layers_and_two_directions(torch):
    module = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    state = {name: parameter.detach().numpy() for name, parameter in module.state_dict().items()}
    x = np.random.default_rng(0).normal(size=(N, T, 3)).astype(np.float32)
    ours, row = x, LAYOUTS["torch.nn.LSTM"]
    for layer in range(2):
        outputs = []
        for reverse in (False, True):
            names = [name for name in row.names(layer, reverse) if name in state]
            parameters = decode({name: state[name] for name in names}, row, layer=layer, reverse=reverse)
            outputs.append(lstm(ours, parameters)[0])
        ours = np.concatenate(outputs, axis=2)
    with torch.no_grad():
        assert_agree(module(torch.from_numpy(x))[0], ours)


@shapes
def test_torch_cells(torch, C, H):
    for name, module, run in (
        ("torch.nn.LSTMCell", torch.nn.LSTMCell(C, H), lstm),
        ("torch.nn.GRUCell", torch.nn.GRUCell(C, H), gru),
    ):
        tensors, x, c, h = case(name, C, H)
        module.load_state_dict(to_torch(torch, tensors))
        state = (torch.from_numpy(h), torch.from_numpy(c)) if run is lstm else torch.from_numpy(h)
        with torch.no_grad():
            theirs = module(torch.from_numpy(x[:, 0]), state)
        ours = run(x[:, :1], decode(tensors, name), (c, h) if run is lstm else h)[0]
        assert_agree(theirs[0] if run is lstm else theirs, ours[:, 0])


@shapes
def test_torch_gru(torch, C, H):
    tensors, x, _, h = case("torch.nn.GRU", C, H)
    module = torch.nn.GRU(C, H, batch_first=True)
    module.load_state_dict(to_torch(torch, tensors))
    with torch.no_grad():
        theirs, _ = module(torch.from_numpy(x), torch.from_numpy(h)[None])
    assert_agree(theirs, gru(x, decode(tensors, "torch.nn.GRU"), h)[0])


def run_onnx(op, tensors, x, states, **attributes):
    """Run one recurrent node with ONNX Runtime: outputs `[N, T, H]`."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    h = onnx.helper
    inputs = ["X", "W", "R", "B" if "B" in tensors else "", "", *states]
    if "P" in tensors:
        inputs += [""] * (7 - len(inputs)) + ["P"]
    H = tensors["R"].shape[2]
    node = h.make_node(op, inputs, ["Y"], hidden_size=H, **attributes)
    graph = h.make_graph(
        [node],
        "layer",
        [h.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [T, N, x.shape[2]])],
        [h.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [T, 1, N, H])],
        [onnx.numpy_helper.from_array(array, name) for name, array in (tensors | states).items()],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 14)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {"X": np.ascontiguousarray(x.swapaxes(0, 1))})
    return outputs[:, 0].swapaxes(0, 1)


@shapes
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_onnx_lstm(C, H, peepholes, reverse):
    tensors, x, c, h = case("onnx.LSTM", C, H, without=() if peepholes else {"peepholes"})
    direction = "reverse" if reverse else "forward"
    theirs = run_onnx("LSTM", tensors, x, {"h0": h[None], "c0": c[None]}, direction=direction)
    assert_agree(theirs, lstm(x, decode(tensors, "onnx.LSTM", reverse=reverse), (c, h))[0])


def test_onnx_lstm_with_a_clip_and_a_hard_sigmoid():
    tensors, x, c, h = case("onnx.LSTM", 3, 4, without={"peepholes"})
    theirs = run_onnx(
        "LSTM", tensors, x, {"h0": h[None], "c0": c[None]}, clip=0.5, activations=["HardSigmoid", "Tanh", "Relu"]
    )
    parameters = decode(tensors, "onnx.LSTM", input_clip=0.5, activations=Activations("hard_sigmoid", "tanh", "relu"))
    assert_agree(theirs, lstm(x, parameters, (c, h))[0])


@shapes
@pytest.mark.parametrize("reset_after", [False, True])
def test_onnx_gru(C, H, reset_after):
    tensors, x, _, h = case("onnx.GRU", C, H)
    theirs = run_onnx("GRU", tensors, x, {"h0": h[None]}, linear_before_reset=int(reset_after))
    assert_agree(theirs, gru(x, decode(tensors, "onnx.GRU", reset_after=reset_after), h)[0])


@pytest.fixture(scope="module")
def keras(torch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.mark.slow
@shapes
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("bias", [False, True])
def test_keras_lstm(keras, C, H, gate, bias):
    tensors, x, c, h = case("keras.LSTM", C, H, without=() if bias else {"b_x", "b_h"})
    layer = keras.layers.LSTM(H, recurrent_activation=gate, use_bias=bias, return_sequences=True)
    layer.build(x.shape)
    layer.set_weights(list(tensors.values()))
    theirs = layer(x, initial_state=[h, c]).detach().cpu().numpy()
    activations = Activations(gate=gate.replace("hard_sigmoid", "hard_sigmoid_v3"))
    assert_agree(theirs, lstm(x, decode(tensors, "keras.LSTM", activations=activations), (c, h))[0])


@pytest.mark.slow
def test_a_new_keras_lstm_has_its_forget_bias_in_the_stored_one(keras):
    layer = keras.layers.LSTM(3)
    layer.build((1, 2, 2))
    weights = [weight.value.detach().cpu().numpy() for weight in layer.weights]
    assert weights[2].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    parameters = decode(dict(zip(LAYOUTS["keras.LSTM"].names(), weights, strict=True)), "keras.LSTM")
    assert parameters.b_x.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]]


@pytest.mark.slow
@shapes
@pytest.mark.parametrize("name", ["keras.GRU", "keras.GRU.reset_before"])
def test_keras_gru(keras, C, H, name):
    tensors, x, _, h = case(name, C, H)
    layer = keras.layers.GRU(H, reset_after=name == "keras.GRU", return_sequences=True)
    layer.build(x.shape)
    layer.set_weights(list(tensors.values()))
    theirs = layer(x, initial_state=h).detach().cpu().numpy()
    assert_agree(theirs, gru(x, decode(tensors, name), h)[0])


def tree(tensors):
    """Nest `dense/kernel` as `{"dense": {"kernel": ...}}`."""
    nested = {}
    for name, array in tensors.items():
        *path, last = name.split("/")
        place = nested
        for step in path:
            place = place.setdefault(step, {})
        place[last] = array
    return nested


def steps(cell, carry, x):
    """Run a cell of the JAX kind, `(carry, x_t) -> (carry, output)`, over a sequence."""
    outputs = []
    for t in range(x.shape[1]):
        carry, output = cell(carry, x[:, t])
        outputs.append(np.asarray(output))
    return np.stack(outputs, axis=1)


@pytest.mark.slow
@shapes
@pytest.mark.parametrize("name", ["LSTMCell", "OptimizedLSTMCell", "GRUCell"])
def test_flax_linen(C, H, name):
    linen = pytest.importorskip("flax.linen", reason="Flax is not installed")
    tensors, x, c, h = case(f"flax.linen.{name}", C, H)
    cell = getattr(linen, name)(features=H)
    parameters = decode(tensors, f"flax.linen.{name}")
    recurrent = name == "GRUCell"
    theirs = steps(lambda carry, x_t: cell.apply({"params": tree(tensors)}, carry, x_t), h if recurrent else (c, h), x)
    assert_agree(theirs, gru(x, parameters, h)[0] if recurrent else lstm(x, parameters, (c, h))[0])


@pytest.mark.slow
@shapes
@pytest.mark.parametrize("name", ["LSTMCell", "OptimizedLSTMCell"])
def test_flax_nnx(C, H, name):
    nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")
    tensors, x, c, h = case(f"flax.nnx.{name}", C, H)
    cell = getattr(nnx, name)(C, H, rngs=nnx.Rngs(0))
    for path, array in tensors.items():
        layer, parameter = path.split("/")
        setattr(getattr(cell, layer), parameter, nnx.Param(array))
    assert_agree(steps(cell, (c, h), x), lstm(x, decode(tensors, f"flax.nnx.{name}"), (c, h))[0])


@pytest.mark.slow
@shapes
def test_haiku_lstm(C, H):
    haiku = pytest.importorskip("haiku", reason="Haiku is not installed")
    tensors, x, c, h = case("haiku.LSTM", C, H)
    core = haiku.without_apply_rng(haiku.transform(lambda x_t, state: haiku.LSTM(H)(x_t, state)))

    def cell(carry, x_t):
        output, state = core.apply({"lstm/linear": tensors}, x_t, carry)
        return state, output

    theirs = steps(cell, haiku.LSTMState(hidden=h, cell=c), x)
    assert_agree(theirs, lstm(x, decode(tensors, "haiku.LSTM"), (c, h))[0])


@pytest.mark.slow
@shapes
@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_equinox(C, H, name):
    equinox = pytest.importorskip("equinox", reason="Equinox is not installed")
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    tensors, x, c, h = case(f"equinox.nn.{name}", C, H)
    cell = getattr(equinox.nn, name)(C, H, key=jax.random.key(0))
    fields = list(tensors)
    cell = equinox.tree_at(lambda tree: [getattr(tree, field) for field in fields], cell, list(tensors.values()))

    def step(carry, x_t):
        carry = jax.vmap(cell)(x_t, carry)
        return carry, carry[0] if name == "LSTMCell" else carry

    parameters = decode(tensors, f"equinox.nn.{name}")
    if name == "GRUCell":
        assert_agree(steps(step, h, x), gru(x, parameters, h)[0])
    else:
        assert_agree(steps(step, (h, c), x), lstm(x, parameters, (c, h))[0])


def test_from_tensorflow_to_pytorch_and_onnx(torch):
    """The forget bias that TensorFlow adds while running arrives in the stored bias of both."""
    tensors, x, c, h = case("tf1.BasicLSTMCell", 3, 4)
    parameters = decode(tensors, "tf1.BasicLSTMCell", forget_bias=1.0)
    expected = lstm(x, parameters, (c, h))[0]
    module = torch.nn.LSTM(3, 4, batch_first=True)
    module.load_state_dict(to_torch(torch, encode(parameters, "torch.nn.LSTM").tensors))
    with torch.no_grad():
        assert_agree(module(torch.from_numpy(x), (torch.from_numpy(h)[None], torch.from_numpy(c)[None]))[0], expected)
    onnx = encode(parameters, "onnx.LSTM").tensors
    assert_agree(run_onnx("LSTM", onnx, x, {"h0": h[None], "c0": c[None]}), expected)
