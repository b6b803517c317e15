"""Formats made to carry models between programs and onto devices: ONNX, CoreML, OpenVINO, TensorFlow Lite."""

from __future__ import annotations

from quadgate.layouts.layout import ActivationRule, Clip, ForgetBias, Layout, Tensor
from quadgate.layouts.rows.notation import ALL, BIASES, FREE, PEEPHOLES, PROJECTION, each, one, stacked

_ONNX = "onnx/onnx@f754691 onnx/defs/rnn/defs.cc, docs/Operators.md"
_COREML = "apple/coremltools@e0e2f42 mlmodel/format/NeuralNetwork.proto"
_MIL = "apple/coremltools@e0e2f42 coremltools/converters/mil/mil/ops/defs/iOS15/recurrent.py"
_OPENVINO = "docs.openvino.ai, operator specifications LSTMSequence and LSTMCell"
_TFLITE = "tensorflow v2.0.0 tensorflow/lite/kernels/unidirectional_sequence_lstm.cc, lstm.cc"

_WORDS = {"i": "input", "f": "forget", "j": "cell", "o": "output"}
_PROTO = {"i": "inputGate", "f": "forgetGate", "j": "blockInput", "o": "outputGate"}
_ONE_DIRECTION = "The first axis counts the directions: a layer in one direction is a slice of one."


def _tflite() -> tuple[Tensor, ...]:
    return (
        *each("input_to_*_weights", "w_x", "u r", _WORDS),
        *each("recurrent_to_*_weights", "w_h", "u r", _WORDS),
        *each("cell_to_*_weights", "peepholes", "u", {"i": "input", "f": "forget", "o": "output"}),
        *each("*_gate_bias", "b_x", "u", _WORDS),
        one("projection_weights", "projection", "p u"),
    )


