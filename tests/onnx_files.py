"""ONNX models for tests: nodes with random weights, and running them in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

N, T = 3, 6


def value(name, shape, kind=onnx.TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, list(inputs), list(outputs), name=f"{outputs[0]}_node", **attributes)


def save(path, nodes, tensors, inputs, outputs, opset=17):
    """Write a model of these nodes; `tensors` are arrays by name."""
    graph = helper.make_graph(
        nodes, "test", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def weights(rng, kind, D, C, H, *, bias=True, peepholes=False):
    """W, R and the optional B and P of a node, different in every number."""
    gates = {"LSTM": 4, "GRU": 3}[kind]
    arrays = {"W": rng.normal(size=(D, gates * H, C)), "R": rng.normal(size=(D, gates * H, H))}
    if bias:
        arrays["B"] = rng.normal(size=(D, 2 * gates * H))
    if peepholes:
        arrays["P"] = rng.normal(size=(D, 3 * H))
    return {name: (0.5 * array).astype(np.float32) for name, array in arrays.items()}


def save_node(path, kind, arrays, **attributes):
    """Write a model of one node that takes x `[T, N, C]`, lengths and states, and gives Y and the final states."""
    D, _, C = arrays["W"].shape
    H = arrays["R"].shape[2]
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    inputs = ["x", "W", "R", "B" if "B" in arrays else "", "lengths", *states]
    inputs += ["P"] if "P" in arrays else []
    outputs = ["Y", *(f"new_{name}" for name in states)]
    one = node(kind, inputs, outputs, hidden_size=H, **attributes)
    given = [value("x", ["T", "N", C]), value("lengths", ["N"], onnx.TensorProto.INT32)]
    given += [value(name, [D, "N", H]) for name in states]
    return save(path, [one], arrays, given, [value(name, None) for name in outputs])


def run(path, **feed):
    """Run a model in ONNX Runtime; return its outputs by name."""
    ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, feed), strict=True))
