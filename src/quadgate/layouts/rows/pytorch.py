"""PyTorch, and the frameworks that follow its names or its order."""

from __future__ import annotations

from quadgate.layouts.layout import Clip, Layout, Part, Tensor
from quadgate.layouts.rows.notation import BIASES, FREE, PROJECTION, each, in_turn, one, stored_one

_TORCH = "ROCm/pytorch torch/nn/modules/rnn.py"
_MXNET = "apache/mxnet 1.6.0 python/mxnet/gluon/rnn/rnn_layer.py"
_PADDLE = "PaddlePaddle/Paddle python/paddle/nn/layer/rnn.py"
_CANDLE = "huggingface/candle@2a13b0f candle-nn/src/rnn.rs"
_BURN = "tracel-ai/burn@2c06be3 crates/burn-nn/src/modules/rnn/lstm/lstm_module.rs"

_READING = "the outputs of the backward layer are in the order of the inputs, beside those of the forward layer"
_NO_FORGET_BIAS = "No forget bias: every tensor of a new layer is uniform in +-1/sqrt(H)."
_TWO_BIASES = "Two biases that are only ever added: in training both get the same gradient."


def _torch(suffix: str, gates: str = "") -> tuple[Tensor, ...]:
    return (
        one(f"weight_ih{suffix}", "w_x", "(g u) r", gates),
        one(f"weight_hh{suffix}", "w_h", "(g u) r", gates),
        one(f"bias_ih{suffix}", "b_x", "(g u)", gates),
        one(f"bias_hh{suffix}", "b_h", "(g u)", gates),
    )


def _gluon(prefix: str) -> tuple[Tensor, ...]:
    return (
        one(f"{prefix}i2h_weight", "w_x", "(g u) r"),
        one(f"{prefix}h2h_weight", "w_h", "(g u) r"),
        one(f"{prefix}i2h_bias", "b_x", "(g u)"),
        one(f"{prefix}h2h_bias", "b_h", "(g u)"),
    )


_LAYERS = "_l{layer}{direction}"
_DIRECTIONS = ("", "_reverse")
_BURN_GATES = {"i": "input", "f": "forget", "o": "output", "j": "cell"}

