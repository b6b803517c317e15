"""Reads TensorFlow Lite models: the LSTM operators, and LSTMs that the converter wrote out as products and activations.

Weights that are quantized are dequantized, `(q - zero point) * scale`, and named. Tensors have names that say little;
an operator's inputs are told by their places.

Sources: tensorflow v2.0.0 tensorflow/lite/schema/schema.fbs, tensorflow/lite/kernels/lstm.cc,
unidirectional_sequence_lstm.cc, bidirectional_sequence_lstm.cc.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.cell import Activations
from quadgate.dependencies import require
from quadgate.errors import FileFormatError
from quadgate.formats.dataflow import Dataflow, Operation
from quadgate.formats.recurrence import Cannot, FoundCell, Recurrence, scope
from quadgate.formats.spelled_out import find_spelled_out
from quadgate.layouts import LAYOUTS, Settings
from quadgate.model import Model
from quadgate.model.variables import Array, Stored

IDENTIFIER = b"TFL3"
KINDS = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "CAST", "DEQUANTIZE", "READ_VARIABLE"), "view"),
    **dict.fromkeys(("STRIDED_SLICE", "SLICE", "GATHER", "UNPACK"), "part"),
    **dict.fromkeys(("CONCATENATION", "PACK"), "concat"),
    **dict.fromkeys(("SPLIT", "SPLIT_V"), "split"),
    **dict.fromkeys(("FULLY_CONNECTED", "BATCH_MATMUL"), "product"),
    "REVERSE_V2": "reverse",
    "ADD": "add",
    "MUL": "mul",
    "LOGISTIC": "sigmoid",
    "TANH": "tanh",
    "RELU": "relu",
    "SOFTMAX": "Softmax",
    "LOG_SOFTMAX": "LogSoftmax",
    "ARG_MAX": "ArgMax",
}
DTYPES = {0: "f4", 1: "f2", 2: "i4", 3: "u1", 4: "i8", 6: "?", 7: "i2", 9: "i1", 10: "f8", 12: "u8", 15: "u4", 16: "u2"}
FUSED = {0: "linear", 1: "relu", 4: "tanh"}
"""`ActivationFunctionType`, as far as a cell can have it."""
DIRECTIONS = {"UNIDIRECTIONAL_SEQUENCE_LSTM": (0,), "LSTM": (0,), "BIDIRECTIONAL_SEQUENCE_LSTM": (0, 17)}
"""The operators with the full kernel, and how far the inputs of each direction stand behind the usual places."""
PROJECTION_BIAS, NORMALISATION = 17, (20, 21, 22, 23)
STATES = {"UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19), "LSTM": (18, 19), "BIDIRECTIONAL_SEQUENCE_LSTM": (35, 36, 37, 38)}
BASIC = 1


def read_model(path: Path, settings: Settings) -> Model:
    """Read the LSTMs of a TensorFlow Lite file.

    Raises:
        FileFormatError: the file is damaged, or has no layer that can be used.
        MissingDependencyError: the package tflite is not installed.
    """
    tflite = require("tflite", f"{path} (TensorFlow Lite) cannot be read", "tflite")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 8:
            raise FileFormatError(f"{path}: found {size} bytes, expected a TensorFlow Lite model")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if data[4:8] != IDENTIFIER:
        raise FileFormatError(f"{path}: found {data[4:8]!r} at byte 4, expected {IDENTIFIER!r}")
    try:
        graph = _Graph(path, memoryview(data), tflite.Model.GetRootAs(data, 0))
        found = graph.recurrence()
    except (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path}: damaged: {' '.join(str(error).split())}") from None
    return found.model(str(path), settings)


class _Graph:
    """The subgraphs of a file as one, in which every tensor has a name of its own."""

    def __init__(self, path: Path, data: memoryview, model: Any) -> None:
        from tflite import BuiltinOperator

        self.path, self.data, self.model = path, data, model
        self.left = len(data)
        self.operations: list[Operation] = []
        self.constants: dict[str, Stored] = {}
        self.quantized: dict[str, str] = {}
        self.kernels: list[tuple[str, Operation, Any]] = []
        codes = {number: name for name, number in vars(BuiltinOperator).items() if isinstance(number, int)}
        told = [model.OperatorCodes(k) for k in self._counted(model.OperatorCodesLength())]
        self.codes = [codes.get(max(one.BuiltinCode(), one.DeprecatedBuiltinCode()), "?") for one in told]
        self.names: list[list[str]] = []
        taken: set[str] = set()
        graphs = [model.Subgraphs(k) for k in self._counted(model.SubgraphsLength())]
        for graph in graphs:
            self.names.append([self._tensor(graph.Tensors(k), taken) for k in self._counted(graph.TensorsLength())])
        for number, graph in enumerate(graphs):
            for k in self._counted(graph.OperatorsLength()):
                self._operator(graphs, number, graph.Operators(k))
        results = self._values(0, graphs[0].OutputsAsNumpy()) if graphs else ()
        self.flow = Dataflow(tuple(self.operations), self._constant, results)

    def _counted(self, length: int) -> range:
        """A range of that length; all together may be no longer than the file."""
        self.left -= length
        if length < 0 or self.left < 0:
            raise FileFormatError(f"{self.path}: damaged: lists more than {len(self.data)} bytes can hold")
        return range(length)

    def _tensor(self, tensor: Any, taken: set[str]) -> str:
        told = (tensor.Name() or b"").decode(errors="replace") or "tensor"
        name, number = told, 1
        while name in taken:
            number += 1
            name = f"{told}#{number}"
        taken.add(name)
        buffer = self.model.Buffers(tensor.Buffer()) if tensor.Buffer() < self.model.BuffersLength() else None
        if buffer is not None and buffer.DataLength() > 0 and tensor.Type() in DTYPES:
            self.constants[name] = self._stored(name, tensor, buffer.DataAsNumpy())
        return name

    def _stored(self, name: str, tensor: Any, raw: Array) -> Stored:
        shape = () if tensor.ShapeIsNone() else tuple(int(size) for size in tensor.ShapeAsNumpy())
        self._counted(len(shape))
        dtype = np.dtype(DTYPES[tensor.Type()]).newbyteorder("<")
        if any(size < 0 for size in shape) or prod(shape) * dtype.itemsize != raw.nbytes:
            raise FileFormatError(f"{self.path}: tensor {name}: found {raw.nbytes} bytes for shape {shape} of {dtype}")
        array = raw.view(dtype).reshape(shape)
        told = tensor.Quantization()
        if told is None or told.ScaleLength() == 0 or dtype.kind not in "iu":
            return Stored(shape, dtype.newbyteorder("="), lambda: array)
        axis = told.QuantizedDimension()
        scale, zero = told.ScaleAsNumpy(), told.ZeroPointAsNumpy() if told.ZeroPointLength() else np.zeros(1)
        if len(scale) != 1 and (axis >= len(shape) or len(scale) != shape[axis]):
            raise FileFormatError(f"{self.path}: tensor {name}: found {len(scale)} scales for shape {shape}")
        along = [-1 if k == axis else 1 for k in range(len(shape))] if len(scale) > 1 else [1] * len(shape)
        self.quantized[name] = f"{dtype.name} with {len(scale)} scale{'s' if len(scale) > 1 else ''}"
        wide = scale.reshape(along), zero.reshape(along if len(zero) > 1 else [1] * len(shape))

        def read() -> Array:
            dequantized: Array = ((array - wide[1].astype(np.float32)) * wide[0]).astype(np.float32)
            return dequantized

        return Stored(shape, np.dtype(np.float32), read)

    def _constant(self, value: str) -> Stored | None:
        """A constant, also behind a change of type or where a loop takes it in unchanged."""
        return self.constants.get(self.flow.origin(value))

    def _values(self, graph: int, numbers: Any) -> tuple[str, ...]:
        names = self.names[graph]
        found = [] if isinstance(numbers, int) else [int(k) for k in numbers]
        self._counted(len(found))
        if any(k < -1 or k >= len(names) for k in found):
            raise FileFormatError(f"{self.path}: damaged: an operator names a tensor that is not there")
        return tuple("" if k < 0 else names[k] for k in found)

    def _operator(self, graphs: list[Any], number: int, operator: Any) -> None:
        code = self.codes[operator.OpcodeIndex()]
        inputs, outputs = (
            self._values(number, operator.InputsAsNumpy()),
            self._values(number, operator.OutputsAsNumpy()),
        )
        kind = KINDS.get(code, code)
        attributes: dict[str, Any] = {"same": True} if code in ("DEQUANTIZE", "READ_VARIABLE") else {}
        if code == "SPLIT":
            inputs = inputs[1:]
        if code == "PACK" and len(inputs) == 1:
            kind = "view"
        options = operator.BuiltinOptions()
        if code == "WHILE":
            self._loop(graphs, self._options("WhileOptions", options).BodySubgraphIndex(), inputs, outputs)
        elif code == "FULLY_CONNECTED" and outputs and len(inputs) > 1:
            fused = self._options("FullyConnectedOptions", options).FusedActivationFunction()
            self._dense(inputs, outputs[0], FUSED.get(fused, f"activation {fused}"))
        elif code == "BATCH_MATMUL":
            told = self._options("BatchMatMulOptions", options)
            kind = "BATCH_MATMUL" if told.AdjX() else kind
            self.operations.append(Operation(kind, inputs, outputs, attributes={"transposed": bool(told.AdjY())}))
        else:
            operation = Operation(kind, inputs, outputs, attributes=attributes)
            self.operations.append(operation)
            if code in DIRECTIONS or code.endswith(("_RNN", "SVDF")) or code == "RNN":
                self.kernels.append((code, operation, options))

    def _options(self, kind: str, table: Any) -> Any:
        """The options of an operator under their class; none at all are all defaults."""
        import tflite

        found = getattr(tflite, kind)()
        if table is None:
            raise FileFormatError(f"{self.path}: damaged: an operator without its {kind}")
        found.Init(table.Bytes, table.Pos)
        return found

    def _dense(self, inputs: tuple[str, ...], output: str, function: str) -> None:
        bias = inputs[2] if len(inputs) > 2 else ""
        bent = output if function == "linear" else f"{output}/{function}"
        product = f"{output}/product" if bias else bent
        self.operations.append(Operation("product", inputs[:2], (product,), attributes={"transposed": True}))
        if bias:
            self.operations.append(Operation("add", (product, bias), (bent,)))
        if function != "linear":
            self.operations.append(Operation(function, (bent,), (output,)))

    def _loop(self, graphs: list[Any], body: int, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        if not 0 <= body < len(graphs):
            raise FileFormatError(f"{self.path}: damaged: a loop over subgraph {body} of {len(graphs)}")
        given = self._values(body, graphs[body].InputsAsNumpy())
        results = self._values(body, graphs[body].OutputsAsNumpy())
        for outer, inner, result, after in zip(inputs, given, results, outputs, strict=False):
            if inner == result:
                self.operations.append(Operation("view", (outer,), (inner,), attributes={"same": True}))
            else:
                self.operations.append(Operation("merge", (outer, result), (inner,)))
            self.operations.append(Operation("merge", (result,), (after,)))

    def recurrence(self) -> Recurrence:
        """Find the layers."""
        cells, cannot = find_spelled_out(self.flow, "tflite.")
        for code, operation, options in self.kernels:
            found = list(self._kernel(code, operation, options))
            cells += [one for one in found if isinstance(one, FoundCell)]
            cannot += [one for one in found if isinstance(one, Cannot)]
        used = {name.removesuffix("[T]") for cell in cells for name, _ in cell.tensors.values()}
        notes = {
            f"{name} as {how}": "dequantized when it is read" for name, how in self.quantized.items() if name in used
        }
        for state, title in self._states():
            used.add(state)
            if np.any(self.constants[state].read()):
                notes[state] = f"a state that {title} starts from, which is not zero; give it to run as state"
        rest = {name: one for name, one in self.constants.items() if one.dtype.kind == "f" and one.shape}
        return Recurrence(self.flow, cells, cannot, notes, {k: one for k, one in rest.items() if k not in used})

    def _states(self) -> Iterator[tuple[str, str]]:
        """Yield the constants that operators start from, and which operator."""
        for code, operation, _ in self.kernels:
            for place in STATES.get(code, ()):
                state = self.flow.origin(operation.inputs[place]) if place < len(operation.inputs) else ""
                if state in self.constants:
                    yield state, operation.title

    def _kernel(self, code: str, operation: Operation, options: Any) -> Iterator[FoundCell | Cannot]:
        if code not in DIRECTIONS:
            yield Cannot(operation.title, f"an operator {code}, which is no LSTM")
            return
        if code == "LSTM":
            told = self._options("LSTMOptions", options)
            if told.KernelType() == BASIC:
                yield self._basic(operation, told)
                return
        elif code.startswith("UNI"):
            told = self._options("UnidirectionalSequenceLSTMOptions", options)
        else:
            told = self._options("BidirectionalSequenceLSTMOptions", options)
        for d, shift in enumerate(DIRECTIONS[code]):
            yield self._full(operation, told, d, shift, len(DIRECTIONS[code]))

    def _basic(self, operation: Operation, told: Any) -> FoundCell | Cannot:
        """Inputs: x, the last output, weights, biases, the last state."""
        settings = self._settings(told)
        places = dict(zip(("weights", "biases"), operation.inputs[2:4], strict=False))
        tensors = {name: (value, self._constant(value)) for name, value in places.items()}
        row = LAYOUTS["tflite.LSTM.basic"]
        if settings != self._settings(None) or None in [constant for _, constant in tensors.values()]:
            return Cannot(
                operation.title, "an LSTM whose weights are no constants, or with limits or another activation"
            )
        known = {name: (value, one) for name, (value, one) in tensors.items() if one is not None}
        return FoundCell(
            operation.title, row.name, known, Settings(reverse=False), operation.inputs[:1], (), operation.outputs[:1]
        )

    def _full(self, operation: Operation, told: Any, d: int, shift: int, directions: int) -> FoundCell | Cannot:
        row = LAYOUTS["tflite.LSTM"]
        name = f"{operation.title}_reverse" if d else operation.title
        tensors = {}
        inputs = operation.inputs
        for place, tensor in enumerate(row.tensors, start=1):
            value = inputs[place + shift] if place + shift < len(inputs) else ""
            if not value:
                continue
            constant = self._constant(value)
            if constant is None:
                return Cannot(name, f"its {tensor.name} is no constant of the file")
            tensors[tensor.name] = (self.flow.origin(value), constant)
        if "input_to_input_weights" not in tensors:
            return Cannot(name, "couples its input gate to 1 - f, which is another cell")
        if directions == 1 and any(k < len(inputs) and inputs[k] for k in (PROJECTION_BIAS, *NORMALISATION)):
            return Cannot(name, "has a projection bias or a layer normalisation, which no plain LSTM has")
        settings = self._settings(told)
        if settings is None:
            return Cannot(name, f"has the activation {told.FusedActivationFunction()}")
        outputs = operation.outputs
        merged = directions == 1 or len(outputs) == 1
        return FoundCell(
            scope(variable for variable, _ in tensors.values()) or name,
            row.name,
            tensors,
            settings | Settings(reverse=bool(d)),
            inputs[:1],
            outputs[:1] if merged else (outputs[d],),
            (),
        )

    def _settings(self, told: Any) -> Settings | None:
        """The settings of an operator; None where its activation is none of a cell's."""
        if told is None:
            return Settings(activations=Activations(), cell_clip=None, projection_clip=None)
        function = FUSED.get(told.FusedActivationFunction())
        if function is None:
            return None
        activations = Activations(cell=function, output=function)
        clips = {"cell_clip": told.CellClip() or None, "projection_clip": told.ProjClip() or None}
        return Settings(activations=activations, cell_clip=clips["cell_clip"], projection_clip=clips["projection_clip"])
