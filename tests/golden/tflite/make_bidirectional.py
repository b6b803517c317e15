"""Writes the files with the operator BIDIRECTIONAL_SEQUENCE_LSTM, and what the interpreter gives.

Needs Python 3.7 and TensorFlow 1.15.5, whose converter was the last to write this operator, and `toco_from_protos` on
the path: `python make_bidirectional.py FOLDER`.
"""

import os
import sys
from pathlib import Path

os.environ["TF_ENABLE_CONTROL_FLOW_V2"] = "1"

import numpy as np
import tensorflow as tf
from tensorflow.lite.experimental.examples.lstm.rnn import bidirectional_dynamic_rnn

T, C, H, K = 7, 3, 5, 6
CASES = {
    "operator_peepholes": {"use_peepholes": True},
    "operator_projection": {"num_proj": 4},
    "operator_unrolled": {},
}


def write(name, settings, folder):
    rng = np.random.RandomState(0)
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [1, T, C], name="x")
    cells = [tf.lite.experimental.nn.TFLiteLSTMCell(H, forget_bias=0, name=way, **settings) for way in ("fw", "bw")]
    if name == "operator_unrolled":
        outputs, _, _ = tf.nn.static_bidirectional_rnn(*cells, tf.unstack(x, T, 1), dtype="float32")
        outputs = tf.stack(outputs, 0)
    else:
        steps = tf.transpose(x, [1, 0, 2])
        pair, _ = bidirectional_dynamic_rnn(*cells, steps, dtype="float32", time_major=True)
        outputs = tf.concat(pair, 2)
    F = int(outputs.shape[-1])
    weights, biases = tf.Variable(tf.zeros([F, K])), tf.Variable(tf.zeros([K]))
    y = tf.nn.softmax(tf.matmul(tf.reshape(outputs, [T, F]), weights) + biases, name="y")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for one in tf.trainable_variables():
            session.run(one.assign(0.5 * rng.normal(size=one.shape.as_list()).astype(np.float32)))
        given = rng.normal(size=(1, T, C)).astype(np.float32)
        exact = session.run(y, {x: given})
        converter = tf.lite.TFLiteConverter.from_session(session, [x], [y])
        converter.experimental_new_converter = False
        data = converter.convert()
    (folder / f"{name}.tflite").write_bytes(data)
    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert abs(found - exact).max() < 1e-6
    np.savez(str(folder / f"{name}.npz"), x=given, y=found)


for name, settings in CASES.items():
    write(name, settings, Path(sys.argv[1]))
