"""Frameworks of the years before: Theano's, Chainer, Torch7, CNTK, Caffe2, Deeplearning4j; and MATLAB."""

from __future__ import annotations

from quadgate.layouts.layout import ActivationRule, ForgetBias, Layout, Part, Tensor
from quadgate.layouts.rows.notation import FREE, OLD_HARD, PEEPHOLES, each, in_turn, one, stacked, stored_one

_LASAGNE = "Lasagne/Lasagne@5d3c63c lasagne/layers/recurrent.py"
_THEANO = "lisa-lab/DeepLearningTutorials@11c4651 code/lstm.py"
_CHAINER = "chainer/chainer@a8e15cb chainer/links/rnn/lstm.py, chainer/functions/rnn/lstm.py"
_CHAINER_STEPS = "chainer/chainer@a8e15cb chainer/links/rnn/n_step_rnn.py, chainer/functions/rnn/n_step_lstm.py"
_TORCH7 = "soumith/cudnn.torch@008c49d RNN.lua"
_ELEMENT = "Element-Research/rnn@ba937a0"
_CNTK = "microsoft/CNTK bindings/python/cntk/layers/blocks.py"
_CAFFE2 = "facebookarchive/caffe2 caffe2/python/rnn_cell.py, caffe2/operators/lstm_unit_op.h"
_DL4J = "deeplearning4j LSTMParamInitializer.java, KerasLSTM.java"

_LASAGNE_GATES = {"i": "ingate", "f": "forgetgate", "j": "cell", "o": "outgate"}
_LAYERS = ActivationRule(cells=OLD_HARD)

