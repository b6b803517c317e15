"""Restores checkpoints into TensorFlow 1's own cells, and prints how far each one's outputs are from those told.

Run by `test_tensorflow_1.py` with the Python that has TensorFlow 1: `python restore_in_tensorflow_1.py FOLDER`, where
NAME.npz has x, y and what the checkpoint NAME.ckpt does not say.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

FOLDER = Path(sys.argv[1])
CELLS = tf.nn.rnn_cell


def cell(told):
    H, forget_bias = int(told["units"]), float(told["forget_bias"])
    kind = str(told["kind"])
    if kind == "LSTMCell":
        P = int(told["projection"])
        return CELLS.LSTMCell(H, use_peepholes=True, num_proj=P, cell_clip=0.5, forget_bias=forget_bias)
    return CELLS.BasicLSTMCell(H, forget_bias=forget_bias) if kind == "BasicLSTMCell" else CELLS.GRUCell(H)


for path in sorted(FOLDER.glob("*.npz")):
    told = np.load(str(path))
    tf.reset_default_graph()
    x = tf.constant(told["x"])
    if str(told["way"]) == "both":
        outputs, _ = tf.nn.bidirectional_dynamic_rnn(cell(told), cell(told), x, dtype=tf.float32)
        outputs = tf.concat(outputs, 2)
    else:
        one = CELLS.MultiRNNCell([cell(told), cell(told)]) if str(told["way"]) == "stacked" else cell(told)
        outputs, _ = tf.nn.dynamic_rnn(one, x, dtype=tf.float32)
    with tf.Session() as session:
        tf.train.Saver().restore(session, str(path.with_suffix(".ckpt")))
        print(path.stem, np.abs(session.run(outputs) - told["y"]).max())
