"""What the reader makes of a file, run by the model, against what ONNX Runtime makes of it."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quadgate
from onnx_files import N, T, helper, node, numpy_helper, onnx, run, save, save_node, value, weights
from quadgate.errors import FileFormatError


def batch(rng, C, widths):
    """A batch `[N, T, C]` of unequal lengths, one of them zero, and a state for each width."""
    x = rng.normal(size=(N, T, C)).astype(np.float32)
    states = [rng.normal(size=(N, width)).astype(np.float32) for width in widths]
    return x, np.array([T, 0, 2]), states


def assert_runs_alike(path, C, H, D, kind="LSTM"):
    """The model and ONNX Runtime on the same batch, states not zero."""
    model = quadgate.load(path)
    many = 2 if kind == "LSTM" else 1
    x, lengths, flat = batch(np.random.default_rng(1), C, [H] * many * D)
    pairs = [tuple(flat[many * d : many * (d + 1)]) for d in range(D)]  # (c, h) of an LSTM, (h,) of a GRU
    feed = {"h": np.stack([pair[-1] for pair in pairs])} | (
        {"c": np.stack([pair[0] for pair in pairs])} if many == 2 else {}
    )
    lengths[1] = 1  # for a case without steps ONNX Runtime gives zeros as its state
    theirs = run(path, x=x.swapaxes(0, 1), lengths=lengths.astype(np.int32), **feed)
    ours, state = model.run(x, lengths, [pairs])
    expected = theirs["Y"].transpose(2, 0, 1, 3).reshape(N, T, D * H)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=2e-6)
    for d in range(D):
        np.testing.assert_allclose(state[0][d][-1], theirs["new_h"][d], rtol=1e-5, atol=2e-6)
        if many == 2:
            np.testing.assert_allclose(state[0][d][0], theirs["new_c"][d], rtol=1e-5, atol=2e-6)
    return model


FUNCTIONS = st.sampled_from(["Sigmoid", "Tanh", "Relu", "HardSigmoid"])


@settings(max_examples=40, deadline=None)
@given(
    C=st.sampled_from([1, 3, 7]),
    H=st.sampled_from([1, 2, 5]),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    bias=st.booleans(),
    peepholes=st.booleans(),
    clip=st.sampled_from([None, 0.7]),
    functions=st.none() | st.tuples(FUNCTIONS, FUNCTIONS, FUNCTIONS),
)
def test_lstm_nodes(tmp_path_factory, C, H, direction, bias, peepholes, clip, functions):
    D = 2 if direction == "bidirectional" else 1
    arrays = weights(np.random.default_rng(H), "LSTM", D, C, H, bias=bias, peepholes=peepholes)
    attributes = {"direction": direction} | ({} if clip is None else {"clip": clip})
    if functions:
        attributes |= {"activations": [*functions] * D}
    path = save_node(tmp_path_factory.mktemp("onnx") / "a.onnx", "LSTM", arrays, **attributes)
    model = assert_runs_alike(path, C, H, D)
    assert not model.assumptions
    assert [cell.reverse for cell in model.cells[0]] == {"forward": [False], "reverse": [True]}.get(
        direction, [False, True]
    )


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("after", [0, 1])
def test_gru_nodes(tmp_path, direction, after):
    D = 2 if direction == "bidirectional" else 1
    arrays = weights(np.random.default_rng(2), "GRU", D, 3, 5)
    path = save_node(tmp_path / "a.onnx", "GRU", arrays, direction=direction, linear_before_reset=after)
    assert_runs_alike(path, 3, 5, D, "GRU")


def test_hard_sigmoid_of_keras_3(tmp_path):
    arrays = weights(np.random.default_rng(2), "LSTM", 1, 3, 5)
    told = {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [1 / 6], "activation_beta": [0.5]}
    model = assert_runs_alike(save_node(tmp_path / "a.onnx", "LSTM", arrays, **told), 3, 5, 1)
    assert model.cells[0][0].activations.gate == "hard_sigmoid_v3"


def lstm_of(tmp_path, nodes, tensors, W="W", R="R", B="B"):
    """A model of one LSTM whose weights are made by other nodes."""
    one = node("LSTM", ["x", W, R, B], ["Y", "Y_h", "Y_c"], hidden_size=4)
    return save(tmp_path / "a.onnx", [*nodes, one], tensors, [value("x", ["T", "N", 3])], [value("Y", None)])


def assert_same_numbers(path, arrays):
    model = quadgate.load(path)
    for name, variable in model.cells[0][0].tensors:
        np.testing.assert_array_equal(model.variables[variable], arrays[name])
    return model


@pytest.fixture
def arrays():
    return weights(np.random.default_rng(5), "LSTM", 1, 3, 4)


def test_weights_behind_nodes(tmp_path, arrays):
    """As PyTorch exports them: sliced from its own order, put together, given an axis; and cast, turned, passed on."""
    i, o, f, j = np.split(arrays["W"][0], 4)
    tensors = {"torch": np.concatenate([i, f, j, o]), "turned": arrays["R"][0].T.astype(np.float32), "B": arrays["B"]}
    cuts = {"zero": 0, "H": 4, "2H": 8, "3H": 12, "4H": 16}
    constants = [
        node("Constant", [], [name], value=numpy_helper.from_array(np.array([k], np.int64))) for name, k in cuts.items()
    ]
    slices = [("zero", "H"), ("3H", "4H"), ("H", "2H"), ("2H", "3H")]
    nodes = [
        *constants,
        *(node("Slice", ["torch", *ends, "zero"], [f"part{k}"]) for k, ends in enumerate(slices)),
        node("Concat", [f"part{k}" for k in range(4)], ["flat"], axis=0),
        node("Unsqueeze", ["flat", "zero"], ["W"]),
        node("Transpose", ["turned"], ["R_flat"], perm=[1, 0]),
        node("Cast", ["R_flat"], ["R_cast"], to=onnx.TensorProto.FLOAT),
        node("Unsqueeze", ["R_cast", "zero"], ["R"]),
        node("Identity", ["B"], ["B_again"]),
    ]
    model = assert_same_numbers(lstm_of(tmp_path, nodes, tensors, B="B_again"), arrays)
    assert "torch: part of Y_node.W, as the graph puts it together" in model.left_out
    assert dict(model.cells[0][0].tensors)["B"] == "B"


def test_float16_weights(tmp_path, arrays):
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    nodes = [node("Cast", [name], [f"{name}_wide"], to=onnx.TensorProto.FLOAT) for name in halves]
    path = lstm_of(tmp_path, nodes, halves, "W_wide", "R_wide", "B_wide")
    assert_same_numbers(path, {name: half.astype(np.float32) for name, half in halves.items()})


def test_quantized_weights(tmp_path, arrays):
    quantized = np.random.default_rng(3).integers(-128, 127, size=(1, 16, 3)).astype(np.int8)
    scale = np.float32(0.02)
    tensors = {"q": quantized, "scale": scale, "zero": np.int8(3), "R": arrays["R"], "B": arrays["B"]}
    tensors = {name: np.array(array) for name, array in tensors.items()}
    path = lstm_of(tmp_path, [node("DequantizeLinear", ["q", "scale", "zero"], ["W"])], tensors)
    assert_same_numbers(path, arrays | {"W": (quantized.astype(np.float32) - 3) * scale})


def test_in_the_branches_of_a_condition(tmp_path, arrays):
    """Two branches with the same layer are one layer; the constants are those of the graph around."""

    def branch(name):
        one = node("LSTM", ["x", "W", "R", "B"], [f"{name}_Y"], hidden_size=4)
        return helper.make_graph([one], name, [], [value(f"{name}_Y", None)])

    condition = node("If", ["flag"], ["Y"], then_branch=branch("then"), else_branch=branch("else"))
    given = [value("x", ["T", "N", 3]), value("flag", [], onnx.TensorProto.BOOL)]
    path = save(tmp_path / "a.onnx", [condition], arrays, given, [value("Y", None)])
    assert len(assert_same_numbers(path, arrays).cells) == 1


@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_in_the_body_of_a_loop(tmp_path, arrays, kind):
    """One step of the node for each turn: the body reads the constants of the graph around, as PyTorch exports it."""
    D, H = 1, 4
    step = [
        node("LSTM", ["x_t", "W", "R", "B", "", "h_in", "c_in"], ["Y_t", "h_out", "c_out"], hidden_size=H),
        node("Identity", ["Y_t"], ["shown"]),
    ]
    states = [value("h_in", [D, "N", H]), value("c_in", [D, "N", H])]
    ended = [value("h_out", None), value("c_out", None)]
    around = [value("h", [D, "N", H]), value("c", [D, "N", H])]
    if kind == "Scan":
        body = helper.make_graph(step, "body", [*states, value("x_t", [1, "N", 3])], [*ended, value("shown", None)])
        outer = node("Scan", ["h", "c", "x"], ["h_end", "c_end", "Y"], body=body, num_scan_inputs=1)
        given = [value("x", ["T", 1, "N", 3]), *around]
        extra = {}
    else:
        flag, turn = value("going", [], onnx.TensorProto.BOOL), value("turn", [], onnx.TensorProto.INT64)
        same = node("Identity", ["going"], ["on"])
        step.insert(0, node("Gather", ["x", "turn"], ["x_t"], axis=0))
        results = [value("on", [], onnx.TensorProto.BOOL), *ended, value("shown", None)]
        body = helper.make_graph([same, *step], "body", [turn, flag, *states], results)
        outer = node("Loop", ["turns", "", "h", "c"], ["h_end", "c_end", "Y"], body=body)
        given = [value("x", ["T", 1, "N", 3]), *around]
        extra = {"turns": np.array(5, np.int64)}
    path = save(tmp_path / "a.onnx", [outer], arrays | extra, given, [value("Y", None)])
    assert len(assert_same_numbers(path, arrays).cells) == 1


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_cases_first(tmp_path, direction):
    """`layout=1` turns x, Y and the states, and leaves the weights as they are."""
    D = 2 if direction == "bidirectional" else 1
    arrays = weights(np.random.default_rng(5), "LSTM", D, 3, 4)
    models = [
        quadgate.load(save_node(tmp_path / f"{layout}.onnx", "LSTM", arrays, direction=direction, layout=layout))
        for layout in (0, 1)
    ]
    x = np.random.default_rng(6).normal(size=(2, 5, 3)).astype(np.float32)
    assert models[0].run(x)[0].tobytes() == models[1].run(x)[0].tobytes()


def two_layers(tmp_path, between, reads, after=(), extra=(), out="Y2"):
    rng = np.random.default_rng(7)
    first, second = weights(rng, "LSTM", 2, 3, 4), weights(rng, "LSTM", 1, 8, 5)
    tensors = {f"{name}1": array for name, array in first.items()}
    tensors |= {f"{name}2": array for name, array in second.items()} | dict(extra)
    tensors |= {"shape": np.array([0, 0, 8], np.int64), "one": np.array([1], np.int64), "last": np.array(-1, np.int64)}
    nodes = [
        node("LSTM", ["x", "W1", "R1", "B1"], ["Y1"], hidden_size=4, direction="bidirectional"),
        *between,
        node("LSTM", [reads, "W2", "R2", "B2"], ["Y2", "h2"], hidden_size=5),
        *after,
    ]
    return save(tmp_path / "a.onnx", nodes, tensors, [value("x", ["T", "N", 3])], [value(out, None)])


BETWEEN = [
    node("Transpose", ["Y1"], ["turned"], perm=[0, 2, 1, 3]),
    node("Reshape", ["turned", "shape"], ["flat"]),
]


@pytest.mark.parametrize(
    "after",
    [
        [node("Squeeze", ["h2", "zero"], ["top"]), node("Gemm", ["top", "w", "b"], ["logits"], transB=1)],
        [
            node("Squeeze", ["Y2", "one"], ["steps"]),
            node("Gather", ["steps", "last"], ["top"], axis=0),
            node("Transpose", ["w"], ["w_turned"], perm=[1, 0]),
            node("MatMul", ["top", "w_turned"], ["product"]),
            node("Add", ["product", "b"], ["logits"]),
        ],
    ],
    ids=["final state", "last step"],
)
def test_layers_that_follow_each_other_and_their_head(tmp_path, after):
    rng = np.random.default_rng(8)
    extra = {"w": rng.normal(size=(2, 5)), "b": rng.normal(size=2)}
    extra = {name: array.astype(np.float32) for name, array in extra.items()} | {"zero": np.array([0], np.int64)}
    path = two_layers(tmp_path, BETWEEN, "flat", after, extra, "logits")
    model = quadgate.load(path)
    assert model.chains == (2,)
    assert not model.assumptions
    x = rng.normal(size=(N, T, 3)).astype(np.float32)
    theirs = run(path, x=x.swapaxes(0, 1))["logits"]
    np.testing.assert_allclose(model.run(x)[0], theirs, rtol=1e-5, atol=2e-6)


def test_layers_with_something_between_are_two_chains(tmp_path):
    path = two_layers(tmp_path, [*BETWEEN, node("Relu", ["flat"], ["bent"])], "bent")
    assert quadgate.load(path).chains == (1, 1)


def test_a_dense_layer_of_every_step_is_no_head(tmp_path):
    after = [node("Squeeze", ["Y2", "one"], ["steps"]), node("MatMul", ["steps", "w"], ["logits"])]
    extra = {"w": np.ones((5, 2), np.float32)}
    model = quadgate.load(two_layers(tmp_path, BETWEEN, "flat", after, extra, "logits"))
    assert model.head is None
    assert "w: of a dense layer of every step, not of the last" in model.left_out


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("order", ["ifjo", "ijfo", "oijf"])
def test_lstm_written_out(tmp_path, order, joined):
    """One step, with states from outside; C equals H, so that shapes do not tell x from h."""
    H = 4
    rng = np.random.default_rng(9)
    kernel, b = rng.normal(size=(2 * H, 4 * H)).astype(np.float32), rng.normal(size=4 * H).astype(np.float32)
    tensors = {"b": b, "kernel": kernel} if joined else {"b": b, "W": kernel[:H], "U": kernel[H:]}
    tensors |= {"first": np.array(0, np.int64), "second": np.array(1, np.int64)}
    products = (
        [node("Concat", ["x", "h"], ["xh"], axis=1), node("MatMul", ["xh", "kernel"], ["sum"])]
        if joined
        else [
            node("MatMul", ["h", "U"], ["hU"]),
            node("MatMul", ["x", "W"], ["xW"]),
            node("Add", ["hU", "xW"], ["sum"]),
        ]
    )
    nodes = [
        node("Gather", ["state", "first"], ["h"], axis=0),
        node("Gather", ["state", "second"], ["c"], axis=0),
        *products,
        node("Add", ["sum", "b"], ["z"]),
        node("Split", ["z"], [f"z{gate}" for gate in order], axis=1),
        *(node("Tanh" if gate == "j" else "Sigmoid", [f"z{gate}"], [gate]) for gate in order),
        node("Mul", ["c", "f"], ["kept"]),
        node("Mul", ["j", "i"], ["added"]),
        node("Add", ["added", "kept"], ["new_c"]),
        node("Tanh", ["new_c"], ["bent"]),
        node("Mul", ["bent", "o"], ["new_h"]),
    ]
    given = [value("x", ["N", H]), value("state", [2, "N", H])]
    path = tmp_path / "a.onnx"
    save(path, nodes, tensors, given, [value("new_h", None), value("new_c", None)], opset=12)
    if order == "oijf":
        with pytest.raises(FileFormatError, match=f"no known class keeps the gates in the order {order}"):
            quadgate.load(path)
        return
    model = quadgate.load(path)
    x, h, c = rng.normal(size=(3, N, H)).astype(np.float32)
    theirs = run(path, x=x, state=np.stack([h, c]))
    _, state = model.run(x[:, None], state=[[(c, h)]])
    np.testing.assert_allclose(state[0][0][1], theirs["new_h"], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(state[0][0][0], theirs["new_c"], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("way", ["chunk", "slices", "from the end"])
def test_two_dense_layers_and_four_gates_exported_by_torch(tmp_path, way):
    """Slices cut the gates apart; `chunk` computes where from the shape of the sum, and the exporter keeps that."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.x, self.h = torch.nn.Linear(3, 20), torch.nn.Linear(5, 20, bias=False)

        def forward(self, series):
            h = c = torch.zeros(N, 5)
            outputs = []
            for step in series.unbind(1):
                z = self.x(step) + self.h(h)
                last = z[:, -5:] if way == "from the end" else z[:, 15:]
                i, f, j, o = z.chunk(4, 1) if way == "chunk" else (z[:, :5], z[:, 5:10], z[:, 10:15], last)
                c = f.sigmoid() * c + i.sigmoid() * j.tanh()
                h = o.sigmoid() * c.tanh()
                outputs.append(h)
            return torch.stack(outputs, 1)

    torch.manual_seed(4)
    net, series = Net(), torch.randn(N, T, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which is the one that needs no further package
        torch.onnx.export(net, (series,), tmp_path / "a.onnx", dynamo=False)
    if way == "from the end":  # where that is, nothing tells without the width of the sum
        with pytest.raises(FileFormatError, match="nothing tells"):
            quadgate.load(tmp_path / "a.onnx")
        return
    model = quadgate.load(tmp_path / "a.onnx")
    assert [cell.layout for (cell,) in model.cells] == ["onnx.LSTM.written_out"]
    np.testing.assert_allclose(model.run(series.numpy())[0], net(series).detach(), rtol=1e-5, atol=2e-6)


def test_normalised_gates_are_named(tmp_path):
    H = 4
    tensors = {"kernel": np.ones((3 + H, 4 * H), np.float32), "gamma": np.ones(H, np.float32)}
    normalise = [node("LayerNormalization", [f"z{gate}", "gamma"], [f"n{gate}"]) for gate in "ijfo"]
    nodes = [
        node("Concat", ["x", "h"], ["xh"], axis=1),
        node("MatMul", ["xh", "kernel"], ["z"]),
        node("Split", ["z"], [f"z{gate}" for gate in "ijfo"], axis=1, num_outputs=4),
        *normalise,
        *(node("Tanh" if gate == "j" else "Sigmoid", [f"n{gate}"], [gate]) for gate in "ijfo"),
        node("Mul", ["c", "f"], ["kept"]),
        node("Mul", ["j", "i"], ["added"]),
        node("Add", ["added", "kept"], ["new_c"]),
        node("Tanh", ["new_c"], ["bent"]),
        node("Mul", ["bent", "o"], ["new_h"]),
    ]
    given = [value(name, ["N", size]) for name, size in (("x", 3), ("h", H), ("c", H))]
    save(tmp_path / "a.onnx", nodes, tensors, given, [value("new_h", None)], opset=18)
    with pytest.raises(FileFormatError, match="its gates are changed before they are bent, as a normalisation does"):
        quadgate.load(tmp_path / "a.onnx")


def test_what_torch_exports(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.manual_seed(3)
    module = torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    x = torch.randn(T, N, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which is the one that needs no further package
        torch.onnx.export(module, (x,), tmp_path / "a.onnx", dynamo=False)
    model = quadgate.load(tmp_path / "a.onnx")
    assert model.chains == (2,)
    ours, _ = model.run(x.numpy().swapaxes(0, 1))
    np.testing.assert_allclose(ours.swapaxes(0, 1), module(x)[0].detach(), rtol=1e-5, atol=2e-6)


def test_numbers_in_another_file(tmp_path, arrays):
    path = lstm_of(tmp_path, [], arrays)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="numbers.bin", size_threshold=0)
    assert_same_numbers(path, arrays)


def test_a_state_in_the_file_is_said(tmp_path, arrays):
    tensors = arrays | {"h0": np.full((1, 1, 4), 0.5, np.float32), "c0": np.zeros((1, 1, 4), np.float32)}
    one = node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["Y"], hidden_size=4)
    save(tmp_path / "a.onnx", [one], tensors, [value("x", ["T", 1, 3])], [value("Y", None)])
    said = [line for line in quadgate.load(tmp_path / "a.onnx").left_out if "run as state" in line]
    assert said == ["h0: initial_h of Y_node, which is not zero; give it to run as state"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"input_forget": 1}, "input_forget couples f to 1 - i"),
        ({"activations": ["Sigmoid", "Elu", "Tanh"]}, "it applies elu 1"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3]}, "it applies hardsigmoid 0.3 0.5"),
        ({"activations": ["Sigmoid", "Tanh"]}, "it has 2 activations, expected 3"),
    ],
)
def test_another_cell_is_named_and_not_read(tmp_path, arrays, attributes, reason):
    save_node(tmp_path / "a.onnx", "LSTM", arrays, **attributes)
    with pytest.raises(FileFormatError, match=reason):
        quadgate.load(tmp_path / "a.onnx")


def test_weights_that_are_given_from_outside(tmp_path, arrays):
    one = node("LSTM", ["x", "W", "R", "B"], ["Y"], hidden_size=4)
    del arrays["W"]
    given = [value("x", ["T", "N", 3]), value("W", [1, 16, 3])]
    save(tmp_path / "a.onnx", [one], arrays, given, [value("Y", None)])
    with pytest.raises(FileFormatError, match="its W is no constant of the file"):
        quadgate.load(tmp_path / "a.onnx")