ROWS = (
    Layout(
        name="torch.nn.LSTM",
        gates="ifjo",
        tensors=(*_torch(_LAYERS), one(f"weight_hr{_LAYERS}", "projection", "p u")),
        evidence="V",
        source=_TORCH,
        state=("h", "c"),
        scope="rnn. or lstm. or module.",
        optional=BIASES | PROJECTION,
        directions=_DIRECTIONS,
        reading=_READING,
        notes=(
            _NO_FORGET_BIAS,
            _TWO_BIASES,
            "From the second layer on, the input is the output of both directions: D times (P or H).",
            "The projection is [P, H], the other way round than TensorFlow's; it appeared in 1.8.",
        ),
    ),
    Layout(
        name="torch.nn.LSTMCell",
        gates="ifjo",
        tensors=_torch(""),
        evidence="V",
        source=_TORCH,
        state=("h", "c"),
        optional=BIASES,
        notes=(_NO_FORGET_BIAS, _TWO_BIASES),
    ),
    *(
        Layout(
            name=f"torch.nn.{name}",
            cell="gru",
            gates="rzn",
            tensors=_torch(suffix),
            evidence="R",
            source="torch 2.13.0 torch/nn/modules/rnn.py",
            state=("h",),
            optional=BIASES,
            directions=_DIRECTIONS,
            reading=_READING if suffix else "",
            reset_after=True,
            notes=("The reset acts after the recurrent product, on its bias too: the candidate's two biases differ.",),
        )
        for name, suffix in (("GRU", _LAYERS), ("GRUCell", ""))
    ),
    Layout(
        name="candle.LSTM",
        gates="ifjo",
        tensors=_torch(_LAYERS),
        evidence="V",
        source=_CANDLE,
        state=("h", "c"),
        optional=BIASES,
        directions=_DIRECTIONS,
        reading="the caller turns the sequence round, and the outputs stay so",
        notes=("PyTorch's names, one layer and one direction for each object.",),
    ),
    Layout(
        name="paddle.nn.LSTM",
        gates="ifjo",
        tensors=_torch(_LAYERS),
        evidence="V",
        source=_PADDLE,
        state=("h", "c"),
        directions=_DIRECTIONS,
        reading=_READING,
        notes=(
            "The state dict lists each tensor twice, also as {layer}.cell.weight_ih, cell_fw or cell_bw.",
            "A bias switched off leaves zeros that are not trained, not a missing tensor.",
        ),
        unverified=("With proj_size the names may be shifted by one.",),
    ),
    Layout(
        name="paddle.nn.LSTMCell",
        gates="ifjo",
        tensors=(*_torch(""), one("weight_ho", "projection", "u p")),
        evidence="V",
        source=_PADDLE,
        state=("h", "c"),
        optional=PROJECTION,
        notes=("The matrices are out x in as in PyTorch, but the projection is [H, P].",),
    ),
    Layout(
        name="mxnet.gluon.rnn.LSTM",
        gates="ifjo",
        tensors=(*_gluon("{direction}{layer}_"), one("{direction}{layer}_h2r_weight", "projection", "p u")),
        evidence="V",
        source=_MXNET,
        state=("h", "c"),
        scope="lstm0_",
        optional=PROJECTION,
        directions=("l", "r"),
        reading=_READING,
        notes=(
            "The documentation promises a forget bias of 1 in i2h_bias; the default argument is zeros.",
            "save_parameters may write the names _unfused.{layer}.[l_cell.]i2h_weight instead.",
        ),
    ),
    Layout(
        name="mxnet.gluon.rnn.LSTMCell",
        gates="ifjo",
        tensors=_gluon(""),
        evidence="V",
        source="apache/mxnet 1.6.0 python/mxnet/gluon/rnn/rnn_cell.py",
        state=("h", "c"),
    ),
    Layout(
        name="mxnet2.gluon.rnn.LSTM",
        gates="ifjo",
        tensors=(
            Tensor(
                "rnn_param",
                (Part("w_x", "(g u r)"), Part("w_h", "(g u r)"), Part("b_x", "(g u)"), Part("b_h", "(g u)")),
            ),
        ),
        evidence="V",
        source="apache/mxnet@b84609d python/mxnet/gluon/rnn/rnn_layer.py",
        state=("h", "c"),
        notes=(
            "One vector; of several layers all weights come first, then all biases: see quadgate.layouts.cut_flat.",
            "With a projection its matrix follows h's; such vectors are not read.",
        ),
    ),
    Layout(
        name="mxnet.rnn.LSTMCell",
        gates="ifjo",
        tensors=_gluon(""),
        evidence="V",
        source="apache/mxnet 1.6.0 python/mxnet/rnn/rnn_cell.py",
        state=("h", "c"),
        scope="lstm_",
        forget=stored_one("i2h_bias"),
        notes=("The symbolic class does start i2h_bias with a forget bias of 1; Gluon's does not.",),
    ),
    Layout(
        name="burn.Lstm",
        gates="ifoj",
        tensors=in_turn(
            each("*_gate.input_transform.weight", "w_x", "r u", _BURN_GATES),
            each("*_gate.input_transform.bias", "b_x", "u", _BURN_GATES),
            each("*_gate.hidden_transform.weight", "w_h", "r u", _BURN_GATES),
            each("*_gate.hidden_transform.bias", "b_h", "u", _BURN_GATES),
        ),
        evidence="V",
        source=_BURN,
        state=("c", "h"),
        optional=BIASES,
        activations=FREE,
        clips=(Clip("cell_clip"),),
        notes=("BiLstm has a forward and a reverse Lstm. input_forget=true (f = 1 - i) is another cell.",),
    ),
)
