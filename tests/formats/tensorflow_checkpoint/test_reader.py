from pathlib import Path

import numpy as np
import pytest

import quadgate
from checkpoint_files import cell_arrays, write_bundle, write_single_file
from conftest import assert_float32_close
from quadgate import cell as judge
from quadgate.cell import Activations
from quadgate.errors import FileFormatError, InputError
from quadgate.layouts import LAYOUTS, decode, encode
from quadgate.model import Assumption, Head, Network
from sample_layers import sizes_of, tensors_of

CASES = ("seed_network", "basic_small", "basic_forget0", "multi", "bidirectional", "lstm_peephole_proj")
SHARED = Path(__file__).parents[4] / "shared"


def starting_state(case):
    """The state of an oracle case as a model takes it."""
    start = case.under("initial")
    if not start:
        return None
    return (((start["c"], start["h"]),),)


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_checkpoint_computes_what_tensorflow_computed(oracle, name):
    case = oracle(name)
    model = quadgate.load(case.folder / "model.ckpt")
    given = (case["x"], case.get("sequence_length"), starting_state(case))
    logits, final = model.run(*given)
    outputs, _ = model.run(*given, output="outputs")
    probabilities, _ = model.run(*given, output="probabilities")
    expected = case.get("outputs")
    if expected is None:
        expected = np.concatenate([case["outputs/fw"], case["outputs/bw"]], axis=2)
    assert_float32_close(outputs, expected)
    assert_float32_close(logits, case["logits"])
    exponentials = np.exp(case["logits"].astype(np.float64))
    assert_float32_close(probabilities, exponentials / exponentials.sum(1, keepdims=True))
    keys = {"multi": ["0/", "1/"], "bidirectional": ["fw/", "bw/"]}.get(name, [""])
    flat = [pair for layer in final for pair in layer]
    for key, (c, h) in zip(keys, flat, strict=True):
        assert_float32_close(c, case[f"final/{key}c"])
        assert_float32_close(h, case[f"final/{key}h"])


@pytest.mark.parametrize("name", ["basic_small", "multi", "bidirectional"])
def test_trained_variables_without_their_graph(oracle, name):
    case = oracle(name)
    model = quadgate.load(case.folder / "trained.ckpt")
    assert Assumption("forget_bias", 1.0, "a checkpoint does not hold it", (), "forget_bias=") in model.assumptions
    logits, _ = model.run(case["x"], case.get("sequence_length"), starting_state(case))
    np.testing.assert_allclose(logits, case["after/logits"], rtol=1e-5, atol=5e-6)


def test_the_graph_leaves_nothing_of_the_cell_to_assume(oracle):
    model = quadgate.load(oracle("basic_forget0").folder / "model.ckpt")
    assert model.cells[0][0].forget_bias == 0.0
    assert {one.setting for one in model.assumptions} == {"pool"}


def test_ways_to_name_a_checkpoint(oracle):
    folder = oracle("multi").folder
    for path in (folder, folder / "model.ckpt", folder / "model.ckpt.index", folder / "model.ckpt.meta"):
        assert quadgate.load(path).inputs == 4


def test_the_folders_checkpoint_file_points_nowhere_else(tmp_path):
    (tmp_path / "folder").mkdir()
    write_bundle(tmp_path / "outside", cell_arrays())
    write_bundle(tmp_path / "folder" / "model", cell_arrays(inputs=5))
    state = tmp_path / "folder" / "checkpoint"
    state.write_text('model_checkpoint_path: "/home/somebody/elsewhere/model"\n')
    assert quadgate.load(tmp_path / "folder").inputs == 5
    state.write_text('model_checkpoint_path: "../outside"\n')
    with pytest.raises(FileFormatError, match="not found"):
        quadgate.load(tmp_path / "folder")
    state.write_text('model_checkpoint_path: ".."\n')
    with pytest.raises(FileFormatError, match="no model_checkpoint_path"):
        quadgate.load(tmp_path / "folder")


