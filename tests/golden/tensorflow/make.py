"""Writes the files beside it: `TF_USE_LEGACY_KERAS=1 python make.py`, with tensorflow-cpu 2.21 and tf_keras 2.21.

Random numbers in every variable, biases too, so that an exchanged gate shows; `NAME.npz` holds what TensorFlow gives.
"""

import shutil
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.ops import gen_rnn_ops

HERE = Path(__file__).parent
N, T, C, H = 3, 6, 4, 5
cells = tf.nn.rnn_cell


def answers(name, session, x, nodes):
    given = np.random.default_rng(7).normal(size=(N, T, C)).astype(np.float32)
    np.savez(HERE / f"{name}.npz", x=given, **session.run(nodes, {x: given}))


def graph(name, network, saved_model=False):
    """Build a network, give its variables random numbers, and freeze it, or save it with its variables beside it."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, T, C], "x")
        nodes = {key: tf.identity(value, key) for key, value in network(x).items()}
        numbers = np.random.default_rng(len(name))
        for variable in tf.global_variables():
            variable.load(numbers.uniform(-0.9, 0.9, variable.shape.as_list()).astype(np.float32), session)
        answers(name, session, x, nodes)
        if saved_model:
            shutil.rmtree(HERE / name, ignore_errors=True)
            tf.saved_model.simple_save(session, str(HERE / name), {"x": x}, nodes)
        else:
            frozen = tf.graph_util.convert_variables_to_constants(session, session.graph_def, list(nodes))
            (HERE / f"{name}.pb").write_bytes(frozen.SerializeToString())


def dense(features, classes=2):
    weights = tf.get_variable("out/weights", [features.shape[-1], classes])
    return tf.matmul(features, weights) + tf.get_variable("out/biases", [classes])


def dynamic(x):
    """A while loop with lengths and a forget bias of its own."""
    cell = cells.BasicLSTMCell(H, forget_bias=0.7)
    outputs, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    return {"outputs": outputs, "logits": dense(state.h)}


def static(x):
    """Unrolled; two layers with peepholes, projections and clips that take effect."""
    layers = [cells.LSTMCell(H + k, use_peepholes=True, num_proj=3, cell_clip=0.6, proj_clip=0.5) for k in (0, 1)]
    outputs, _ = tf.nn.static_rnn(cells.MultiRNNCell(layers), tf.unstack(x, T, 1), dtype=tf.float32)
    return {"outputs": tf.stack(outputs, 1)}


def relu(x):
    """Unrolled, with another activation and no forget bias."""
    outputs, _ = tf.nn.static_rnn(
        cells.BasicLSTMCell(H, forget_bias=0.0, activation=tf.nn.relu), tf.unstack(x, T, 1), dtype=tf.float32
    )
    return {"outputs": tf.stack(outputs, 1), "logits": dense(outputs[-1])}


def both(x):
    """Two directions, each in a loop of its own."""
    outputs, _ = tf.nn.bidirectional_dynamic_rnn(
        cells.LSTMCell(H), cells.LSTMCell(H), x, sequence_length=tf.fill([tf.shape(x)[0]], T), dtype=tf.float32
    )
    return {"outputs": tf.concat(outputs, -1)}


def gru(x):
    """A GRU in a loop."""
    return {"outputs": tf.nn.dynamic_rnn(cells.GRUCell(H), x, dtype=tf.float32)[0]}


def block(x):
    """The operator that is a whole layer, as contrib's LSTMBlockFusedCell writes it."""
    kernel = tf.get_variable("lstm_fused_cell/kernel", [C + H, 4 * H])
    bias = tf.get_variable("lstm_fused_cell/bias", [4 * H])
    state = tf.zeros([tf.shape(x)[0], H])
    none = tf.zeros([H])
    steps = tf.transpose(x, [1, 0, 2])
    out = gen_rnn_ops.block_lstm(
        np.int64(T), steps, state, state, kernel, none, none, none, bias, forget_bias=0.5, cell_clip=0.8
    )
    return {"outputs": tf.transpose(out.h, [1, 0, 2])}


def block_v2(x):
    """The operator of TensorFlow 2, whose gates stand in another order under the same names."""
    kernel = tf.get_variable("lstm_fused_cell/kernel", [C + H, 4 * H])
    bias = tf.get_variable("lstm_fused_cell/bias", [4 * H])
    state = tf.zeros([tf.shape(x)[0], H])
    none = tf.zeros([H])
    steps = tf.transpose(x, [1, 0, 2])
    out = gen_rnn_ops.block_lstmv2(np.int64(T), steps, state, state, kernel, none, none, none, bias)
    return {"outputs": tf.transpose(out.h, [1, 0, 2])}


def by_hand(x):
    """Unrolled by hand, under names that say nothing, in Keras' order of gates."""
    u, v, b = tf.get_variable("u", [C, 4 * H]), tf.get_variable("v", [H, 4 * H]), tf.get_variable("b", [4 * H])
    h = c = tf.zeros([tf.shape(x)[0], H])
    outputs = []
    for step in tf.unstack(x, T, 1):
        i, f, j, o = tf.split(tf.nn.bias_add(tf.matmul(step, u) + tf.matmul(h, v), b), 4, 1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        outputs.append(h)
    return {"outputs": tf.stack(outputs, 1)}


def objects(name):
    """A Keras model in TensorFlow 2's own way of saving: variables are named by the objects that hold them."""
    import tensorflow as tf2  # noqa: ICN001 - tf is version 1 here
    import tf_keras

    tf_keras.utils.set_random_seed(5)
    layers = [
        tf_keras.layers.Input((T, C)),
        tf_keras.layers.LSTM(H, return_sequences=True, bias_initializer="uniform"),
        tf_keras.layers.LSTM(3, bias_initializer="uniform", unit_forget_bias=False),
        tf_keras.layers.Dense(2),
    ]
    model = tf_keras.Sequential(layers)
    x = np.random.default_rng(7).normal(size=(N, T, C)).astype(np.float32)
    np.savez(HERE / f"{name}.npz", x=x, logits=model(x).numpy())
    shutil.rmtree(HERE / name, ignore_errors=True)
    model.export(str(HERE / name))
    tf2.train.Checkpoint(model=model).write(str(HERE / "object_checkpoint"))


if __name__ == "__main__":
    objects("saved_model_2")
    tf.disable_v2_behavior()
    for name, network in {f.__name__: f for f in (dynamic, static, relu, both, gru, block, block_v2, by_hand)}.items():
        graph(name, network)
    graph("saved_model_1", dynamic, saved_model=True)