ROWS = (
    Layout(
        name="lasagne.LSTMLayer",
        gates="ifjo",
        tensors=(
            *in_turn(
                each("W_in_to_*", "w_x", "r u", _LASAGNE_GATES),
                each("W_hid_to_*", "w_h", "r u", _LASAGNE_GATES),
                each("b_*", "b_x", "u", _LASAGNE_GATES),
            ),
            *each("W_cell_to_*", "peepholes", "u", {gate: _LASAGNE_GATES[gate] for gate in "ifo"}),
        ),
        evidence="V",
        source=_LASAGNE,
        optional=PEEPHOLES,
        activations=FREE,
        notes=(
            "Peepholes are on by default. Files have positions, not names, in this order.",
            "cell_init and hid_init [1, H], the starting state, follow the peepholes; they belong to no weight.",
        ),
    ),
    Layout(
        name="theano.tutorial.lstm",
        gates="ifoj",
        tensors=(
            one("lstm_W", "w_x", "r (g u)"),
            one("lstm_U", "w_h", "r (g u)"),
            one("lstm_b", "b_x", "(g u)"),
        ),
        evidence="V",
        source=_THEANO,
        notes=("Before a correction of 2015 the bias was added twice: files of that time hold half of it.",),
    ),
    Layout(
        name="chainer.LSTM",
        gates="jifo",
        tensors=(
            one("upward/W", "w_x", "(u g) r"),
            one("upward/b", "b_x", "(u g)"),
            one("lateral/W", "w_h", "(u g) r"),
        ),
        evidence="V",
        source=_CHAINER,
        state=("c", "h"),
        forget=stored_one("upward/b"),
        notes=(
            "The four gates of a unit stand together: candidate, i, f and o of unit 0, then those of unit 1.",
            "StatelessLSTM keeps the same. StatefulPeepholeLSTM has full [H, H] peepholes: another cell.",
        ),
    ),
    Layout(
        name="chainer.NStepLSTM",
        gates="ifjo",
        tensors=(
            *(one(f"w{k}", "w_x", "u r", gate) for k, gate in enumerate("ifjo")),
            *(one(f"w{k}", "w_h", "u r", gate) for k, gate in enumerate("ifjo", 4)),
            *(one(f"b{k}", "b_x", "u", gate) for k, gate in enumerate("ifjo")),
            *(one(f"b{k}", "b_h", "u", gate) for k, gate in enumerate("ifjo", 4)),
        ),
        evidence="V",
        source=_CHAINER_STEPS,
        state=("h", "c"),
        scope="{directions * layer + direction}/",
        notes=("The documentation gives w2 to o and w3 to the candidate; the code, like cuDNN, the other way round.",),
    ),
    Layout(
        name="torch7.cudnn.LSTM",
        gates="ifjo",
        tensors=(
            Tensor(
                "weight",
                (Part("w_x", "(g u r)"), Part("w_h", "(g u r)"), Part("b_x", "(g u)"), Part("b_h", "(g u)")),
            ),
        ),
        evidence="V",
        source=_TORCH7,
        notes=(
            "One vector; of several layers all weights come first, then all biases: see quadgate.layouts.cut_flat.",
            "cudnn.BLSTM is the same with two directions for each layer.",
        ),
    ),
    Layout(
        name="torch7.FastLSTM",
        gates="ijfo",
        tensors=(
            one("i2g.weight", "w_x", "(g u) r"),
            one("i2g.bias", "b_x", "(g u)"),
            one("o2g.weight", "w_h", "(g u) r"),
        ),
        evidence="V",
        source=f"{_ELEMENT} FastLSTM.lua",
        notes=("With dropout the matrices are split into four modules. nn.LSTM beside it has peepholes by default.",),
    ),
    Layout(
        name="torch7.SeqLSTM",
        gates="ifoj",
        tensors=(stacked("weight", ("w_x", "w_h"), "r (g u)"), one("bias", "b_x", "(g u)")),
        evidence="V",
        source=f"{_ELEMENT} SeqLSTM.lua",
        forget=stored_one("bias"),
        notes=("Also torch-rnn's layer: TensorFlow's orientation with another order.",),
    ),
    Layout(
        name="cntk.LSTM",
        gates="ijfo",
        tensors=(
            one("W", "w_x", "r (g u)"),
            one("H", "w_h", "r (g u)"),
            one("b", "b_x", "(g u)"),
            *each("C*", "peepholes", "u", {"i": "i", "f": "f", "o": "o"}),
        ),
        evidence="V",
        source=_CNTK,
        state=("h", "c"),
        optional=PEEPHOLES,
        activations=_LAYERS,
        notes=("Self-stabilisers scale x, h and c by a learned number: such a layer is another cell.",),
        unverified=("OptimizedRNNStack keeps cuDNN's one matrix instead.",),
    ),
    Layout(
        name="caffe2.LSTM",
        gates="ifoj",
        tensors=(
            one("i2h_w", "w_x", "(g u) r"),
            one("i2h_b", "b_x", "(g u)"),
            one("gates_t_w", "w_h", "(g u) r"),
            one("gates_t_b", "b_h", "(g u)"),
        ),
        evidence="V",
        source=_CAFFE2,
        state=("h", "c"),
        scope="{scope}/",
        forget=ForgetBias(run_time=None, choices=None),
        notes=("The forget bias is an argument of LSTMUnit without a default: it must be known from the caller.",),
    ),
    Layout(
        name="dl4j.LSTM",
        gates="jfoi",
        tensors=(one("W", "w_x", "r (g u)"), one("RW", "w_h", "r (g u)"), one("b", "b_x", "1 (g u)")),
        evidence="V",
        source=_DL4J,
        forget=ForgetBias(stored=1.0, stored_in="b"),
        activations=ActivationRule(gates=OLD_HARD, cells=OLD_HARD),
        notes=(
            "Its documents write IFOG, but I is the tanh block (the candidate) and G the sigmoid input gate.",
            "The matrices are column-major views of one vector W, RW, b.",
            "The value of the forget bias in a new layer is an option.",
        ),
    ),
    Layout(
        name="dl4j.GravesLSTM",
        gates="jfoi",
        tensors=(
            one("W", "w_x", "r (g u)"),
            Tensor("RW", (Part("w_h", "r (g u)"), Part("peepholes", "u g", "foi")), axis=1),
            one("b", "b_x", "1 (g u)"),
        ),
        evidence="V",
        source=_DL4J,
        forget=ForgetBias(stored=1.0, stored_in="b"),
        activations=ActivationRule(gates=OLD_HARD, cells=OLD_HARD),
        notes=(
            "The last three columns of RW are the peepholes of f, o and i.",
            "Order as in dl4j.LSTM: the block called input is the candidate.",
        ),
    ),
    Layout(
        name="matlab.lstmLayer",
        gates="ifjo",
        tensors=(
            one("InputWeights", "w_x", "(g u) r"),
            one("RecurrentWeights", "w_h", "(g u) r"),
            one("Bias", "b_x", "(g u) 1"),
        ),
        evidence="U",
        source="mathworks.com, lstmLayer, for the properties; the order is one exporter's word",
        forget=stored_one("Bias"),
        unverified=(
            "The order i, f, g, o is not confirmed by a page of the maker.",
            "bilstmLayer has twice the rows, forward first.",
        ),
    ),
)
