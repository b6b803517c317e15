import os
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import quadgate
from networks import model_of, network
from proof_layers import gru_layer, lstm_layer
from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.formats.tensorflow_checkpoint.writer import arranged, loading_code, write_model

ONE = {"b_h": None, "forget_bias": 1.0}
MODELS = {
    "one": network(0),
    "stacked": network(1, layers=3),
    "both ways": network(2, bidirectional=True),
    "stacked both ways": network(3, layers=2, bidirectional=True),
    "no forget bias": network(4, forget_bias=0.0, classes=None),
    "relu": network(5, activation="relu"),
    "peepholes, projection, clips": model_of(
        (replace(lstm_layer(0, 3, 4, P=2, peepholes=True, cell_clip=1.0, projection_clip=0.5), **ONE),),
        layout="tf1.LSTMCell",
    ),
    "gru": model_of(
        (replace(gru_layer(0, 3, 4, reset_after=False), b_h=None),),
        (replace(gru_layer(1, 4, 5, reset_after=False), b_h=None),),
        layout="tf1.GRUCell",
    ),
}
NAMES = {
    "one": "rnn/basic_lstm_cell/kernel",
    "stacked": "rnn/multi_rnn_cell/cell_2/basic_lstm_cell/bias",
    "both ways": "bidirectional_rnn/bw/basic_lstm_cell/kernel",
    "stacked both ways": "stack_bidirectional_rnn/cell_1/bidirectional_rnn/fw/basic_lstm_cell/kernel",
    "peepholes, projection, clips": "rnn/lstm_cell/projection/kernel",
    "gru": "rnn/multi_rnn_cell/cell_1/gru_cell/candidate/kernel",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_names_are_those_of_tensorflow(name):
    assert NAMES[name] in arranged(MODELS[name])[0]


@pytest.mark.parametrize("name", MODELS)
def test_what_was_written_is_read_back_bit_for_bit(name, tmp_path):
    model = MODELS[name]
    write_model(model, tmp_path / "m.ckpt")
    first = model.cells[0][0]
    settings = {"activations": first.activations}
    if first.kind == "lstm":
        settings["forget_bias"] = first.forget_bias
    if first.cell_clip is not None:
        settings |= {"cell_clip": first.cell_clip, "projection_clip": first.projection_clip}
    back = quadgate.load(tmp_path / "m.ckpt", **settings)
    for ours, theirs in zip(model.layers, back.layers, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            for array in ("w_x", "w_h", "b_x", "peepholes", "projection"):
                if getattr(one, array, None) is not None:
                    assert getattr(one, array).tobytes() == getattr(other, array).tobytes()
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("f4")
    assert model.run(x, output="outputs")[0].tobytes() == back.run(x, output="outputs")[0].tobytes()


@pytest.mark.filterwarnings("ignore")  # TensorFlow's words to its own users
@pytest.mark.parametrize("name", MODELS)
def test_tensorflow_builds_the_cells_and_gives_their_outputs(name, tmp_path):
    """With TensorFlow 1, or with TensorFlow 2 and the package tf_keras, in which the cells of version 1 live on."""
    if find_spec("tensorflow") is None or find_spec("tf_keras") is None:
        pytest.skip("tensorflow and tf_keras are not installed")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    model = MODELS[name]
    write_model(model, tmp_path / "m.ckpt")
    import tensorflow.compat.v1 as tf

    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("f4")
    space = {}
    with tf.Graph().as_default():
        exec(loading_code(model, tmp_path / "m.ckpt"), space)
        found = space["session"].run(space["outputs"], {space["x"]: x})
    np.testing.assert_allclose(found, model.run(x, output="outputs")[0], atol=2e-6)


@pytest.mark.parametrize(
    ("layer", "layout", "lacks"),
    [
        (gru_layer(0, 3, 4), "torch.nn.GRU", "applies the reset before"),
        (lstm_layer(0, 3, 4, reverse=True), "torch.nn.LSTM", "reads backwards alone"),
        (lstm_layer(0, 3, 4, input_clip=2.0), "onnx.LSTM", "cannot hold input_clip=2"),
        (
            replace(lstm_layer(0, 3, 4), b_h=None, activations=Activations(gate="hard_sigmoid")),
            "keras2.LSTM",
            "cannot apply hard_sigmoid",
        ),
    ],
)
def test_what_tensorflow_has_not_is_refused_by_name(layer, layout, lacks, tmp_path):
    with pytest.raises(InputError, match=lacks):
        write_model(model_of((layer,), layout=layout), tmp_path / "m.ckpt")
    assert list(tmp_path.iterdir()) == []