@pytest.mark.parametrize(
    "scopes",
    [
        ("rnn/basic_lstm_cell",),
        ("my/scope/rnn/lstm_cell",),
        ("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", "rnn/multi_rnn_cell/cell_1/basic_lstm_cell"),
        ("RNN/MultiRNNCell/Cell0/LSTMCell", "RNN/MultiRNNCell/Cell1/LSTMCell"),
        ("first/rnn/basic_lstm_cell", "second/rnn/basic_lstm_cell"),
    ],
)
def test_scopes_of_a_chain(tmp_path, scopes):
    arrays = {}
    for layer, scope in enumerate(scopes):
        arrays |= cell_arrays(scope, inputs=3 if layer == 0 else 2, seed=layer)
    write_bundle(tmp_path / "x", arrays)
    model = quadgate.load(tmp_path / "x")
    assert [cell.name for (cell,) in model.cells] == list(scopes)
    assert model.network == Network(3, 2, None, layers=len(scopes))
    outputs, _ = model.run(np.ones((1, 4, 3)))
    assert outputs.shape == (1, 4, 2)


def test_ten_layers_keep_their_order(tmp_path):
    arrays = {}
    for layer in range(11):
        arrays |= cell_arrays(f"rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell", inputs=2, seed=layer)
    write_bundle(tmp_path / "x", arrays)
    names = [cell.name.split("/")[2] for (cell,) in quadgate.load(tmp_path / "x").cells]
    assert names == [f"cell_{layer}" for layer in range(11)]


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        ("bidirectional_rnn/fw/basic_lstm_cell", "bidirectional_rnn/bw/basic_lstm_cell"),
        ("BiRNN/FW/BasicLSTMCell", "BiRNN/BW/BasicLSTMCell"),
        ("BiRNN_FW/BasicLSTMCell", "BiRNN_BW/BasicLSTMCell"),
    ],
)
def test_two_directions(tmp_path, forward, backward):
    arrays = cell_arrays(backward, seed=1) | cell_arrays(forward)
    old = {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}
    if forward.endswith("BasicLSTMCell"):
        arrays = {f"{name.rpartition('/')[0]}/{old[name.rpartition('/')[2]]}": a for name, a in arrays.items()}
    write_bundle(tmp_path / "x", arrays)
    ((one, other),) = quadgate.load(tmp_path / "x").cells
    assert (one.name.startswith(forward), one.reverse) == (True, False)
    assert (other.name.startswith(backward), other.reverse) == (True, True)


def test_a_stack_in_each_direction_is_a_chain_of_its_own(tmp_path):
    arrays = {}
    for direction in ("fw", "bw"):
        for layer, inputs in enumerate((3, 2)):
            scope = f"bidirectional_rnn/{direction}/multi_rnn_cell/cell_{layer}/basic_lstm_cell"
            arrays |= cell_arrays(scope, inputs, seed=layer)
    write_bundle(tmp_path / "x", arrays)
    model = quadgate.load(tmp_path / "x")
    assert model.chains == (2, 2)
    assert model.chain(1).run(np.ones((1, 2, 3)))[0].shape == (1, 2, 2)
    with pytest.raises(InputError, match="2 separate chains"):
        model.run(np.ones((1, 2, 3)))


