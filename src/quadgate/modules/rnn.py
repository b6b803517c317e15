"""TensorFlow 1's names, so that the text of a TensorFlow 1 network runs as it stands.

    from quadgate import rnn

    tf = rnn
    weights = {"out": tf.Variable(tf.random_normal([64, 2]))}
    cell = rnn.BasicLSTMCell(64)
    outputs, states = rnn.static_rnn(cell, tf.unstack(x, 820, 1), dtype=tf.float32)

Tensors are PyTorch's and variables are its parameters, so any of its optimisers trains them.

TensorFlow builds a graph once; here the function that builds the network runs for every batch, and the cell inside it
is made anew each time. So variables live in a store, by name: the first call makes them, every later one finds them
(TensorFlow's `reuse=tf.AUTO_REUSE`). `reset_default_graph()` empties the store. A name that is asked for with other
sizes than before is refused, not made anew.

Source: `tensorflow/python/ops/rnn.py` and `rnn_cell_impl.py` at v1.15.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from quadgate.errors import InputError
from quadgate.modules.sequence import Lengths, check_tensor, lengths_tensor, over_steps
from quadgate.modules.tensorflow_cells import (
    BasicLSTMCell,
    BasicRNNCell,
    DropoutWrapper,
    GRUCell,
    LayerNormBasicLSTMCell,
    LSTMCell,
    LSTMStateTuple,
    MultiRNNCell,
    ResidualWrapper,
)
from quadgate.modules.variables import Variable, reset_default_graph, trainable_variables, variable_scope

__all__ = [
    "BasicLSTMCell",
    "BasicRNNCell",
    "DropoutWrapper",
    "GRUCell",
    "LSTMCell",
    "LSTMStateTuple",
    "LayerNormBasicLSTMCell",
    "MultiRNNCell",
    "ResidualWrapper",
    "Variable",
    "bidirectional_dynamic_rnn",
    "dynamic_rnn",
    "float32",
    "float64",
    "matmul",
    "random_normal",
    "reset_default_graph",
    "static_bidirectional_rnn",
    "static_rnn",
    "trainable_variables",
    "unstack",
    "variable_scope",
]

float32 = torch.float32
float64 = torch.float64


def random_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: torch.dtype = float32, seed: int | None = None
) -> Tensor:
    """Draw from a normal distribution, with torch's generator or one of its own from `seed`."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=dtype, generator=generator) * stddev + mean


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product."""
    return a @ b


def unstack(value: Tensor, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Cut a tensor along an axis into a list: of a batch `[N, T, C]` with axis 1, T tensors `[N, C]`.

    Raises:
        InputError: the axis has another size than `num`.

    >>> len(unstack(torch.zeros(4, 820, 12), 820, 1))
    820
    """
    if not -value.ndim <= axis < value.ndim:
        raise InputError(f"axis: found {axis}, expected one of the {value.ndim} axes of {tuple(value.shape)}")
    if num is not None and num != value.shape[axis]:
        raise InputError(
            f"num: found {num}, but axis {axis} of the value {tuple(value.shape)} has {value.shape[axis]}; "
            f"pass {value.shape[axis]}, or None to take what is there"
        )
    return list(value.unbind(axis))


def static_rnn(
    cell: Any,
    inputs: Sequence[Tensor],
    initial_state: Any = None,
    dtype: torch.dtype | None = None,
    sequence_length: Lengths | None = None,
    scope: str = "rnn",
) -> tuple[list[Tensor], Any]:
    """Run a cell over a list of steps.

    Args:
        cell: one of these cells, or any object that is called with `(inputs, state)` and returns the output and the
            next state; without an initial state it needs `zero_state(batch_size, dtype)` too.
        inputs: T tensors `[N, C]`, as `unstack` makes them.
        initial_state: `(c, h)`, each `[N, H]`; zero where there is none.
        dtype: that of the inputs; as in TensorFlow, it is needed where there is no initial state.
        sequence_length: `[N]`; past its end the outputs of a case are zero and its state is kept.
        scope: before the variables' names.

    Returns:
        T outputs `[N, H]`, and the final state.

    Raises:
        InputError: no step, or a shape, dtype or length that does not fit.
    """
    outputs, state = dynamic_rnn(cell, _stacked(inputs), sequence_length, initial_state, dtype, scope=scope)
    return list(outputs.unbind(1)), state


