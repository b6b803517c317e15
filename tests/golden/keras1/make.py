"""Writes models of Keras 1 and what it computes. Python 3.6, `pip install keras==1.2.2 theano==1.0.5 'h5py<3'`:

KERAS_BACKEND=theano THEANO_FLAGS=cxx=,floatX=float32 python make.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from keras.layers import GRU, LSTM, Bidirectional
from keras.models import Sequential

FOLDER = Path(sys.argv[1])


def write(name, layers):
    net, rng = Sequential(layers), np.random.RandomState(0)
    net.set_weights([rng.normal(0, 0.5, one.shape).astype("float32") for one in net.get_weights()])
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    net.save(str(FOLDER / (name + ".h5")))
    np.savez(str(FOLDER / (name + ".npz")), x=x, y=net.predict(x))


def both_kinds(consume_less):
    told = {"consume_less": consume_less, "return_sequences": True}
    return [GRU(4, input_shape=(6, 3), **told), LSTM(5, **told)]


write("gate_by_gate", both_kinds("cpu"))
write("fused", both_kinds("gpu"))
write("both_ways", [Bidirectional(GRU(4, return_sequences=True), input_shape=(6, 3)), LSTM(3, return_sequences=True)])
