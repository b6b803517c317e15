"""Writes the layers and the head as Flax linen parameters, `params/lstm_0/cell/...` and `params/out/{kernel,bias}`.

The names are those of `nn.RNN(nn.LSTMCell(H), name="lstm_0")`; of a backward layer `lstm_0_reverse`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from quadgate.cell import GRUParameters
from quadgate.dependencies import require
from quadgate.errors import InputError
from quadgate.formats.flax_file import ARRAY
from quadgate.layouts import encode
from quadgate.model import Cell, Model, write_atomically

FUNCTIONS = {
    "sigmoid": "nn.sigmoid",
    "tanh": "nn.tanh",
    "relu": "nn.relu",
    "linear": "lambda z: z",
    "hard_sigmoid": "lambda z: jnp.clip(0.2 * z + 0.5, 0, 1)",
    "hard_sigmoid_v3": "nn.hard_sigmoid",
}
"""Each activation as a line of JAX."""


def write_model(model: Model, path: Path) -> None:
    """Write the parameters: an npz archive where the path ends in `.npz`, else MessagePack.

    Raises:
        InputError: a layer has what Flax's cell has not, or the model a scaling or a pooling that no parameter holds.
        MissingDependencyError: the package msgpack is not installed.
    """
    tree, _ = arranged(model)
    with write_atomically(path) as beside:
        if path.suffix == ".npz":
            with beside.open("wb") as file:
                np.savez(file, **tree)
        else:
            beside.write_bytes(_packed(path, tree))


def arranged(model: Model) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parameters by their path, and what was folded into what."""
    if model.scaling is not None or (model.head is not None and model.head.pool != "last"):
        raise InputError("flax: parameters hold no scaling and no pooling; write the model to quadgate or onnx")
    tree: dict[str, Any] = {}
    folded: list[str] = []
    for k, layer in enumerate(model.layers):
        for one in layer:
            encoding = encode(one, f"flax.linen.{'GRUCell' if isinstance(one, GRUParameters) else 'LSTMCell'}")
            scope = f"params/{scope_of(k, model.cells[k][0].kind, one.reverse)}/cell"
            tree |= {f"{scope}/{name}": array for name, array in encoding.tensors.items()}
            folded += encoding.folded
    if model.head is not None:
        weights = model.variables[model.head.weights]
        tree["params/out/kernel"] = weights.T if model.head.transposed else weights
        if model.head.biases is not None:
            tree["params/out/bias"] = model.variables[model.head.biases]
    return tree, tuple(dict.fromkeys(folded))


def scope_of(layer: int, kind: str, reverse: bool) -> str:
    """The name of a layer in one direction: `lstm_0`, `gru_1_reverse`."""
    return f"{kind}_{layer}{'_reverse' if reverse else ''}"


def loading_code(model: Model, path: Path) -> str:
    """Return the lines of Flax linen that load what `write_model` wrote, and run it."""
    code = ["import flax.linen as nn", "import jax.numpy as jnp"]
    if path.suffix == ".npz":
        code += ["import numpy as np", "from flax.traverse_util import unflatten_dict", ""]
        code.append(f'params = unflatten_dict(dict(np.load("{path}")), sep="/")["params"]')
    else:
        code += ["from flax.serialization import msgpack_restore", ""]
        code.append(f'params = msgpack_restore(open("{path}", "rb").read())["params"]')
    if len(model.chains) > 1:
        return "\n".join(code)
    code.append(f"x = jnp.zeros((1, 10, {model.inputs}))  # cases, steps, channels")
    value = "x"
    for k, layer in enumerate(model.cells):
        names = []
        for cell in layer:
            name = scope_of(k, cell.kind, cell.reverse)
            backwards = ", reverse=True, keep_order=True" if cell.reverse else ""
            run = f"nn.RNN({constructor(cell)}, return_carry=True{backwards})"
            code.append(f'state_{name}, {name} = {run}.apply({{"params": params["{name}"]}}, {value})')
            names.append(name)
        value = names[0] if len(names) == 1 else f"jnp.concatenate([{', '.join(names)}], axis=-1)"
    head, last = model.head, model.cells[-1]
    if head is None:
        return "\n".join([*code, f"outputs = {value}"])
    states = [f"state_{scope_of(len(model.cells) - 1, cell.kind, cell.reverse)}" for cell in last]
    states = [state if cell.kind == "gru" else f"{state}[1]" for state, cell in zip(states, last, strict=True)]
    features = states[0] if len(states) == 1 else f"jnp.concatenate([{', '.join(states)}], axis=-1)"
    bias = "" if head.biases is not None else ", use_bias=False"
    code.append(f'logits = nn.Dense({head.classes}{bias}).apply({{"params": params["out"]}}, {features})')
    return "\n".join(code)


def constructor(cell: Cell) -> str:
    """The call that makes the cell, every setting that is no default among its arguments."""
    arguments = [str(cell.units)]
    for argument, name, usual in (
        ("gate_fn", cell.activations.gate, "sigmoid"),
        ("activation_fn", cell.activations.cell, "tanh"),
    ):
        arguments += [] if name == usual else [f"{argument}={FUNCTIONS[name]}"]
    return f"nn.{'GRUCell' if cell.kind == 'gru' else 'LSTMCell'}({', '.join(arguments)})"


def _packed(path: Path, tree: dict[str, Any]) -> bytes:
    msgpack = require("msgpack", f"{path} (Flax) cannot be written", "flax")
    nested: dict[str, Any] = {}
    for name, array in tree.items():
        *scopes, leaf = name.split("/")
        place = nested
        for scope in scopes:
            place = place.setdefault(scope, {})
        place[leaf] = msgpack.ExtType(ARRAY, msgpack.packb((array.shape, array.dtype.name, array.tobytes())))
    packed: bytes = msgpack.packb(nested)
    return packed
