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

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules.initializers import glorot_uniform_
from quadgate.modules.operator import lstm
from quadgate.modules.sequence import Cell, Lengths, check_activation, check_tensor, gates, lengths_tensor

__all__ = [
    "BasicLSTMCell",
    "LSTMStateTuple",
    "Variable",
    "dynamic_rnn",
    "float32",
    "float64",
    "matmul",
    "random_normal",
    "reset_default_graph",
    "static_rnn",
    "trainable_variables",
    "unstack",
    "variable_scope",
]

float32 = torch.float32
float64 = torch.float64


class LSTMStateTuple(NamedTuple):
    """The state of a cell: `c [N, H]`, then `h [N, H]`, in TensorFlow's order."""

    c: Tensor
    h: Tensor


class VariableList(list[nn.Parameter]):
    """The trainable variables; printed, a table of name, shape and count with the total."""

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        super().__init__(named.values())
        self.names = [f"{name}:0" for name in named]

    def __str__(self) -> str:
        rows = [(name, str(tuple(v.shape)), v.numel()) for name, v in zip(self.names, self, strict=True)]
        rows.append(("total", "", sum(v.numel() for v in self)))
        return "\n".join(f"{name:<60} {shape:<12} {count}" for name, shape, count in rows)


_variables: dict[str, nn.Parameter] = {}
_scopes: list[str] = []


def reset_default_graph() -> None:
    """Forget every variable; the next call makes them anew."""
    _variables.clear()


@contextmanager
def variable_scope(name: str) -> Iterator[None]:
    """Put `name/` before the names of the variables that are made or found within."""
    _scopes.append(name)
    try:
        yield
    finally:
        _scopes.pop()


def trainable_variables() -> VariableList:
    """Return every variable in the order in which it was made: for an optimiser, or to print.

    >>> reset_default_graph()
    >>> weights = Variable(random_normal([64, 2]))
    >>> print(trainable_variables())
    Variable:0                                                   (64, 2)      128
    total                                                                     128
    >>> reset_default_graph()
    """
    return VariableList(_variables)


def Variable(initial_value: Tensor, name: str = "Variable") -> nn.Parameter:  # noqa: N802 (TensorFlow's name)
    """Make a trainable variable; a name that is taken gets `_1`, `_2`, as in TensorFlow.

    Raises:
        InputError: the value is no tensor of real numbers.
    """
    if not isinstance(initial_value, Tensor) or not initial_value.is_floating_point():
        raise InputError(f"initial_value: found {_described(initial_value)}, expected a tensor of real numbers")
    base = full = _scoped(name)
    count = 0
    while full in _variables:
        count += 1
        full = f"{base}_{count}"
    _variables[full] = nn.Parameter(initial_value.detach().clone())
    return _variables[full]


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


class BasicLSTMCell:
    """TensorFlow 1's `BasicLSTMCell`; its variables are made by the call that first runs it.

    Args:
        num_units: H.
        forget_bias: added to f while running.
        state_is_tuple: must be True; the other form was deprecated in TensorFlow 1.
        activation: in place of tanh, in both places; a name of `quadgate.modules.sequence.ACTIVATIONS`.
        reuse: taken and not needed: variables are always reused.
        name: in place of `basic_lstm_cell` in the variables' names.

    Raises:
        InputError: a size below 1, an activation that is not known, or `state_is_tuple=False`.
    """

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: str = "tanh",
        reuse: bool | None = None,  # noqa: ARG002 (TensorFlow's signature)
        name: str = "basic_lstm_cell",
    ) -> None:
        if num_units < 1:
            raise InputError(f"num_units: found {num_units}, expected at least 1")
        if not state_is_tuple:
            raise InputError("state_is_tuple: found False, expected True: the state is the pair (c, h)")
        check_activation(activation)
        self.num_units = num_units
        self.forget_bias = forget_bias
        self.activation = activation
        self.name = name

    @property
    def output_size(self) -> int:
        """H."""
        return self.num_units

    @property
    def state_size(self) -> tuple[int, int]:
        """The widths of c and h."""
        return self.num_units, self.num_units

    def zero_state(self, batch_size: int, dtype: torch.dtype = float32) -> LSTMStateTuple:
        """Return zeros `[N, H]` for c and for h."""
        return LSTMStateTuple(*torch.zeros(2, batch_size, self.num_units, dtype=dtype).unbind())

    def variables(self, inputs: int, dtype: torch.dtype) -> tuple[nn.Parameter, nn.Parameter]:
        """Return `kernel [C+H, 4H]` and `bias [4H]` of the current scope, made if they are not there yet.

        Raises:
            InputError: they are there with other sizes.
        """
        H = self.num_units
        kernel = _get_variable(f"{self.name}/kernel", (inputs + H, 4 * H), dtype)
        bias = _get_variable(f"{self.name}/bias", (4 * H,), dtype)
        return kernel, bias

    def __call__(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, LSTMStateTuple]:
        """Take one step: `inputs [N, C]` and `(c, h)` to the output `h` and the next `(c, h)`.

        Raises:
            InputError: a shape or dtype that does not fit.
        """
        check_tensor("inputs", inputs, ["cases", "channels"], inputs)
        kernel, bias = self.variables(inputs.shape[1], inputs.dtype)
        c, h = _checked_state(state, len(inputs), self.num_units, kernel)
        h, c = gates(
            torch.cat([inputs, h], 1) @ kernel + bias,
            c,
            Cell(self.forget_bias, cell=self.activation, output=self.activation),
        )
        return h, LSTMStateTuple(c, h)