def _stacked(inputs: Sequence[Tensor]) -> Tensor:
    if not inputs:
        raise InputError("inputs: found no step, expected a list of at least one tensor [cases, channels]")
    for t, step in enumerate(inputs):
        if not isinstance(step, Tensor) or step.shape != inputs[0].shape or step.ndim != 2:
            expected = f"the shape of the first, {tuple(inputs[0].shape)}" if t else "a tensor [cases, channels]"
            raise InputError(f"inputs[{t}]: found {_described(step)}, expected {expected}; see unstack")
    return torch.stack(list(inputs), 1)


def dynamic_rnn(
    cell: Any,
    inputs: Tensor,
    sequence_length: Lengths | None = None,
    initial_state: Any = None,
    dtype: torch.dtype | None = None,
    time_major: bool = False,
    scope: str = "rnn",
) -> tuple[Tensor, Any]:
    """Run a cell over a batch of sequences `[N, T, C]`, or `[T, N, C]` where `time_major`.

    The other arguments and results are those of `static_rnn`, with the outputs `[N, T, H]` in one tensor.

    Raises:
        InputError: a shape, dtype or length that does not fit.
    """
    with variable_scope(scope):
        return _run(cell, inputs, sequence_length, initial_state, dtype, time_major, reverse=False)


def bidirectional_dynamic_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Tensor,
    sequence_length: Lengths | None = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: torch.dtype | None = None,
    time_major: bool = False,
    scope: str = "bidirectional_rnn",
) -> tuple[tuple[Tensor, Tensor], tuple[Any, Any]]:
    """Run one cell from the first step to the last, and one from the last of each case to its first.

    Returns:
        The outputs of both, each at its input's place, and the final states of both.

    Raises:
        InputError: as `dynamic_rnn`.
    """
    results = []
    for name, cell, start in (("fw", cell_fw, initial_state_fw), ("bw", cell_bw, initial_state_bw)):
        with variable_scope(scope), variable_scope(name):
            results.append(_run(cell, inputs, sequence_length, start, dtype, time_major, reverse=name == "bw"))
    (outputs_fw, state_fw), (outputs_bw, state_bw) = results
    return (outputs_fw, outputs_bw), (state_fw, state_bw)


def static_bidirectional_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Sequence[Tensor],
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: torch.dtype | None = None,
    sequence_length: Lengths | None = None,
    scope: str = "bidirectional_rnn",
) -> tuple[list[Tensor], Any, Any]:
    """Run two cells over a list of steps, as `bidirectional_dynamic_rnn` does over a tensor.

    Returns:
        T outputs, forward and backward side by side, then the final state of each.

    Raises:
        InputError: as `static_rnn`.
    """
    outputs, (state_fw, state_bw) = bidirectional_dynamic_rnn(
        cell_fw,
        cell_bw,
        _stacked(inputs),
        sequence_length,
        initial_state_fw,
        initial_state_bw,
        dtype,
        scope=scope,
    )
    return list(torch.cat(outputs, 2).unbind(1)), state_fw, state_bw


def _run(
    cell: Any,
    inputs: Tensor,
    sequence_length: Lengths | None,
    initial_state: Any,
    dtype: torch.dtype | None,
    time_major: bool,
    reverse: bool,
) -> tuple[Tensor, Any]:
    check_tensor(
        "inputs", inputs, ["steps", "cases", "channels"] if time_major else ["cases", "steps", "channels"], inputs
    )
    if dtype is None and initial_state is None:
        raise InputError("dtype: found neither dtype nor initial_state, expected one of them")
    if dtype not in (None, inputs.dtype):
        raise InputError(f"dtype: found {dtype}, but the inputs are {inputs.dtype}; convert them with .to({dtype})")
    x = inputs.transpose(0, 1) if time_major else inputs
    state = cell.zero_state(len(x), x.dtype) if initial_state is None else initial_state
    lengths = lengths_tensor(sequence_length, x)
    if getattr(cell, "sequence", None):
        outputs, final = cell.sequence(x, lengths, state, reverse)
    else:
        outputs, final = over_steps(cell, x, lengths, state, reverse)
    return (outputs.transpose(0, 1) if time_major else outputs), final


def _described(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
