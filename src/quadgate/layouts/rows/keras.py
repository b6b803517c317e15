"""Keras from version 1 to 3, tf.keras, and the layers that keep cuDNN's memory."""

from __future__ import annotations

from quadgate.cell.parameters import Activations
from quadgate.layouts.layout import ActivationRule, Layout, Tensor
from quadgate.layouts.rows.notation import (
    BIASES,
    HARD,
    NEW_HARD,
    OLD_HARD,
    each,
    in_turn,
    one,
    stacked,
    stored_one,
)

_KERAS_3 = "keras-team/keras@3422977 keras/src/layers/rnn/lstm.py"
_KERAS_3_GRU = "keras 3.15.1 keras/src/layers/rnn/gru.py"
_KERAS_2 = "keras-team/keras 2.0.0 to 2.3.1 keras/layers/recurrent.py, v2.15.0 keras/layers/rnn/lstm.py"
_KERAS_2_GRU = "keras-team/keras 2.0.0 to 2.3.1 keras/layers/recurrent.py"
_KERAS_1 = "keras-team/keras 1.2.2 keras/layers/recurrent.py"
_CUDNN = "tensorflow v2.0.0 tensorflow/python/keras/saving/hdf5_format.py, layers/cudnn_recurrent.py"

_READING = "Bidirectional puts the backward outputs in the order of the inputs; a bare go_backwards=True layer does not"
_IN_BIAS = "The 1 of unit_forget_bias=True is written into the stored bias of a new layer; nothing is added later."
_HARD_SIGMOIDS = (
    "hard_sigmoid is clip(0.2 x + 0.5, 0, 1) in Keras 1 and 2, clip(x / 6 + 0.5, 0, 1) in Keras 3: "
    "one name, two functions."
)
_GATE_3 = ActivationRule(gates=NEW_HARD, cells=NEW_HARD)
_GATE_2 = ActivationRule(
    gates=OLD_HARD,
    cells=OLD_HARD,
    history=(
        ("Keras 2.0 to 2.2, tf.keras of TensorFlow 1", HARD),
        ("Keras 2.3 and later, tf.keras of TensorFlow 2", Activations()),
    ),
)
_GATE_1 = ActivationRule(default=HARD, gates=OLD_HARD, cells=OLD_HARD)

_LSTM = (
    one("kernel", "w_x", "r (g u)"),
    one("recurrent_kernel", "w_h", "r (g u)"),
    one("bias", "b_x", "(g u)"),
)
_GRU = _LSTM[:2]
_GRU_TWO_BIASES: tuple[Tensor, ...] = (*_GRU, stacked("bias", ("b_x", "b_h"), "1 (g u)"))
_CUDNN_KERNELS = (
    one("kernel", "w_x", "r (g u)", reread=True),
    one("recurrent_kernel", "w_h", "r (g u)", reread=True),
    stacked("bias", ("b_x", "b_h"), "(g u)"),
)

_OLD_LETTERS = {"i": "i", "j": "c", "f": "f", "o": "o"}
_OLD_GRU_LETTERS = {"z": "z", "r": "r", "n": "h"}


