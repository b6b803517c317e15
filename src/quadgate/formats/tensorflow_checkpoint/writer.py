"""Writes a model as a TensorFlow 1 checkpoint, under the names that TensorFlow 1 would have given its variables."""

from __future__ import annotations

from pathlib import Path

from quadgate.errors import InputError
from quadgate.formats.tensorflow_checkpoint.bundle_writer import write_bundle
from quadgate.layouts import encode
from quadgate.model import Cell, Model
from quadgate.model.variables import Array


def write_model(model: Model, path: Path) -> None:
    """Write `PREFIX.index` and `PREFIX.data-00000-of-00001`.

    Raises:
        InputError: TensorFlow 1 has no cell that holds one of its layers; the text names what it lacks.
    """
    write_bundle(_prefix(path), arranged(model)[0])


def arranged(model: Model) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the variables by name, and what was folded into what."""
    tensors: dict[str, Array] = {}
    folded: list[str] = []
    for k, layer in enumerate(model.cells):
        if [cell.reverse for cell in layer] not in ([False], [False, True]):
            raise InputError(f"tf1: {layer[0].name} reads backwards alone; TensorFlow does so only beside forwards")
        for cell, parameters in zip(layer, model.layers[k], strict=True):
            scope = scope_of(model, k, cell)
            encoding = encode(parameters, row_of(cell))
            tensors |= {f"{scope}/{name}": array for name, array in encoding.tensors.items()}
            folded += encoding.folded
    if model.head is not None:
        if model.head.pool != "last":
            raise InputError(f"tf1: cannot hold the pooling {model.head.pool!r} of the head: its code alone says that")
        weights = model.variables[model.head.weights]
        tensors["out/weights"] = weights.T if model.head.transposed else weights
        if model.head.biases is not None:
            tensors["out/biases"] = model.variables[model.head.biases]
    return tensors, tuple(dict.fromkeys(folded))


def loading_code(model: Model, path: Path) -> str:
    """Return the lines of TensorFlow 1 that build the layers and load what `write_model` wrote."""
    code = ["import tensorflow.compat.v1 as tf  # from 2.16 on with tf_keras and TF_USE_LEGACY_KERAS=1", ""]
    code.append("tf.disable_eager_execution()")
    start = 0
    for number, count in enumerate(model.chains):
        chain = model.cells[start : start + count]
        name = "x" if len(model.chains) == 1 else f"x_{number}"
        code.append(f"{name} = tf.placeholder(tf.float32, [None, None, {chain[0][0].inputs}])")
        code += _layers(model, start, chain, name)
        start += count
    if model.head is not None:
        F, K = model.head.features, model.head.classes
        code.append(f'weights = tf.get_variable("out/weights", [{F}, {K}])')
        if model.head.biases is not None:
            code.append(f'biases = tf.get_variable("out/biases", [{K}])')
    return "\n".join([*code, "session = tf.Session()", f'tf.train.Saver().restore(session, "{_prefix(path)}")'])


def row_of(cell: Cell) -> str:
    """The class of TensorFlow 1 that can hold a cell."""
    if cell.kind == "gru":
        return "tf1.GRUCell"
    special = cell.holds("peepholes") or cell.holds("projection") or cell.cell_clip or cell.projection_clip
    return "tf1.LSTMCell" if special else "tf1.BasicLSTMCell"


def scope_of(model: Model, layer: int, cell: Cell) -> str:
    """The scope that TensorFlow 1 gives the variables of a cell."""
    name = {"tf1.GRUCell": "gru_cell", "tf1.LSTMCell": "lstm_cell"}.get(row_of(cell), "basic_lstm_cell")
    start, chain = 0, 0
    while layer >= start + model.chains[chain]:
        start += model.chains[chain]
        chain += 1
    outer = "" if len(model.chains) == 1 else f"chain_{chain}/"
    several, k = model.chains[chain] > 1, layer - start
    if any(one.reverse for one in model.cells[layer]):
        stacked = f"stack_bidirectional_rnn/cell_{k}/" if several else ""
        return f"{outer}{stacked}bidirectional_rnn/{'bw' if cell.reverse else 'fw'}/{name}"
    return f"{outer}rnn/multi_rnn_cell/cell_{k}/{name}" if several else f"{outer}rnn/{name}"


def _prefix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".index" else path


def _layers(model: Model, start: int, chain: tuple[tuple[Cell, ...], ...], x: str) -> list[str]:
    cells = [[_constructor(cell) for cell in layer] for layer in chain]
    several, outer = len(chain) > 1, "" if len(model.chains) == 1 else "chain_"
    if all(not cell.reverse for layer in chain for cell in layer):
        one = cells[0][0] if not several else f"tf.nn.rnn_cell.MultiRNNCell([{', '.join(c for (c,) in cells)}])"
        lines = [f"outputs, state = tf.nn.dynamic_rnn({one}, {x}, dtype=tf.float32)"]
    elif not several and len(cells[0]) == 2:
        forward, backward = cells[0]
        lines = [
            f"outputs, state = tf.nn.bidirectional_dynamic_rnn({forward}, {backward}, {x}, dtype=tf.float32)",
            "outputs = tf.concat(outputs, 2)",
        ]
    else:
        lines = ['with tf.variable_scope("stack_bidirectional_rnn"):', f"    outputs = {x}"]
        for k, pair in enumerate(cells):
            if len(pair) != 2:
                raise InputError("tf1: no function of TensorFlow stacks one direction upon two")
            lines += [
                f'    with tf.variable_scope("cell_{k}"):',
                f"        outputs, state = tf.nn.bidirectional_dynamic_rnn({pair[0]}, {pair[1]}, outputs, "
                "dtype=tf.float32)",
                "        outputs = tf.concat(outputs, 2)",
            ]
    if outer:
        number = next(n for n in range(len(model.chains)) if sum(model.chains[:n]) == start)
        lines = [f'with tf.variable_scope("chain_{number}"):', *(f"    {line}" for line in lines)]
    return lines


def _constructor(cell: Cell) -> str:
    """The call that makes a cell of TensorFlow 1, every setting that is no default among its arguments."""
    arguments = [str(cell.units)]
    if cell.kind == "gru":
        return f"tf.nn.rnn_cell.GRUCell({cell.units})"
    name = row_of(cell).removeprefix("tf1.")
    if cell.forget_bias != 1.0:
        arguments.append(f"forget_bias={cell.forget_bias}")
    if cell.holds("peepholes"):
        arguments.append("use_peepholes=True")
    if cell.holds("projection"):
        arguments.append(f"num_proj={cell.width}")
    for argument, clip in (("cell_clip", cell.cell_clip), ("proj_clip", cell.projection_clip)):
        if clip is not None:
            arguments.append(f"{argument}={clip}")
    if cell.activations.cell != "tanh":
        function = {"relu": "tf.nn.relu", "sigmoid": "tf.sigmoid", "linear": "tf.identity"}.get(cell.activations.cell)
        arguments.append(f"activation={function}")
    return f"tf.nn.rnn_cell.{name}({', '.join(arguments)})"