def test_slots_and_counters_are_left_out_and_named(tmp_path):
    arrays = cell_arrays()
    for name in list(arrays):
        for slot in ("Adam", "Adam_1", "Momentum", "ExponentialMovingAverage"):
            arrays[f"{name}/{slot}"] = arrays[name]
    arrays["train/rnn/basic_lstm_cell/kernel/RMSProp_1"] = arrays["rnn/basic_lstm_cell/kernel"]
    arrays |= {name: np.float32(0.9).reshape(()) for name in ("beta1_power", "beta2_power", "opt/beta1_power_1")}
    arrays |= {"global_step": np.array(7), "lookup": np.arange(3)}
    write_bundle(tmp_path / "x", arrays)
    model = quadgate.load(tmp_path / "x")
    assert list(model.variables) == ["rnn/basic_lstm_cell/bias", "rnn/basic_lstm_cell/kernel"]
    reasons = dict(line.split(": ") for line in model.left_out)
    assert len(reasons) == 2 * 4 + 1 + 3 + 2
    assert reasons["rnn/basic_lstm_cell/bias/ExponentialMovingAverage"] == "a moving average"
    assert reasons["global_step"] == "the count of training steps"
    assert reasons["lookup"] == "not floating point"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ({"w": (2, 5), "b": (5,)}, Head("w", "b", 2, 5)),
        ({"embedding": (9, 3), "w": (2, 9), "b": (9,)}, Head("w", "b", 2, 9)),  # vocabulary in front and behind
        ({"w": (2, 5), "b": (5,), "other": (5,)}, None),  # two could be the bias
        ({"w": (2, 5), "b": (5,), "w2": (5, 4), "b2": (4,)}, None),  # a hidden layer
        ({"w": (7, 5), "b": (5,)}, None),
        ({"w": (2, 5)}, None),
        ({}, None),
    ],
)
def test_the_head_is_taken_where_it_is_certain(tmp_path, rest, expected):
    write_bundle(tmp_path / "x", cell_arrays() | {name: np.ones(s, np.float32) for name, s in rest.items()})
    model = quadgate.load(tmp_path / "x")
    assert model.head == expected
    if expected is None:
        with pytest.raises(InputError, match="no classifier head"):
            model.run(np.ones((1, 2, 3)), output="logits")


def test_a_checkpoint_without_a_cell(tmp_path):
    write_bundle(tmp_path / "x", {"dense/kernel": np.ones((3, 4), np.float32)})
    with pytest.raises(FileFormatError, match="no LSTM or GRU cell among its 1 variables"):
        quadgate.load(tmp_path / "x")


def test_version_1_gives_the_model_that_version_2_gives(tmp_path):
    arrays = cell_arrays("rnnlm/MultiRNNCell/Cell0/BasicLSTMCell") | {
        "softmax_w": np.ones((2, 3), np.float32),
        "softmax_b": np.ones(3, np.float32),
    }
    write_single_file(tmp_path / "old", arrays)
    write_bundle(tmp_path / "new", arrays)
    old, new = quadgate.load(tmp_path / "old"), quadgate.load(tmp_path / "new")
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_array_equal(old.run(x)[0], new.run(x)[0])
    assert old.network == new.network


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real models is not beside this clone")
@pytest.mark.parametrize(
    ("name", "classes", "forget_bias_known"),
    [
        ("03_charrnn_poem_tf1_v1", 150, False),
        ("04_charrnn_artclasses_tf1", 67, True),
    ],
)
def test_networks_that_others_trained(name, classes, forget_bias_known):
    folder = SHARED / "models" / name
    model = quadgate.load(folder / "model.ckpt-46499" if forget_bias_known else folder)
    assert model.network == Network(inputs=128, units=128, classes=classes, layers=2)
    assert any(one.setting == "forget_bias" for one in model.assumptions) != forget_bias_known
    logits, _ = model.run(np.random.default_rng(0).normal(size=(2, 9, 128)))
    assert np.isfinite(logits).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the oracle with its graphs is not beside this clone")
def test_the_seed_networks_table_in_the_graphs_order():
    folder = SHARED / "oracle" / "seed_network"
    table, _, layers = str(quadgate.load(folder / "model.ckpt").summary()).partition("\n\n")
    assert "(12 inputs + 64 hidden) x (4 gates x 64 units) = 76 x 256 = 19,456" in layers
    assert [line.split() for line in table.splitlines()] == [
        line.split() for line in (folder / "variables.txt").read_text().splitlines()
    ]