ROWS = (
    Layout(
        name="keras.LSTM",
        gates="ifjo",
        tensors=_LSTM,
        evidence="V",
        source=_KERAS_3,
        state=("h", "c"),
        scope="lstm/lstm_cell/",
        optional=BIASES,
        forget=stored_one("bias"),
        activations=_GATE_3,
        reading=_READING,
        notes=(
            "Keras 3. In .keras and .weights.h5 files the tensors have no names: vars/0, 1, 2 in this order.",
            "The order of legacy .h5 files is that of the attribute weight_names, not the alphabetical one of HDF5.",
            _IN_BIAS,
            _HARD_SIGMOIDS,
        ),
    ),
    Layout(
        name="keras2.LSTM",
        gates="ifjo",
        tensors=_LSTM,
        evidence="V",
        source=_KERAS_2,
        state=("h", "c"),
        scope="lstm_1/ or lstm/lstm_cell/",
        optional=BIASES,
        forget=stored_one("bias"),
        activations=_GATE_2,
        reading=_READING,
        notes=(
            "The default recurrent_activation changed from hard_sigmoid to sigmoid; weights alone do not tell it.",
            _IN_BIAS,
            _HARD_SIGMOIDS,
        ),
    ),
    Layout(
        name="tf.keras.PeepholeLSTMCell",
        gates="ifjo",
        tensors=(
            *_LSTM,
            *each("*_gate_peephole_weights", "peepholes", "u", {"i": "input", "f": "forget", "o": "output"}),
        ),
        evidence="V",
        source="tensorflow v2.0.0 tensorflow/python/keras/layers/recurrent.py",
        state=("h", "c"),
        optional=BIASES,
        forget=stored_one("bias"),
        activations=_GATE_2,
        notes=("The class tf.keras.experimental.PeepholeLSTMCell.", _IN_BIAS),
    ),
    Layout(
        name="keras1.LSTM",
        gates="ijfo",
        tensors=in_turn(
            each("W_*", "w_x", "r u", _OLD_LETTERS),
            each("U_*", "w_h", "r u", _OLD_LETTERS),
            each("b_*", "b_x", "u", _OLD_LETTERS),
        ),
        evidence="V",
        source=_KERAS_1,
        state=("h", "c"),
        scope="{layer name}_",
        forget=stored_one("b_f"),
        activations=_GATE_1,
        notes=(
            "Twelve arrays, gate by gate, with consume_less 'cpu' or 'mem'; three with 'gpu': see keras1.LSTM.gpu.",
            "A file without the attribute keras_version is of Keras 1; its gates are hard sigmoids by default.",
            _HARD_SIGMOIDS,
        ),
    ),
    Layout(
        name="keras1.LSTM.gpu",
        gates="ifjo",
        tensors=(one("W", "w_x", "r (g u)"), one("U", "w_h", "r (g u)"), one("b", "b_x", "(g u)")),
        evidence="V",
        source=_KERAS_1,
        state=("h", "c"),
        scope="{layer name}_",
        forget=stored_one("b"),
        activations=_GATE_1,
        notes=(
            "The class of keras1.LSTM with consume_less='gpu': three arrays, and another order.",
            _HARD_SIGMOIDS,
        ),
    ),
    *(
        Layout(
            name=name,
            cell="gru",
            gates="zrn",
            tensors=tensors,
            evidence="R",
            source=_KERAS_1,
            state=("h",),
            scope="{layer name}_",
            activations=_GATE_1,
            reset_after=False,
            notes=(
                f"With consume_less {how}. The update gate keeps the old state, as in later versions.",
                _HARD_SIGMOIDS,
            ),
        )
        for name, how, tensors in (
            (
                "keras1.GRU",
                "'cpu' or 'mem' nine arrays, gate by gate",
                in_turn(
                    each("W_*", "w_x", "r u", _OLD_GRU_LETTERS),
                    each("U_*", "w_h", "r u", _OLD_GRU_LETTERS),
                    each("b_*", "b_x", "u", _OLD_GRU_LETTERS),
                ),
            ),
            (
                "keras1.GRU.gpu",
                "'gpu' three arrays",
                (one("W", "w_x", "r (g u)"), one("U", "w_h", "r (g u)"), one("b", "b_x", "(g u)")),
            ),
        )
    ),
    Layout(
        name="keras.CuDNNLSTM",
        gates="ifjo",
        tensors=_CUDNN_KERNELS,
        evidence="R",
        source=_CUDNN,
        state=("h", "c"),
        scope="cu_dnnlstm/",
        forget=stored_one("bias"),
        notes=(
            "Each gate's block of the kernel is the memory of cuDNN's [H, C] under the shape [C, H]: no transpose.",
            "Told from an LSTM by its bias of 8H: that of x, then that of h, which has the 1 of unit_forget_bias.",
            "Keras 3 does not convert it any more: it loads wrong there, or not at all.",
        ),
    ),
    *(
        Layout(
            name=name,
            cell="gru",
            gates="zrn",
            tensors=_GRU_TWO_BIASES if reset_after else (*_GRU, one("bias", "b_x", "(g u)")),
            evidence="R" if source == _KERAS_3_GRU else "V",
            source=source,
            state=("h",),
            scope="gru/gru_cell/",
            optional=BIASES,
            activations=rule,
            reset_after=reset_after,
            reading=_READING,
            notes=(
                "reset_after=True keeps two biases, [2, 3H]; False keeps one, [3H]. "
                "It was False in Keras 2 and TensorFlow 1, True since TensorFlow 2.",
                _HARD_SIGMOIDS,
            ),
        )
        for name, source, rule, reset_after in (
            ("keras.GRU", _KERAS_3_GRU, _GATE_3, True),
            ("keras.GRU.reset_before", _KERAS_3_GRU, _GATE_3, False),
            ("keras2.GRU", _KERAS_2_GRU, _GATE_2, True),
            ("keras2.GRU.reset_before", _KERAS_2_GRU, _GATE_2, False),
        )
    ),
    Layout(
        name="keras.CuDNNGRU",
        cell="gru",
        gates="zrn",
        tensors=_CUDNN_KERNELS,
        evidence="V",
        source=f"keras-team/keras 2.2.4 keras/layers/cudnn_recurrent.py; {_CUDNN}",
        state=("h",),
        scope="cu_dnngru/",
        reset_after=True,
        notes=("The kernel is reread memory as in keras.CuDNNLSTM; the bias is one vector of 6H.",),
    ),
)
