"""The Open Inference Protocol, version 2: tensors in JSON, or beside it in binary."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate import __version__
from quadgate.errors import InputError
from quadgate.model import Ensemble, Model

Array = NDArray[Any]
TYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "INT32": "<i4"}


def server_metadata() -> dict[str, Any]:
    """Return what the server is."""
    return {"name": "quadgate", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_metadata(model: Model | Ensemble, name: str) -> dict[str, Any]:
    """Return what the model takes and gives."""
    shapes: dict[str, list[int]] = {}
    if model.classes is not None:
        shapes = {"probabilities": [-1, model.classes], "logits": [-1, model.classes]}
    if isinstance(model, Model):
        shapes["outputs"] = [-1, -1, sum(one.width for one in model.cells[-1])]
    outputs = [{"name": one, "datatype": "FP32", "shape": shape} for one, shape in shapes.items()]
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, -1, model.inputs]}]
    return {"name": name, "versions": ["1"], "platform": "quadgate", "inputs": inputs, "outputs": outputs}


def infer(model: Model | Ensemble, name: str, body: bytes, header_size: int | None) -> tuple[bytes, int | None]:
    """Answer an inference request. Returns the body and the length of its JSON where binary data follow it.

    Raises:
        InputError: the request is not what the protocol says, or does not fit the model.
    """
    request = _json(body if header_size is None else body[:header_size])
    tensors = _inputs(request, b"" if header_size is None else body[header_size:])
    if "x" not in tensors:
        raise InputError(f"inputs: found {', '.join(tensors) or 'none'}, expected x, and lengths where cases differ")
    wanted = request.get("outputs") or [{"name": "outputs" if model.classes is None else "probabilities"}]
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise InputError("outputs: expected a list of objects with a name")
    described, binary = [], b""
    for one in wanted:
        answer, _ = model.run(tensors["x"], lengths=tensors.get("lengths"), output=str(one.get("name")))
        told: dict[str, Any] = {"name": one["name"], "datatype": "FP32", "shape": list(answer.shape)}
        if _parameters(one).get("binary_data", _parameters(request).get("binary_data_output")):
            data = answer.astype("<f4").tobytes()
            told["parameters"] = {"binary_data_size": len(data)}
            binary += data
        else:
            told["data"] = answer.ravel().tolist()
        described.append(told)
    reply = {"model_name": name, "model_version": "1", "outputs": described}
    if "id" in request:
        reply["id"] = str(request["id"])
    text = json.dumps(reply).encode()
    return text + binary, len(text) if binary else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"body: found no JSON: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise InputError(f"body: found {type(found).__name__}, expected an object with inputs")
    return found


def _parameters(of: dict[str, Any]) -> dict[str, Any]:
    found = of.get("parameters")
    return found if isinstance(found, dict) else {}


def _inputs(request: dict[str, Any], binary: bytes) -> dict[str, Array]:
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        raise InputError("inputs: expected a list of tensors")
    tensors, at = {}, 0
    for one in inputs:
        if not isinstance(one, dict) or one.get("name") not in ("x", "lengths"):
            raise InputError("inputs: found another tensor, expected x, and lengths where cases differ")
        name, shape, kind = one["name"], one.get("shape"), TYPES.get(str(one.get("datatype")))
        if kind is None:
            raise InputError(f"{name}: found datatype {one.get('datatype')!r}, expected one of {', '.join(TYPES)}")
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise InputError(f"{name}: found shape {shape!r}, expected whole numbers")
        size = _parameters(one).get("binary_data_size")
        if size is None:
            array = _numbers(name, one.get("data"), kind)
        else:
            if type(size) is not int or not 0 <= size <= len(binary) - at or size % np.dtype(kind).itemsize:
                raise InputError(f"{name}: found binary_data_size {size!r}, expected that of what follows the JSON")
            array = np.frombuffer(binary, kind, size // np.dtype(kind).itemsize, at)
            at += size
        if array.size != int(np.prod(shape, dtype=object)):
            raise InputError(f"{name}: found {array.size} numbers, expected {shape}")
        tensors[name] = array.reshape(shape)
    return tensors


def _numbers(name: str, data: Any, kind: str) -> Array:
    try:
        return np.array(data, kind).ravel()
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InputError(f"{name}: found data that are no numbers, expected a list of them") from None