SCOPES = [
    ("tf1.LSTMCell", "rnn/lstm_cell", True),
    ("tf1.LSTMBlockFusedCell", "rnn/lstm_fused_cell", False),
    ("tf1.LSTMBlockFusedCell", "lstm_block_wrapper", False),
    ("tf1.CudnnCompatibleLSTMCell", "rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell", False),
    ("tf1.LayerNormBasicLSTMCell", "rnn/layer_norm_basic_lstm_cell", False),
    ("tf1.0.BasicLSTMCell", "rnn/basic_lstm_cell", False),
    ("tf1.0.LSTMCell", "rnn/lstm_cell", True),
    ("tf0.BasicLSTMCell", "RNN/BasicLSTMCell", False),
    ("tf0.5.LSTMCell", "RNN/LSTMCell", True),
    ("tf0.7.LSTMCell", "model/RNN/LSTMCell", True),
    ("tf0.11.LSTMBlockCell", "RNN/LSTMBlockCell", False),
    ("tf1.GRUCell", "rnn/gru_cell", False),
    ("keras2.LSTM", "my/lstm", False),
    ("keras2.GRU.reset_before", "gru", False),
    ("keras.CuDNNLSTM", "cu_dnnlstm", False),
]


@pytest.mark.parametrize(
    ("row", "scope", "projected", "shards"),
    [(*one, 1) for one in SCOPES] + [(*one, 3) for one in SCOPES if one[0] in ("tf0.5.LSTMCell", "tf0.7.LSTMCell")],
)
def test_every_class_of_a_checkpoint(tmp_path, row, scope, projected, shards):
    layout = LAYOUTS[row]
    tensors = tensors_of(layout, sizes_of(3, 5, 4 if projected else None), projected=projected)
    parameters = decode(tensors, row)
    if shards > 1:
        tensors = encode(parameters, row, shards={tensor.name: shards for tensor in layout.tensors}).tensors
    write_bundle(tmp_path / "x", {f"{scope}/{name}": array for name, array in tensors.items()})
    asked = {"activations": parameters.activations} if not layout.activations.fixed else {}
    model = quadgate.load(tmp_path / "x", **asked)
    ((cell,),), ((loaded,),) = model.cells, model.layers
    if not (row == "tf0.5.LSTMCell" and shards == 1):  # one shard of 0.5 is one of 0.7
        assert cell.layout == row
    for name in ("w_x", "w_h", "b_x", "b_h", "peepholes", "projection"):
        wanted = getattr(parameters, name, None)
        if wanted is not None:
            np.testing.assert_array_equal(getattr(loaded, name), wanted)
    run = judge.gru if cell.kind == "gru" else judge.lstm
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    np.testing.assert_allclose(model.run(x, output="outputs")[0], run(x, loaded)[0], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    "names",
    [
        {"gates/kernel": "gates/weights", "gates/bias": "gates/biases"},
        {"gates/kernel": "Gates/Linear/Matrix", "gates/bias": "Gates/Linear/Bias"},
    ],
)
def test_a_gru_under_its_older_names(tmp_path, names):
    names |= {
        key.replace("gates", "candidate"): name.replace("gates", "candidate").replace("Gates", "Candidate")
        for key, name in names.items()
    }
    scope = "RNN/GRUCell" if "Gates" in str(names) else "rnn/gru_cell"
    tensors = tensors_of(LAYOUTS["tf1.GRUCell"], sizes_of(3, 5))
    write_bundle(tmp_path / "x", {f"{scope}/{names[name]}": array for name, array in tensors.items()})
    ((cell,),) = quadgate.load(tmp_path / "x").cells
    assert (cell.kind, cell.inputs, cell.units, cell.reset_after) == ("gru", 3, 5, False)


def test_cudnns_own_vector_is_named(tmp_path):
    write_bundle(tmp_path / "x", {"cudnn_lstm/opaque_kernel": np.ones(400, np.float32)})
    with pytest.raises(FileFormatError, match="cudnn_lstm/opaque_kernel is cuDNN's own vector"):
        quadgate.load(tmp_path / "x")
    canonical = cell_arrays("rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell")
    write_bundle(tmp_path / "y", canonical | {"cudnn_lstm/opaque_kernel": np.ones(400, np.float32)})
    model = quadgate.load(tmp_path / "y")
    assert model.left_out == ("cudnn_lstm/opaque_kernel: cuDNN's own vector, whose sizes no shape tells",)
    assert (model.cells[0][0].forget_bias, model.assumptions) == (0.0, ())