ROWS = (
    Layout(
        name="onnx.LSTM",
        gates="iofj",
        tensors=(
            one("W", "w_x", "1 (g u) r"),
            one("R", "w_h", "1 (g u) r"),
            Tensor("B", stacked("B", ("b_x", "b_h"), "1 (g u)").parts, axis=1),
            one("P", "peepholes", "1 (g u)", "iof"),
        ),
        evidence="V",
        source=_ONNX,
        state=("h", "c"),
        optional=BIASES | PEEPHOLES,
        activations=FREE,
        clips=(Clip("input_clip"),),
        reading="Y of the reverse direction is in the order of the inputs",
        notes=(
            _ONE_DIRECTION,
            "clip limits the pre-activations, not the cell state as in TensorFlow.",
            "HardSigmoid is clip(0.2 x + 0.5, 0, 1) by default; its alpha and beta can make it Keras 3's.",
            "input_forget=1 (f = 1 - i) is another cell.",
            "tf2onnx writes TensorFlow's run-time forget bias into the f block of Wb and leaves Rb zero.",
        ),
    ),
    Layout(
        name="onnx.GRU",
        cell="gru",
        gates="zrn",
        tensors=(
            one("W", "w_x", "1 (g u) r"),
            one("R", "w_h", "1 (g u) r"),
            Tensor("B", stacked("B", ("b_x", "b_h"), "1 (g u)").parts, axis=1),
        ),
        evidence="R",
        source="onnx 1.23.2 onnx/reference/ops/op_gru.py; onnxruntime 1.32.0",
        state=("h",),
        optional=BIASES,
        activations=ActivationRule(gates=ALL, cells=ALL),
        reading="Y of the reverse direction is in the order of the inputs",
        notes=(
            _ONE_DIRECTION,
            "linear_before_reset=1 is PyTorch's reset after the product; the default 0 is TensorFlow 1's before it.",
        ),
    ),
    Layout(
        name="coreml.LSTM",
        gates="ifoj",
        tensors=(
            *each("*WeightMatrix", "w_x", "u r", _PROTO),
            *each("*RecursionMatrix", "w_h", "u r", _PROTO),
            *each("*BiasVector", "b_x", "u", _PROTO),
            *each("*PeepholeVector", "peepholes", "u", {g: _PROTO[g] for g in "ifo"}),
        ),
        evidence="V",
        source=_COREML,
        scope="weightParams",
        optional=BIASES | PEEPHOLES,
        forget=ForgetBias(run_time=0.0, choices=(0.0, 1.0)),
        activations=FREE,
        clips=(Clip("cell_clip", 50.0),),
        notes=(
            "The flag forgetBias adds 1 while running: with it set, a folded bias counts twice.",
            "A cellClipThreshold of 0 means 50, not none.",
            "coupledInputAndForgetGate (f = 1 - i) is another cell.",
        ),
    ),
    Layout(
        name="coreml.mil.lstm",
        gates="ifoj",
        tensors=(
            one("weight_ih", "w_x", "(g u) r"),
            one("weight_hh", "w_h", "(g u) r"),
            one("bias", "b_x", "(g u)"),
            one("peephole", "peepholes", "(g u)", "ifo"),
        ),
        evidence="V",
        source=_MIL,
        state=("h", "c"),
        optional=BIASES | PEEPHOLES,
        activations=FREE,
        notes=(
            "The second direction is weight_ih_back, weight_hh_back and so on.",
            "Early documentation gives the order i, f, z, o; the code has i, f, o, z.",
        ),
    ),
    Layout(
        name="openvino.LSTMSequence",
        gates="fijo",
        tensors=(
            one("W", "w_x", "1 (g u) r"),
            one("R", "w_h", "1 (g u) r"),
            one("B", "b_x", "1 (g u)"),
        ),
        evidence="D",
        source=_OPENVINO,
        state=("h", "c"),
        activations=FREE,
        clips=(Clip("input_clip"),),
        notes=(_ONE_DIRECTION, "The order f, i, c, o is OpenVINO's own; there is one bias."),
    ),
    Layout(
        name="openvino.LSTMCell",
        gates="fijo",
        tensors=(one("W", "w_x", "(g u) r"), one("R", "w_h", "(g u) r"), one("B", "b_x", "(g u)")),
        evidence="D",
        source=_OPENVINO,
        state=("h", "c"),
        activations=FREE,
        clips=(Clip("input_clip"),),
    ),
    Layout(
        name="openvino.v0.LSTMCell",
        gates="ifjo",
        tensors=(one("W", "w_x", "(g u) r"), one("R", "w_h", "(g u) r"), one("B", "b_x", "(g u)")),
        evidence="D",
        source="docs.openvino.ai, C++ class ov::op::v0::LSTMCell and LSTMWeightsFormat",
        state=("h", "c"),
        activations=FREE,
        clips=(Clip("input_clip"),),
        notes=("The order is an argument, IFCO by default; also FICO, ICOF, IFOC and IOFC.",),
        unverified=("An input P holds peepholes; its order is not known here, and it is not read.",),
    ),
    Layout(
        name="tflite.LSTM",
        gates="ifjo",
        tensors=_tflite(),
        evidence="V",
        source=_TFLITE,
        optional=PEEPHOLES | PROJECTION,
        activations=ActivationRule(cells=("tanh", "relu", "sigmoid")),
        clips=(Clip("cell_clip"), Clip("projection_clip")),
        notes=(
            "The tensors have no names that can be relied on: their places among the operator's inputs are 1 to 16.",
            "The forget bias must be in forget_gate_bias already.",
            "Without inputs 1, 5 and 12 the cell is coupled (f = 1 - i): another cell.",
            "A projection bias (input 17) and layer normalisation (20 to 23) have no place in an LSTM's normal form.",
        ),
    ),
    Layout(
        name="tflite.LSTM.basic",
        gates="ijfo",
        tensors=(
            stacked("weights", ("w_x", "w_h"), "(g u) r", axis=1),
            one("biases", "b_x", "(g u)"),
        ),
        evidence="V",
        source="tensorflow v2.0.0 tensorflow/lite/kernels/internal/reference/reference_ops.h",
        notes=(
            "kernel_type BASIC of the same operator: TensorFlow 1's kernel, turned.",
            "No forget bias is added while running: TensorFlow's must be folded in, or the first step alone agrees.",
        ),
    ),
    *(
        Layout(
            name=f"{family}.LSTM.written_out",
            gates="ifjo",
            tensors=(
                one("x_weights", "w_x", "(g u) r"),
                one("h_weights", "w_h", "(g u) r"),
                one("bias", "b_x", "(g u)"),
            ),
            evidence="R",
            source=source,
            optional=BIASES,
            activations=FREE,
            notes=(
                f"An LSTM without the operator: two {product} with turned matrices, their sum, the gates one by one.",
                "The tensors have the names that the exporter gave them; the order is that of the layer it came from.",
            ),
        )
        for family, product, source in (
            ("tflite", "FULLY_CONNECTED", "what TensorFlow 2.21's converter writes of an unrolled layer of Keras"),
            ("onnx", "Gemm", "what PyTorch 2.13's exporter writes of two nn.Linear and four gates"),
        )
    ),
)
