"""Kernel libraries and newer cells."""

from __future__ import annotations

from quadgate.layouts.layout import Layout
from quadgate.layouts.rows.notation import one, stacked, stored_one

_HASTE = "lmnt-com/haste@ceba32e"
_FLASHRNN = "NX-AI/flashrnn@d73fb52 flashrnn/flashrnn/vanilla/lstm.py"
_XLSTM = "NX-AI/xlstm@032a6fb xlstm/blocks/slstm/cell.py, layer.py"

ROWS = (
    Layout(
        name="haste.pytorch.LSTM",
        gates="ijfo",
        tensors=(
            one("kernel", "w_x", "r (g u)"),
            one("recurrent_kernel", "w_h", "r (g u)"),
            one("bias", "b_x", "(g u)"),
        ),
        evidence="V",
        source=f"{_HASTE} frameworks/pytorch/lstm.py",
        state=("h", "c"),
        forget=stored_one("bias"),
        notes=("Keras' names and shapes with TensorFlow 1's order.",),
    ),
    Layout(
        name="haste.tf.LSTMLayer",
        gates="ijfo",
        tensors=(stacked("kernel", ("w_x", "w_h"), "r (g u)"), one("bias", "b_x", "(g u)")),
        evidence="V",
        source=f"{_HASTE} frameworks/tf/lstm.py",
        state=("c", "h"),
        scope="lstm_cell/",
        forget=stored_one("bias"),
        notes=(
            "A checkpoint looks exactly like that of tf1.LSTMBlockCell, but the forget bias is in it: read as that "
            "class, it counts twice.",
        ),
    ),
    Layout(
        name="flashrnn.lstm",
        gates="ifjo",
        tensors=(),
        evidence="V",
        source=_FLASHRNN,
        state=("h", "c"),
        refusal="its caller computes the input product; it keeps R [4, heads, H, H] and b [4, heads, H] alone",
        notes=("Several heads make the recurrent matrix block-diagonal.",),
    ),
    Layout(
        name="xlstm.sLSTM",
        gates="ifjo",
        tensors=(),
        evidence="V",
        source=_XLSTM,
        state=("h", "c", "n", "m"),
        refusal="its gates are exponential, with two more states n and m: no weights make an LSTM of it",
        notes=(
            "The layer feeds fgate into the place of i and igate into that of f, on purpose.",
            "The bias is ordered by head, then gate, in one backend, by gate, then head, in the other.",
        ),
    ),
)
