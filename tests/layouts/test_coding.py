import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.cell import Activations, GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts import LAYOUTS, decode, encode
from sample_layers import GRUS, LSTMS, USABLE, name_of, plain_settings, sizes_of, tensors_of

every_row = pytest.mark.parametrize("row", USABLE, ids=name_of)
sizes = st.integers(1, 7)


def assert_same_bits(actual, expected):
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        assert actual[name].shape == tensor.shape
        assert actual[name].tobytes() == tensor.tobytes(), name


@every_row
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_encoding_what_was_decoded_gives_the_same_bits(row, data):
    C, H, P = (data.draw(sizes, label) for label in "CHP")
    projected = "projection" in row.optional and data.draw(st.booleans(), "projected")
    choices = [choice for choice in ({"peepholes"}, {"b_x", "b_h"}) if choice & row.optional]
    without = set().union(*(choice for choice in choices if data.draw(st.booleans(), f"without {choice}")))
    layer, reverse = data.draw(st.integers(0, 12), "layer"), data.draw(st.booleans(), "reverse")
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]), "dtype")
    tensors = tensors_of(
        row,
        sizes_of(C, H, P if projected else None),
        without,
        projected=projected,
        layer=layer,
        reverse=reverse,
        dtype=dtype,
        seed=data.draw(st.integers(0, 9), "seed"),
    )
    units = {"units": H} if row.flat else {}
    parameters = decode(tensors, row, layer=layer, reverse=reverse, **units, **plain_settings(row))
    assert (parameters.inputs, parameters.units) == (C, H)
    encoded = encode(parameters, row, layer=layer)
    assert_same_bits(encoded.tensors, tensors)
    assert encoded.folded == ()
    assert encoded.settings == plain_settings(row) | {"reverse": reverse} | flags(row)


def flags(row):
    """The settings of plain layers that `encode` names although `decode` finds them by itself."""
    return {"forget_bias": 0.0} if row.forget.choices and len(row.forget.choices) > 1 else {}


def judged(parameters):
    """What decides a layer's function: the weights, and the sum of all that is added to a gate."""
    bias = np.zeros_like(parameters.w_x[:, 0])
    for stored in (parameters.b_x, parameters.b_h):
        bias = bias if stored is None else bias + stored
    if isinstance(parameters, LSTMParameters):
        bias[2] += parameters.forget_bias
    return parameters.w_x, parameters.w_h, bias


