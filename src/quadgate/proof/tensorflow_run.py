"""TensorFlow runs the checkpoint that was written for it: it reads every number and computes every cell.

TensorFlow 2 has the kernels of version 1's cells under `tf.raw_ops`, whatever became of their classes: BlockLSTM is
`BasicLSTMCell` and `LSTMCell` without a projection, GRUBlockCell is `GRUCell`. Source: tensorflow/core/ops/rnn_ops.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import Activations, LSTMParameters
from quadgate.formats.tensorflow_checkpoint.writer import arranged, scope_of
from quadgate.model import Cell, Model
from quadgate.proof.trial import Difference

Array = NDArray[Any]
Read = Callable[[str], Array]


def numbers(model: Model, path: Path) -> tuple[str, Read, Difference]:
    """Let TensorFlow read the checkpoint; return its version, its reader, and how far its numbers are from ours."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path.with_suffix("") if path.suffix == ".index" else path))
    tensors, _ = arranged(model)
    if set(reader.get_variable_to_shape_map()) != set(tensors):
        return f"TensorFlow {tf.__version__}", reader.get_tensor, Difference(np.inf, np.inf)
    largest = max(float(np.abs(reader.get_tensor(name) - array).max()) for name, array in tensors.items())
    return f"TensorFlow {tf.__version__}", reader.get_tensor, Difference(largest, 0.0)


def computes(cell: Cell) -> bool:
    """Whether TensorFlow 2 has a kernel for a cell: not for a projection nor for other functions than its own."""
    return cell.activations == Activations() and not cell.holds("projection")


def evaluated(operation: Callable[..., Any], **arguments: Any) -> Any:
    """Run one operation in a graph of its own, whichever of its two modes TensorFlow is in."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        return session.run(operation(**arguments))


def run_cell(
    model: Model, layer: int, direction: int, read: Read, x: Array, state: tuple[Array, ...]
) -> tuple[Array, tuple[Array, ...]]:
    """Run a cell in TensorFlow on `[N, T, C]`, in the order of the steps given, from `(h, c)` or `(h,)`.

    Returns:
        The outputs `[N, T, H]` and the final state, in the same order.
    """
    cell, one = model.cells[layer][direction], model.layers[layer][direction]
    scope = scope_of(model, layer, cell)
    steps = np.ascontiguousarray(x.swapaxes(0, 1))

    def own(name: str) -> Array:
        return read(f"{scope}/{name}")

    outputs, final = _lstm(cell, own, steps, state) if isinstance(one, LSTMParameters) else _gru(own, steps, state)
    return outputs.swapaxes(0, 1), final


def _lstm(cell: Cell, read: Read, x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    import tensorflow as tf

    h, c = state
    peepholes = cell.holds("peepholes")
    diagonals = [read(f"w_{gate}_diag") if peepholes else np.zeros(cell.units, np.float32) for gate in "ifo"]
    told = evaluated(
        tf.raw_ops.BlockLSTM,
        seq_len_max=len(x),
        x=x,
        cs_prev=c,
        h_prev=h,
        w=read("kernel"),
        wci=diagonals[0],
        wcf=diagonals[1],
        wco=diagonals[2],
        b=read("bias"),
        forget_bias=cell.forget_bias,
        cell_clip=-1 if cell.cell_clip is None else cell.cell_clip,
        use_peephole=peepholes,
    )
    return told.h, (told.h[-1], told.cs[-1])


def _gru(read: Read, x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    import tensorflow as tf

    (h,) = state
    outputs = []
    for step in x:
        h = evaluated(
            tf.raw_ops.GRUBlockCell,
            x=step,
            h_prev=h,
            w_ru=read("gates/kernel"),
            w_c=read("candidate/kernel"),
            b_ru=read("gates/bias"),
            b_c=read("candidate/bias"),
        ).h
        outputs.append(h)
    return np.stack(outputs), (h,)
