"""TensorFlow: the cells of version 1 under all their names, the block operators, cuDNN's vector, the GRU.

Order i, j, f, o, one kernel for x and h, one bias, and a forget bias that no checkpoint holds.
"""

from __future__ import annotations

from quadgate.layouts.layout import Clip, ForgetBias, Layout, Part, Tensor
from quadgate.layouts.rows.notation import (
    ALWAYS_ONE,
    AT_RUN_TIME,
    BIASES,
    FREE_CELL,
    PEEPHOLES,
    PROJECTION,
    each,
    one,
    stacked,
)

_CELLS = "tensorflow v1.15.0 tensorflow/python/ops/rnn_cell_impl.py"
_CONTRIB = "tensorflow v1.15.0 tensorflow/contrib/rnn/python/ops/rnn_cell.py"
_BLOCK = "tensorflow v1.15.0 tensorflow/contrib/rnn/python/ops/lstm_ops.py, tensorflow/core/kernels/rnn/lstm_ops.cc"
_CUDNN = "tensorflow v1.15.0 tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py"
_OLD = "tensorflow v0.5.0 to v0.12.0 tensorflow/python/ops/rnn_cell.py"
_1_0 = "tensorflow v1.0.0 and v1.1.0 tensorflow/contrib/rnn/python/ops/core_rnn_cell_impl.py"

_NOT_STORED = "The forget bias is in no checkpoint: only the graph (.meta, a constant) or the source code tells it."
_READING = "bidirectional_dynamic_rnn puts the outputs of the backward cell back in the order of the inputs"
_DIAGONALS = {"f": "f", "i": "i", "o": "o"}
_BOTH_CLIPS = (Clip("cell_clip"), Clip("projection_clip"))


def _fused(kernel: str, bias: str) -> tuple[Tensor, Tensor]:
    return stacked(kernel, ("w_x", "w_h"), "r (g u)"), one(bias, "b_x", "(g u)")


def _shards(axis: int) -> tuple[Tensor, ...]:
    kernel = Tensor("W_{shard}", (Part("w_x", "r (g u)"), Part("w_h", "r (g u)")), shard_axis=axis)
    projection = Tensor("W_P_{shard}", (Part("projection", "u p"),), shard_axis=axis)
    peepholes = each("W_*_diag", "peepholes", "u", {"f": "F", "i": "I", "o": "O"})
    return kernel, one("B", "b_x", "(g u)"), *peepholes, projection