def whole_numbers(row, sizes):
    """Float32 integers, whose sums are exact."""
    tensors = tensors_of(row, sizes, {"peepholes"} & row.optional)
    return {name: np.round(100 * tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize("source", LSTMS, ids=name_of)
def test_every_pair_of_lstm_rows_composes(source):
    tensors = whole_numbers(source, sizes_of(3, 5))
    if "peepholes" not in source.optional:
        for tensor in source.holding("peepholes"):  # zero peepholes are none
            last = tensors[tensor.name]
            last[..., -3 if tensor.arrays != {"peepholes"} else 0 :] = 0
    parameters = decode(tensors, source, units=5, **plain_settings(source))
    for target in LSTMS:
        encoded = encode(parameters, target)
        again = decode(encoded.tensors, target, units=5, **encoded.settings)
        for found, expected in zip(judged(again), judged(parameters), strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=target.name)
        assert bool(encoded.folded) == (
            (parameters.b_x is not None and parameters.b_h is not None and len(target.biases) == 1)
            or again.forget_bias != parameters.forget_bias
        )


@pytest.mark.parametrize(("source", "target"), list(itertools.product(GRUS, GRUS)), ids=name_of)
def test_every_pair_of_gru_rows_composes_or_says_why_not(source, target):
    tensors = whole_numbers(source, sizes_of(3, 5))
    parameters = decode(tensors, source, **plain_settings(source))
    if target.reset_after is not None and target.reset_after != parameters.reset_after:
        with pytest.raises(InputError, match="the reset"):
            encode(parameters, target)
        return
    encoded = encode(parameters, target)
    again = decode(encoded.tensors, target, **encoded.settings)
    assert again.reset_after == parameters.reset_after
    for found, expected in zip(judged(again), judged(parameters), strict=True):
        np.testing.assert_array_equal(found, expected)
    if parameters.reset_after and parameters.b_h is not None:
        np.testing.assert_array_equal(again.b_h[2], parameters.b_h[2])  # the one that the reset acts on stays there


def named_gates(C=2, H=3):
    """A layer whose weights say what they are: 1000 * gate + 100 * (0 for x, 1 for h) + 10 * row + unit."""
    gate, row, unit = (axis.astype(np.float32) for axis in np.ogrid[0:4, 0:10, 0:H])
    weights = 1000 * gate + 10 * row + unit
    b_x = 1000 * gate[:, 0] + 50 + unit[0]
    return LSTMParameters(weights[:, :C], 100 + weights[:, :H], b_x, b_x + 100)


I, J, F, O = 0, 1000, 2000, 3000  # noqa: E741


@pytest.mark.parametrize(
    ("name", "tensor", "first"),
    [
        ("tf1.BasicLSTMCell", "kernel", lambda k: [k[0, 3 * n] for n in range(4)]),
        ("tf.raw_ops.BlockLSTMV2", "w", lambda k: [k[0, 3 * n] for n in (0, 2, 1, 3)]),
        ("keras.LSTM", "kernel", lambda k: [k[0, 3 * n] for n in (0, 2, 1, 3)]),
        ("keras1.LSTM.gpu", "W", lambda k: [k[0, 3 * n] for n in (0, 2, 1, 3)]),
        ("torch.nn.LSTM", "weight_ih_l0", lambda k: [k[3 * n, 0] for n in (0, 2, 1, 3)]),
        ("onnx.LSTM", "W", lambda k: [k[0, 3 * n, 0] for n in (0, 3, 2, 1)]),
        ("coreml.mil.lstm", "weight_ih", lambda k: [k[3 * n, 0] for n in (0, 3, 1, 2)]),
        ("caffe2.LSTM", "i2h_w", lambda k: [k[3 * n, 0] for n in (0, 3, 1, 2)]),
        ("openvino.LSTMSequence", "W", lambda k: [k[0, 3 * n, 0] for n in (1, 2, 0, 3)]),
        ("dl4j.LSTM", "W", lambda k: [k[0, 3 * n] for n in (3, 0, 1, 2)]),
        ("chainer.LSTM", "upward/W", lambda k: [k[n, 0] for n in (1, 0, 2, 3)]),
        ("theano.tutorial.lstm", "lstm_W", lambda k: [k[0, 3 * n] for n in (0, 3, 1, 2)]),
        ("torch7.SeqLSTM", "weight", lambda k: [k[0, 3 * n] for n in (0, 3, 1, 2)]),
        ("torch7.FastLSTM", "i2g.weight", lambda k: [k[3 * n, 0] for n in range(4)]),
        ("haiku.LSTM", "w", lambda k: [k[0, 3 * n] for n in range(4)]),
        ("haste.pytorch.LSTM", "kernel", lambda k: [k[0, 3 * n] for n in range(4)]),
        ("sonnet2.LSTM", "w_i", lambda k: [k[0, 3 * n] for n in (0, 2, 1, 3)]),
        ("cntk.LSTM", "W", lambda k: [k[0, 3 * n] for n in range(4)]),
        ("tflite.LSTM.basic", "weights", lambda k: [k[3 * n, 0] for n in range(4)]),
        ("tf1.CudnnLSTM", "opaque_kernel", lambda k: [k[6 * n] for n in (0, 2, 1, 3)]),
    ],
)
def test_each_gate_stands_where_the_framework_looks_for_it(name, tensor, first):
    assert first(encode(named_gates(), name).tensors[tensor]) == [I, J, F, O]


def test_one_kernel_keeps_the_rows_of_x_above_those_of_h():
    kernel = encode(named_gates(), "tf1.BasicLSTMCell").tensors["kernel"]
    assert kernel[:, 4].tolist() == [J + 1, J + 11, J + 101, J + 111, J + 121]
    turned = encode(named_gates(), "tflite.LSTM.basic").tensors["weights"]
    np.testing.assert_array_equal(turned, kernel.T)


def test_one_vector_keeps_all_weights_before_all_biases():
    vector = encode(named_gates(), "tf1.CudnnLSTM").tensors["opaque_kernel"]
    assert vector[:6].tolist() == [0, 10, 1, 11, 2, 12]  # unit by unit, each with its row of inputs
    assert vector[24] == 100  # h
    assert vector[60:63].tolist() == [50, 51, 52]
    assert vector[72] == 150


def test_eight_blocks_of_biases():
    for name, order in (("onnx.LSTM", (I, O, F, J)), ("keras.CuDNNLSTM", (I, F, J, O))):
        encoded = encode(named_gates(), name).tensors
        bias = encoded["B" if "B" in encoded else "bias"].reshape(8, 3)
        assert bias[:, 0].tolist() == [gate + side for side in (50, 150) for gate in order]


def test_peepholes_have_an_order_of_their_own():
    peepholes = np.arange(6, dtype=np.float32).reshape(3, 2)  # i, f, o
    layer = LSTMParameters(np.ones((4, 1, 2), np.float32), np.ones((4, 2, 2), np.float32), peepholes=peepholes)
    assert encode(layer, "onnx.LSTM").tensors["P"].tolist() == [[0, 1, 4, 5, 2, 3]]
    assert encode(layer, "coreml.mil.lstm").tensors["peephole"].tolist() == [0, 1, 2, 3, 4, 5]
    assert encode(layer, "dl4j.GravesLSTM").tensors["RW"][:, -3:].tolist() == [[2, 4, 0], [3, 5, 1]]
    assert encode(layer, "tf1.LSTMCell").tensors["w_f_diag"].tolist() == [2, 3]


def test_the_projection_is_turned_where_the_framework_turns_it():
    projection = np.arange(6.0).reshape(3, 2)  # H, P
    layer = LSTMParameters(np.ones((4, 5, 3)), np.ones((4, 2, 3)), projection=projection)
    for name, tensor, turned in (
        ("tf1.LSTMCell", "projection/kernel", False),
        ("paddle.nn.LSTMCell", "weight_ho", False),
        ("torch.nn.LSTM", "weight_hr_l0", True),
        ("tflite.LSTM", "projection_weights", True),
        ("mxnet.gluon.rnn.LSTM", "l0_h2r_weight", True),
    ):
        stored = encode(layer, name).tensors[tensor]
        np.testing.assert_array_equal(stored, projection.T if turned else projection)


def test_reread_memory_is_neither_the_block_nor_its_transpose():
    layer = LSTMParameters(
        np.arange(24.0).reshape(4, 2, 3), np.arange(36.0).reshape(4, 3, 3), np.zeros((4, 3)), np.zeros((4, 3))
    )
    stored = encode(layer, "keras.CuDNNLSTM").tensors
    block = layer.w_x[0]
    np.testing.assert_array_equal(stored["kernel"][:, :3].reshape(3, 2).T, block)
    assert not np.array_equal(stored["kernel"][:, :3], block)
    np.testing.assert_array_equal(stored["recurrent_kernel"][:, :3].T, layer.w_h[0])
    np.testing.assert_array_equal(stored["kernel"][:, 3:6].reshape(3, 2).T, layer.w_x[2])  # f is the second block


@given(C=sizes, H=sizes, P=sizes, rows=st.integers(1, 4), columns=st.integers(1, 4), projection=st.integers(1, 3))
def test_shards_come_together_and_apart_again(C, H, P, rows, columns, projection):
    for name, count, axis in (("tf0.5.LSTMCell", columns, 1), ("tf0.7.LSTMCell", rows, 0)):
        row = LAYOUTS[name]
        whole = tensors_of(row, sizes_of(C, H, P), projected=True)
        shards = {
            "W_{shard}": min(count, whole["W_0"].shape[axis]),
            "W_P_{shard}": min(projection, H if not axis else P),
        }
        parameters = decode(whole, row)
        cut = encode(parameters, row, shards=shards).tensors
        assert [name for name in cut if name.startswith("W_") and name[2:].isdigit()] == [
            f"W_{k}" for k in range(shards["W_{shard}"])
        ]
        np.testing.assert_array_equal(
            np.concatenate([cut[f"W_{k}"] for k in range(shards["W_{shard}"])], axis), whole["W_0"]
        )
        again = decode(cut, row)
        np.testing.assert_array_equal(again.w_x, parameters.w_x)
        np.testing.assert_array_equal(again.projection, parameters.projection)
        assert_same_bits(encode(again, row, shards=shards).tensors, cut)


def test_rows_that_do_not_divide_give_one_more_to_the_first_shards():
    whole = tensors_of(LAYOUTS["tf0.7.LSTMCell"], sizes_of(3, 4), {"peepholes"})
    cut = encode(decode(whole, "tf0.7.LSTMCell"), "tf0.7.LSTMCell", shards={"W_{shard}": 3}).tensors
    assert [len(cut[f"W_{k}"]) for k in range(3)] == [3, 2, 2]


def test_a_run_time_forget_bias_goes_into_the_stored_one_and_says_so():
    kernel, bias = np.zeros((5, 12), np.float32), np.arange(12, dtype=np.float32)
    layer = decode({"kernel": kernel, "bias": bias}, "tf1.BasicLSTMCell")
    assert layer.forget_bias == 1.0
    encoded = encode(layer, "keras.LSTM")
    assert encoded.tensors["bias"].tolist() == [0, 1, 2, 7, 8, 9, 3, 4, 5, 9, 10, 11]
    assert encoded.folded == ("forget bias of 1, added while running, into bias",)
    assert "forget_bias" not in encoded.settings
    back = encode(decode(encoded.tensors, "keras.LSTM"), "tf1.BasicLSTMCell")
    assert back.settings["forget_bias"] == 0.0  # not 1: it is stored now, and must not count twice
    flax = encode(layer, "flax.linen.LSTMCell")
    assert flax.folded == ("forget bias of 1, added while running, into hf/bias",)
    assert flax.tensors["hf/bias"].tolist() == [7, 8, 9]


def test_a_class_that_always_adds_one_gets_the_difference():
    layer = LSTMParameters(np.zeros((4, 1, 2)), np.zeros((4, 2, 2)), np.full((4, 2), 5.0))
    encoded = encode(layer, "haiku.LSTM")
    assert encoded.tensors["b"].tolist() == [5, 5, 5, 5, 4, 4, 5, 5]
    assert encoded.folded == ("-1 into the forget gate's b: the class always adds 1, the layer 0",)


def test_a_flag_holds_one_and_nothing_else():
    layer = LSTMParameters(np.zeros((4, 1, 2)), np.zeros((4, 2, 2)), np.zeros((4, 2)), forget_bias=1.0)
    assert encode(layer, "coreml.LSTM").settings["forget_bias"] == 1.0
    other = LSTMParameters(np.zeros((4, 1, 2)), np.zeros((4, 2, 2)), np.zeros((4, 2)), forget_bias=0.5)
    encoded = encode(other, "coreml.LSTM")
    assert encoded.tensors["forgetGateBiasVector"].tolist() == [0.5, 0.5]
    assert decode(encoded.tensors, "coreml.LSTM", **encoded.settings).forget_bias == 0.0


def test_two_biases_into_one_are_added_and_one_into_two_leaves_a_zero():
    one = encode(named_gates(), "keras.LSTM")
    assert one.tensors["bias"][:3].tolist() == [200, 202, 204]
    assert one.folded == ("b_h added to b_x in bias",)
    two = encode(decode(one.tensors, "keras.LSTM"), "torch.nn.LSTM")
    assert not two.tensors["bias_hh_l0"].any()
    assert two.folded == ()
    side = encode(decode(one.tensors, "keras.LSTM"), "flax.nnx.LSTMCell")
    assert side.tensors["hi/bias"].tolist() == [200, 202, 204]
    assert side.folded == ()  # it stands on the other side, but nothing was added


def gru(b_h, reset_after):
    weights = np.zeros((3, 2, 2))
    return GRUParameters(weights, weights, np.ones((3, 2)), b_h, reset_after=reset_after)


def test_a_candidates_recurrent_bias_moves_only_where_the_reset_does_not_act_on_it():
    b_h = np.array([[1.0, 1], [2, 2], [3, 3]])
    before = encode(gru(b_h, reset_after=False), "tf1.GRUCell")
    assert before.tensors["gates/bias"].tolist() == [3, 3, 2, 2]  # r, z
    assert before.tensors["candidate/bias"].tolist() == [4, 4]
    after = encode(gru(b_h, reset_after=True), "flax.linen.GRUCell").tensors
    assert (after["ir/bias"].tolist(), after["in/bias"].tolist(), after["hn/bias"].tolist()) == ([3, 3], [1, 1], [3, 3])
    assert encode(gru(np.zeros((3, 2)), reset_after=False), "keras.GRU.reset_before").folded == ()


def layer_with(**more):
    weights = np.ones((4, 2, 2), np.float32)
    return LSTMParameters(weights, weights, np.ones((4, 2), np.float32), **more)


@pytest.mark.parametrize(
    ("layer", "name", "told"),
    [
        (layer_with(peepholes=np.ones((3, 2))), "torch.nn.LSTM", "cannot hold peepholes"),
        (layer_with(projection=np.ones((2, 2))), "keras.LSTM", "cannot hold a projection to 2"),
        (layer_with(cell_clip=3.0), "onnx.LSTM", "cannot hold cell_clip=3"),
        (layer_with(input_clip=3.0), "tf1.LSTMCell", "cannot hold input_clip=3"),
        (layer_with(projection_clip=1.0), "torch.nn.LSTM", "cannot hold projection_clip=1"),
        (layer_with(activations=Activations(gate="hard_sigmoid")), "torch.nn.LSTM", "cannot apply hard_sigmoid"),
        (layer_with(activations=Activations(gate="hard_sigmoid")), "keras.LSTM", "only sigmoid or tanh or"),
        (layer_with(activations=Activations(output="relu")), "keras.LSTM", "one function serves"),
        (layer_with(activations=Activations(cell="relu", output="relu")), "haiku.LSTM", "cannot apply relu"),
        (layer_with(), "torch.nn.GRU", "cannot hold an LSTM"),
        (gru(None, reset_after=True), "torch.nn.LSTM", "cannot hold a GRU"),
        (gru(None, reset_after=True), "tf1.GRUCell", "applies the reset before"),
        (layer_with(), "xlstm.sLSTM", "its gates are exponential"),
        (layer_with(), "torch.LSTM", "did you mean 'torch.nn.LSTM'"),
    ],
)
def test_what_a_class_cannot_hold_is_refused_by_name(layer, name, told):
    with pytest.raises(InputError, match=told):
        encode(layer, name)


def torch_tensors():
    return tensors_of(LAYOUTS["torch.nn.LSTM"], sizes_of(2, 3))


def changed(**more):
    return torch_tensors() | more


def without(name):
    return {key: tensor for key, tensor in torch_tensors().items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "name", "options", "told"),
    [
        (without("weight_hh_l0"), "torch.nn.LSTM", {}, "no tensor weight_hh_l0; found weight_ih_l0, bias_ih_l0"),
        (without("bias_hh_l0"), "torch.nn.LSTM", {}, "no tensor bias_hh_l0"),
        (torch_tensors(), "torch.nn.LSTM", {"layer": 1}, "no tensor weight_ih_l1; found weight_ih_l0"),
        ({}, "torch.nn.LSTM", {}, "found none"),
        (changed(gamma=np.ones(3)), "torch.nn.LSTM", {}, "has no place for gamma; expected weight_ih_l0"),
        (
            changed(bias_hh_l0=np.ones(13)),
            "torch.nn.LSTM",
            {},
            r"bias_hh_l0 of shape \(13,\), expected \(12,\): \[4H\]",
        ),
        (changed(weight_ih_l0=np.ones(13)), "torch.nn.LSTM", {}, r"shape \(13,\), expected \[4H, C\]"),
        (torch_tensors(), "torch.nn.LSTM", {"units": 4}, r"expected \(16, 2\)"),
        (torch_tensors(), "torch.nn.LSTM", {"inputs": 4}, r"expected \(12, 4\)"),
        (torch_tensors(), "torch.nn.LSTM", {"forget_bias": 1.0}, "found forget_bias=1, the class adds 0"),
        (torch_tensors(), "torch.nn.LSTM", {"cell_clip": 1.0}, "found cell_clip=1.0, but the class has no such limit"),
        (torch_tensors(), "torch.nn.LSTM", {"gate": "relu"}, "no setting 'gate'"),
        (torch_tensors(), "torch.nn.LSTM", {"activations": Activations(gate="relu")}, "cannot apply relu as its gate"),
        ({"kernel": np.ones((3, 12)), "bias": np.ones(12)}, "tf1.BasicLSTMCell", {}, "do not tell the sizes"),
        ({"opaque_kernel": np.ones(288)}, "tf1.CudnnLSTM", {}, "give units="),
        ({"opaque_kernel": np.ones(288)}, "tf1.CudnnLSTM", {"units": 5}, "do not tell the sizes"),
        (torch_tensors(), "caffe2.LSTM", {}, "give forget_bias="),
        (torch_tensors(), "flashrnn.lstm", {}, "its caller computes the input product"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tensors, name, options, told):
    with pytest.raises(InputError, match=told):
        decode(tensors, name, **options)


def test_a_reset_is_where_the_class_has_it():
    tensors = tensors_of(LAYOUTS["torch.nn.GRU"], sizes_of(2, 3))
    with pytest.raises(InputError, match="found reset_after=False, the class has True only"):
        decode(tensors, "torch.nn.GRU", reset_after=False)
    tensors = tensors_of(LAYOUTS["onnx.GRU"], sizes_of(2, 3))
    assert not decode(tensors, "onnx.GRU").reset_after  # ONNX's default


def test_the_callers_tensors_are_neither_changed_nor_kept():
    tensors = torch_tensors()
    before = {name: tensor.copy() for name, tensor in tensors.items()}
    parameters = decode(tensors, "torch.nn.LSTM")
    assert not any(np.shares_memory(parameters.w_x, tensor) for tensor in tensors.values())
    encoded = encode(parameters, "tf1.BasicLSTMCell")
    encoded.tensors["kernel"][:] = 0
    assert parameters.w_x.any()
    assert_same_bits(tensors, before)
