"""What is written runs in ONNX Runtime as the model itself runs, and is read back as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quadgate
from onnx_files import onnx, run
from quadgate.errors import InputError
from quadgate.model import Model, Network, Scaling
from quadgate.model.build import Found, build
from sample_layers import sizes_of, tensors_of

N, T = 4, 6


def names(model):
    """The name of each state in ONNX, and where it is in `state`."""
    for k, layer in enumerate(model.cells):
        for d, cell in enumerate(layer):
            suffix = f"{k}_reverse" if cell.reverse else str(k)
            for place, name in enumerate(["c", "h"] if cell.kind == "lstm" else ["h"]):
                yield f"{name}_{suffix}", (k, d, place)


def assert_runs_alike(model, path, seed=0):
    """Both on the same batch, in two pieces: unequal lengths, one zero, states not zero, the padding NaN at the end."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, T, model.inputs)).astype(np.float32)
    state = [
        [
            tuple(rng.normal(size=(N, cell.units)).astype(np.float32) for _ in range(1 + (cell.kind == "lstm")))
            for cell in layer
        ]
        for layer in model.cells
    ]
    feed = {name: state[k][d][place] for name, (k, d, place) in names(model)}
    outputs = ["outputs", "logits", "probabilities"][: 1 if model.head is None else 2 if model.head.classes == 1 else 3]
    for lengths in (np.array([T, 0, 1, 3]), np.array([2, T, 0, 1])):
        theirs = run(path, x=x, lengths=lengths, **feed)
        for output in outputs:
            ours, final = model.run(x, lengths, state, output=output)
            np.testing.assert_allclose(theirs[output], ours, rtol=1e-5, atol=2e-6, err_msg=output)
        for name, (k, d, place) in names(model):
            np.testing.assert_allclose(theirs[f"new_{name}"], final[k][d][place], rtol=1e-5, atol=2e-6, err_msg=name)
        state, feed = final, {name: theirs[f"new_{name}"] for name in feed}


@settings(max_examples=25, deadline=None)
@given(
    inputs=st.sampled_from([1, 3]),
    units=st.sampled_from([1, 5]),
    classes=st.sampled_from([None, 1, 4]),
    layers=st.sampled_from([1, 2]),
    bidirectional=st.booleans(),
    pool=st.sampled_from(["last", "mean", "max", "attention"]),
    forget_bias=st.sampled_from([0.0, 1.0]),
    activation=st.sampled_from(["tanh", "sigmoid", "hard_sigmoid", "hard_sigmoid_v3", "linear"]),
    scaled=st.booleans(),
)
def test_networks(tmp_path_factory, scaled, **options):
    network = Network(**options)
    rng = np.random.default_rng(network.units)
    variables = {name: (0.3 * rng.normal(size=shape)).astype(np.float32) for name, shape in network.shapes.items()}
    scaling = Scaling(rng.normal(size=network.inputs), rng.uniform(0.5, 2, network.inputs)) if scaled else None
    labels = None if network.classes is None else tuple("abcd"[: network.classes])
    model = Model(network, variables, labels=labels, scaling=scaling)
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    quadgate.save(model, path)
    assert_runs_alike(model, path)
    again = quadgate.load(path)
    assert again.labels == labels
    assert again.chains == (network.layers,)
    assert not again.left_out
    rng = np.random.default_rng(1)
    x = rng.normal(size=(N, T, network.inputs)).astype(np.float32)
    np.testing.assert_allclose(again.run(x)[0], model.run(x)[0], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("row", ["torch.nn.LSTM", "torch.nn.GRU", "keras.LSTM", "onnx.LSTM", "flax.linen.GRUCell"])
def test_layers_of_other_frameworks(tmp_path, row):
    """Two biases, peepholes, a GRU of either kind: everything that ONNX has a place for."""
    tensors = {
        name.replace("_l0", "_l0"): array
        for name, array in tensors_of(quadgate.layouts.LAYOUTS[row], sizes_of(3, 4)).items()
    }
    model = build(tensors, [Found("one", row, {name: name for name in tensors})], source="memory")
    quadgate.save(model, tmp_path / "a.onnx")
    assert_runs_alike(model, tmp_path / "a.onnx")


def test_the_file_is_valid_and_says_what_it_takes(tmp_path):
    network = Network(inputs=3, units=4, classes=2, bidirectional=True)
    model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    quadgate.save(model, tmp_path / "a.onnx")
    graph = onnx.load(tmp_path / "a.onnx").graph
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    assert [one.name for one in graph.input] == ["x", "lengths", "h_0", "c_0", "h_0_reverse", "c_0_reverse"]
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == ["N", "T", 3]
    assert [one.name for one in graph.output][:3] == ["logits", "probabilities", "outputs"]


def test_a_projection_has_no_place(tmp_path):
    tensors = tensors_of(quadgate.layouts.LAYOUTS["torch.nn.LSTM"], sizes_of(3, 4, 2), projected=True)
    model = build(tensors, [Found("one", "torch.nn.LSTM", {name: name for name in tensors})], source="memory")
    with pytest.raises(InputError, match=r"onnx\.LSTM: .*projection"):
        quadgate.save(model, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