def static_rnn(
    cell: BasicLSTMCell,
    inputs: Sequence[Tensor],
    initial_state: tuple[Tensor, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    sequence_length: Lengths | None = None,
    scope: str = "rnn",
) -> tuple[list[Tensor], LSTMStateTuple]:
    """Run a cell over a list of steps.

    Args:
        cell: the cell.
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
    if not inputs:
        raise InputError("inputs: found no step, expected a list of at least one tensor [cases, channels]")
    for t, step in enumerate(inputs):
        if not isinstance(step, Tensor) or step.shape != inputs[0].shape or step.ndim != 2:
            expected = f"the shape of the first, {tuple(inputs[0].shape)}" if t else "a tensor [cases, channels]"
            raise InputError(f"inputs[{t}]: found {_described(step)}, expected {expected}; see unstack")
    outputs, state = dynamic_rnn(cell, torch.stack(list(inputs), 1), sequence_length, initial_state, dtype, scope=scope)
    return list(outputs.unbind(1)), state


def dynamic_rnn(
    cell: BasicLSTMCell,
    inputs: Tensor,
    sequence_length: Lengths | None = None,
    initial_state: tuple[Tensor, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    time_major: bool = False,
    scope: str = "rnn",
) -> tuple[Tensor, LSTMStateTuple]:
    """Run a cell over a batch of sequences `[N, T, C]`, or `[T, N, C]` where `time_major`.

    The other arguments and results are those of `static_rnn`, with the outputs `[N, T, H]` in one tensor.

    Raises:
        InputError: a shape, dtype or length that does not fit.
    """
    check_tensor(
        "inputs", inputs, ["steps", "cases", "channels"] if time_major else ["cases", "steps", "channels"], inputs
    )
    if dtype is None and initial_state is None:
        raise InputError("dtype: found neither dtype nor initial_state, expected one of them")
    if dtype not in (None, inputs.dtype):
        raise InputError(f"dtype: found {dtype}, but the inputs are {inputs.dtype}; convert them with .to({dtype})")
    x = inputs.transpose(0, 1) if time_major else inputs
    with variable_scope(scope):
        kernel, bias = cell.variables(x.shape[2], x.dtype)
    state = None if initial_state is None else _checked_state(initial_state, len(x), cell.num_units, kernel)
    outputs, (c, h) = lstm(
        x,
        kernel,
        bias,
        state,
        lengths_tensor(sequence_length, x),
        forget_bias=cell.forget_bias,
        activations=Activations(cell=cell.activation, output=cell.activation),
    )
    return outputs.transpose(0, 1) if time_major else outputs, LSTMStateTuple(c, h)


def _get_variable(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> nn.Parameter:
    """Find a variable, or make it as TensorFlow does by default: Glorot's uniform for a matrix, zero for a bias."""
    full = _scoped(name)
    found = _variables.get(full)
    if found is None:
        found = _variables[full] = nn.Parameter(torch.zeros(shape, dtype=dtype))
        if len(shape) > 1:
            with torch.no_grad():
                glorot_uniform_(found)
    if tuple(found.shape) != shape or found.dtype != dtype:
        raise InputError(
            f"{full}: found {tuple(found.shape)} {found.dtype} from an earlier call, expected {shape} {dtype}; "
            "use another variable_scope, or reset_default_graph()"
        )
    return found


def _scoped(name: str) -> str:
    return "/".join([*_scopes, name])


def _checked_state(state: tuple[Tensor, Tensor], cases: int, units: int, like: Tensor) -> tuple[Tensor, Tensor]:
    c, h = state
    check_tensor("state c", c, [cases, units], like)
    check_tensor("state h", h, [cases, units], like)
    return c, h


def _described(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