ROWS = (
    Layout(
        name="tf1.BasicLSTMCell",
        gates="ijfo",
        tensors=_fused("kernel", "bias"),
        evidence="V",
        source=_CELLS,
        state=("c", "h"),
        scope="rnn/basic_lstm_cell/ or rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell/",
        forget=AT_RUN_TIME,
        activations=FREE_CELL,
        reading=_READING,
        notes=(
            _NOT_STORED,
            "Keras and PyTorch keep j and f the other way round: the shapes are equal, the blocks are not.",
            "state_is_tuple=False keeps [c, h] side by side; it was the default in 0.9 and 0.10.",
        ),
    ),
    Layout(
        name="tf1.LSTMCell",
        gates="ijfo",
        tensors=(
            *_fused("kernel", "bias"),
            *each("w_*_diag", "peepholes", "u", _DIAGONALS),
            one("projection/kernel", "projection", "u p"),
        ),
        evidence="V",
        source=_CELLS,
        state=("c", "h"),
        scope="rnn/lstm_cell/",
        optional=PEEPHOLES | PROJECTION,
        forget=AT_RUN_TIME,
        activations=FREE_CELL,
        clips=_BOTH_CLIPS,
        reading=_READING,
        notes=(
            _NOT_STORED,
            "o looks at the new cell state, after its clip; i and f at the one before the step.",
            "num_unit_shards cuts the kernel by rows into slices of one partitioned variable.",
        ),
    ),
    *(
        Layout(
            name=f"tf1.{name}",
            gates="ijfo",
            tensors=(*_fused("kernel", "bias"), *each("w_*_diag", "peepholes", "u", {"i": "i", "f": "f", "o": "o"})),
            evidence="V",
            source=_BLOCK,
            state=("c", "h"),
            scope=f"rnn/{scope}/",
            optional=PEEPHOLES,
            forget=AT_RUN_TIME,
            clips=(Clip("cell_clip"),),
            notes=(
                _NOT_STORED,
                "The operator's documentation gives the order i, f, ci, o; it is wrong, the code has i, ci, f, o.",
                "Checkpoints of Haste's TensorFlow layer look the same, but theirs have the forget bias inside.",
            ),
        )
        for name, scope in (("LSTMBlockCell", "lstm_cell"), ("LSTMBlockFusedCell", "lstm_fused_cell"))
    ),
    Layout(
        name="tf.raw_ops.BlockLSTM",
        gates="ijfo",
        tensors=(*_fused("w", "b"), *each("wc*", "peepholes", "u", {"i": "i", "f": "f", "o": "o"})),
        evidence="V",
        source=_BLOCK,
        state=("c", "h"),
        optional=PEEPHOLES,
        forget=AT_RUN_TIME,
        clips=(Clip("cell_clip", 3.0),),
        notes=("The operator's own cell_clip is 3.0; the Python classes pass -1, which is no clip.",),
    ),
    Layout(
        name="tf.raw_ops.BlockLSTMV2",
        gates="ifjo",
        tensors=(*_fused("w", "b"), *each("wc*", "peepholes", "u", {"i": "i", "f": "f", "o": "o"})),
        evidence="V",
        source="tensorflow v2.1.0 tensorflow/core/kernels/rnn/lstm_ops.cc",
        state=("c", "h"),
        optional=PEEPHOLES,
        clips=(Clip("cell_clip"),),
        notes=("Another order than BlockLSTM, and no forget bias; a cell_clip of 0 is no clip.",),
    ),
    Layout(
        name="tf1.LayerNormBasicLSTMCell",
        gates="ijfo",
        tensors=_fused("kernel", "bias"),
        evidence="V",
        source=_CONTRIB,
        state=("c", "h"),
        scope="rnn/layer_norm_basic_lstm_cell/",
        optional=BIASES,
        forget=AT_RUN_TIME,
        activations=FREE_CELL,
        notes=(
            "With layer_norm=True each gate is normalised (gamma, beta) and there is no bias: no LSTM without it.",
            "The forget bias is added after the normalisation.",
            "The bias of layer_norm=False does not start at zero.",
        ),
    ),
    Layout(
        name="tf1.CudnnCompatibleLSTMCell",
        gates="ijfo",
        tensors=_fused("kernel", "bias"),
        evidence="V",
        source=_CUDNN,
        state=("c", "h"),
        scope="rnn/multi_rnn_cell/cell_{layer}/cudnn_compatible_lstm_cell/",
        notes=(
            "Also what CudnnLSTM writes beside its own vector. Read as BasicLSTMCell it needs forget_bias=0.",
            "The bias is the sum of cuDNN's two; restoring gives each of them one half.",
        ),
    ),
    Layout(
        name="tf1.CudnnLSTM",
        gates="ifjo",
        tensors=(
            Tensor(
                "opaque_kernel",
                (Part("w_x", "(g u r)"), Part("w_h", "(g u r)"), Part("b_x", "(g u)"), Part("b_h", "(g u)")),
            ),
        ),
        evidence="V",
        source=_CUDNN,
        state=("h", "c"),
        scope="cudnn_lstm/",
        notes=(
            "One vector; of several layers all weights come first, then all biases: see quadgate.layouts.cut_flat.",
            "cuDNN reserves the right to change it: the tensors of tf1.CudnnCompatibleLSTMCell are the safe ones.",
            "The state is (h, c), that of every other cell of TensorFlow (c, h).",
        ),
    ),
    *(
        Layout(
            name=f"tf1.0.{name}",
            gates="ijfo",
            tensors=(*_fused("weights", "biases"), *more),
            evidence="V",
            source=_1_0,
            state=("c", "h"),
            scope=f"rnn/{scope}/",
            optional=PEEPHOLES | PROJECTION if more else frozenset(),
            forget=AT_RUN_TIME,
            activations=FREE_CELL,
            clips=_BOTH_CLIPS if more else (),
            notes=(_NOT_STORED, "The names of 1.0 and 1.1; from 1.2 on they are kernel and bias."),
        )
        for name, scope, more in (
            ("BasicLSTMCell", "basic_lstm_cell", ()),
            (
                "LSTMCell",
                "lstm_cell",
                (
                    *each("w_*_diag", "peepholes", "u", _DIAGONALS),
                    one("projection/weights", "projection", "u p"),
                ),
            ),
        )
    ),
    Layout(
        name="tf0.BasicLSTMCell",
        gates="ijfo",
        tensors=_fused("Linear/Matrix", "Linear/Bias"),
        evidence="V",
        source=_OLD,
        state=("c", "h"),
        scope="RNN/BasicLSTMCell/ or RNN/MultiRNNCell/Cell{layer}/BasicLSTMCell/",
        forget=AT_RUN_TIME,
        activations=FREE_CELL,
        notes=(_NOT_STORED, "The names of 0.5 to 0.12; TensorFlow's own renaming script does not know them."),
    ),
    Layout(
        name="tf0.5.LSTMCell",
        gates="ijfo",
        tensors=_shards(axis=1),
        evidence="V",
        source=_OLD,
        state=("c", "h"),
        scope="RNN/LSTMCell/",
        optional=PEEPHOLES | PROJECTION,
        forget=ALWAYS_ONE,
        clips=_BOTH_CLIPS,
        notes=(
            "0.5 and 0.6 cut the kernel by columns into W_0, W_1, ...; from 0.7 on it is cut by rows.",
            "The 1 of the forget gate is written into the code; an unsharded cell still writes W_0.",
        ),
    ),
    Layout(
        name="tf0.7.LSTMCell",
        gates="ijfo",
        tensors=_shards(axis=0),
        evidence="V",
        source=_OLD,
        state=("c", "h"),
        scope="RNN/LSTMCell/",
        optional=PEEPHOLES | PROJECTION,
        forget=AT_RUN_TIME,
        activations=FREE_CELL,
        clips=_BOTH_CLIPS,
        notes=(
            "0.7 to 0.12 cut the kernel by rows, the first shards with one row more where it does not divide.",
            "0.7 always adds 1 to the forget gate; 0.8 made it an argument.",
        ),
    ),
    Layout(
        name="tf0.11.LSTMBlockCell",
        gates="ijfo",
        tensors=(*_fused("W", "b"), *each("wc*", "peepholes", "u", {"i": "i", "o": "o", "f": "f"})),
        evidence="V",
        source="tensorflow v0.11.0 tensorflow/contrib/rnn/python/ops/lstm_ops.py",
        state=("c", "h"),
        scope="RNN/LSTMBlockCell/",
        forget=AT_RUN_TIME,
        notes=(_NOT_STORED, "The peepholes are there even where use_peephole is False: then they are not used."),
    ),
    Layout(
        name="tf1.GRUCell",
        cell="gru",
        gates="rzn",
        tensors=(
            stacked("gates/kernel", ("w_x", "w_h"), "r (g u)", gates="rz"),
            one("gates/bias", "b_x", "(g u)", "rz"),
            stacked("candidate/kernel", ("w_x", "w_h"), "r u", gates="n"),
            one("candidate/bias", "b_x", "u", "n"),
        ),
        evidence="V",
        source=_CELLS,
        state=("h",),
        scope="rnn/gru_cell/",
        activations=FREE_CELL,
        reset_after=False,
        forget=ForgetBias(stored=1.0, stored_in="gates/bias"),
        notes=(
            "The gates are reset r, then update, which TensorFlow calls u and this project z; their bias starts at 1.",
            "The reset acts before the product: PyTorch and cuDNN apply it after, and no weights bridge that.",
        ),
    ),
)
