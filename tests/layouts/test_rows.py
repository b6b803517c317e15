import re

import numpy as np
import pytest

from quadgate.cell import Activations
from quadgate.cell.activations import ACTIVATIONS
from quadgate.errors import InputError
from quadgate.layouts import LAYOUTS, decode, find
from quadgate.layouts.layout import NORMAL_AXES
from sample_layers import LSTMS, USABLE, name_of, sizes_of, tensors_of

every_row = pytest.mark.parametrize("row", LAYOUTS.values(), ids=name_of)
every_usable_row = pytest.mark.parametrize("row", USABLE, ids=name_of)


def test_the_whole_table_is_here():
    assert len(LAYOUTS) >= 70
    assert all(name == row.name for name, row in LAYOUTS.items())


@every_row
def test_a_row_says_what_it_rests_on(row):
    assert row.evidence in "VRDU"
    assert row.source
    assert sorted(row.gates) == sorted(row.normal_gates)
    for texts in (row.notes, row.unverified):
        assert isinstance(texts, tuple)
        assert all(isinstance(text, str) and text.endswith(".") for text in texts)


@every_usable_row
def test_every_gate_of_every_array_has_one_place(row):
    for array in NORMAL_AXES:
        gates = "".join(row.gates_of(part) for t in row.tensors for part in t.parts if part.array == array)
        assert len(set(gates)) == len(gates)
    assert {"w_x", "w_h"} <= {array for tensor in row.tensors for array in tensor.arrays}
    assert set(row.gates_held("w_x")) == set(row.gates_held("w_h")) == set(row.normal_gates)
    assert set(row.gates_held("b_x")) | set(row.gates_held("b_h")) == set(row.normal_gates)


@every_usable_row
def test_the_axes_of_a_part_are_those_of_its_array(row):
    for tensor in row.tensors:
        assert {len(part.groups) for part in tensor.parts} == {tensor.rank}
        for part in tensor.parts:
            assert set(part.letters) | {"g"} == set(NORMAL_AXES[part.array]) | {"g"}
            assert "g" in part.letters or len(row.gates_of(part)) <= 1


@every_usable_row
def test_names_do_not_collide(row):
    names = row.names(layer=3, reverse=True)
    assert len(set(names)) == len(names)
    assert not any(re.search(r"[{}*]", name) for name in names)


@every_row
def test_activations_are_known_to_the_reference(row):
    rule = row.activations
    assert {*rule.gates, *rule.cells} <= set(ACTIVATIONS)
    assert rule.default.gate in rule.gates
    assert {rule.default.cell, rule.default.output} <= set(rule.cells)


@every_row
def test_a_forget_bias_is_stored_in_a_tensor_of_the_row(row):
    assert bool(row.forget.stored) == bool(row.forget.stored_in)
    if row.forget.stored:
        assert row.forget.stored_in in row.names()
        assert row.forget.choices == (0.0,)


@pytest.mark.parametrize(
    ("name", "orientation", "joined", "biases", "forget"),
    [
        ("tf1.BasicLSTMCell", "in x out", True, ("b_x",), "run time +1"),
        ("keras.LSTM", "in x out", False, ("b_x",), "stored 1"),
        ("torch.nn.LSTM", "out x in", False, ("b_x", "b_h"), "none"),
        ("onnx.LSTM", "out x in", False, ("b_x", "b_h"), "none"),
        ("flax.linen.LSTMCell", "in x out", False, ("b_h",), "none"),
        ("haiku.LSTM", "in x out", True, ("b_x",), "always +1"),
        ("caffe2.LSTM", "out x in", False, ("b_x", "b_h"), "run time"),
        ("coreml.LSTM", "out x in", False, ("b_x",), "run time 0/1"),
        ("tflite.LSTM.basic", "out x in", True, ("b_x",), "none"),
        ("chainer.LSTM", "out x in", False, ("b_x",), "stored 1"),
        ("tf1.CudnnLSTM", "out x in", True, ("b_x", "b_h"), "none"),
        ("flashrnn.lstm", "-", False, (), "none"),
    ],
)
def test_what_follows_from_a_row(name, orientation, joined, biases, forget):
    row = LAYOUTS[name]
    assert (row.orientation, row.joined, row.biases, row.forget.text) == (orientation, joined, biases, forget)


def test_the_odd_ones_are_told_apart():
    assert [row.name for row in LSTMS if row.interleaved] == ["chainer.LSTM"]
    assert {row.name for row in LSTMS if row.flat} == {"tf1.CudnnLSTM", "mxnet2.gluon.rnn.LSTM", "torch7.cudnn.LSTM"}
    assert {row.name for row in LSTMS if row.per_gate} == {
        "keras1.LSTM", "burn.Lstm", "coreml.LSTM", "tflite.LSTM", "flax.linen.LSTMCell", "flax.linen.OptimizedLSTMCell",
        "flax.nnx.LSTMCell", "lasagne.LSTMLayer", "chainer.NStepLSTM",
    }  # fmt: skip
    assert {row.name for row in LAYOUTS.values() if row.evidence == "U"} == {"matlab.lstmLayer"}
    assert {row.name for row in LAYOUTS.values() if row.refusal} == {"flashrnn.lstm", "xlstm.sLSTM"}


def test_defaults_are_those_of_the_framework():
    def plain(name, **settings):
        return decode(tensors_of(LAYOUTS[name], sizes_of(2, 3)), name, **settings)

    assert plain("tf.raw_ops.BlockLSTM").cell_clip == 3.0
    assert plain("coreml.LSTM").cell_clip == 50.0
    assert plain("keras1.LSTM").activations == Activations(gate="hard_sigmoid")
    assert plain("keras2.LSTM").activations == Activations()
    assert [hard.gate for _, hard in LAYOUTS["keras2.LSTM"].activations.history] == ["hard_sigmoid", "sigmoid"]
    assert plain("caffe2.LSTM", forget_bias=0.5).forget_bias == 0.5
    assert plain("tf0.5.LSTMCell").forget_bias == 1.0


def test_the_orders_of_the_lists_that_have_positions_for_names():
    assert LAYOUTS["keras1.LSTM"].names()[:6] == ["W_i", "U_i", "b_i", "W_c", "U_c", "b_c"]
    assert LAYOUTS["lasagne.LSTMLayer"].names()[::3][:4] == [
        "W_in_to_ingate", "W_in_to_forgetgate", "W_in_to_cell", "W_in_to_outgate",
    ]  # fmt: skip
    assert LAYOUTS["keras.LSTM"].names() == ["kernel", "recurrent_kernel", "bias"]
    assert LAYOUTS["tf0.7.LSTMCell"].names(shards={"W_{shard}": 2})[:3] == ["W_0", "W_1", "B"]
    assert LAYOUTS["mxnet.gluon.rnn.LSTM"].names(1, reverse=True)[0] == "r1_i2h_weight"


def test_the_table_cannot_be_written():
    with pytest.raises(TypeError):
        LAYOUTS["mine"] = LAYOUTS["keras.LSTM"]
    assert find(LAYOUTS["keras.LSTM"]) is LAYOUTS["keras.LSTM"]
    with pytest.raises(InputError, match=r"did you mean 'keras.LSTM'"):
        decode({"kernel": np.ones((1, 4))}, "keras.lstm")