@pytest.mark.parametrize("scope", ["rnn/layer_norm_basic_lstm_cell", "RNN/LayerNormBasicLSTMCell", "rnn/lstm_cell"])
def test_a_cell_that_normalises_its_gates_is_named_and_none(tmp_path, scope):
    norms = {f"{scope}/{gate}/gamma": np.ones(2, np.float32) for gate in ("input", "transform", "forget", "output")}
    write_bundle(tmp_path / "x", cell_arrays(scope) | norms)
    what = "quadgate.rnn.LayerNormBasicLSTMCell computes it" if "orm" in scope else "a cell that normalises its gates"
    with pytest.raises(FileFormatError, match=f"found no LSTM or GRU that can be used: {scope} is .*{what}"):
        quadgate.load(tmp_path / "x")


def test_a_normalisation_that_is_called_as_a_gate_condemns_no_cell_beside_it(tmp_path):
    norm = {"net/output/gamma": np.ones(2, np.float32), "net/output/beta": np.ones(2, np.float32)}
    write_bundle(tmp_path / "x", cell_arrays("net/rnn/lstm_cell") | norm)
    model = quadgate.load(tmp_path / "x")
    assert [cell.name for (cell,) in model.cells] == ["net/rnn/lstm_cell"]
    assert [one.partition(":")[0] for one in model.left_out] == ["net/output/beta", "net/output/gamma"]
    assert not any("normalises" in one for one in model.left_out)


def test_another_cell_beside_an_lstm_is_named_in_what_is_left_out(tmp_path):
    other = {"rnn/nas_cell/kernel": np.ones((5, 16), np.float32)}
    write_bundle(tmp_path / "x", cell_arrays("rnn/lstm_cell") | other)
    model = quadgate.load(tmp_path / "x")
    assert [cell.name for (cell,) in model.cells] == ["rnn/lstm_cell"]
    assert model.left_out == ("rnn/nas_cell/kernel: of rnn/nas_cell, a NASCell, which has eight gates",)


def test_a_normalised_cell_of_keras_is_none(tmp_path):
    arrays = {
        f"net/cell/{name}": np.ones(shape, np.float32)
        for name, shape in (("kernel", (3, 8)), ("recurrent_kernel", (2, 8)), ("bias", (8,)))
    }
    write_bundle(tmp_path / "x", arrays | {"net/cell/kernel_norm/gamma": np.ones(8, np.float32)})
    with pytest.raises(FileFormatError, match="net/cell is a cell that normalises its gates"):
        quadgate.load(tmp_path / "x")


def test_settings_of_single_layers(tmp_path):
    scopes = ["encoder/rnn/basic_lstm_cell", "decoder/rnn/basic_lstm_cell"]
    write_bundle(tmp_path / "x", cell_arrays(scopes[0]) | cell_arrays(scopes[1]))
    ours = Activations()
    model = quadgate.load(tmp_path / "x", activations=ours, layers={"encoder": {"forget_bias": 0.0}})
    assert {cell.name: cell.forget_bias for (cell,) in model.cells} == dict(zip(scopes, (0.0, 1.0), strict=True))
    assert [one.cells for one in model.assumptions if one.setting == "forget_bias"] == [(scopes[1],)]
    told = {"encoder/rnn": {"forget_bias": 0.0}, scopes[1]: {"forget_bias": 0.5}}
    model = quadgate.load(tmp_path / "x", activations=ours, forget_bias=2.0, layers=told)
    assert {cell.forget_bias for (cell,) in model.cells} == {0.0, 0.5}
    assert "forget_bias" not in {one.setting for one in model.assumptions}
    nested = {scopes[1]: {"forget_bias": 0.5}, "decoder": {"forget_bias": 0.25}}  # the nearer place counts
    model = quadgate.load(tmp_path / "x", activations=ours, forget_bias=2.0, layers=nested)
    assert {cell.name: cell.forget_bias for (cell,) in model.cells} == dict(zip(scopes, (2.0, 0.5), strict=True))
    with pytest.raises(InputError, match=r"settings for a layer 'enc', expected one of decoder/rnn/basic_lstm_cell"):
        quadgate.load(tmp_path / "x", layers={"enc": {"forget_bias": 0.0}})
