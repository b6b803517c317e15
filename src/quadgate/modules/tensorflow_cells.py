"""TensorFlow 1's cells, which `rnn` hands out: the same variables by the same names, and the same numbers.

A cell is called with one step, `cell(inputs [N, C], state)`, and returns its output and the next state. Its variables
are made, or found, in the scope of the call. Those that the kernels can run over a whole sequence also have `sequence`.

Source: `tensorflow/python/ops/rnn_cell_impl.py` and `tensorflow/contrib/rnn/python/ops/rnn_cell.py` at v1.15.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules.operator import lstm
from quadgate.modules.sequence import ACTIVATIONS, Cell, Normalised, check_activation, check_tensor, gates, limited
from quadgate.modules.variables import get_variable, variable_scope


class LSTMStateTuple(NamedTuple):
    """The state of a cell: `c [N, H]`, then `h [N, H]`, in TensorFlow's order."""

    c: Tensor
    h: Tensor


def _step_tensors(inputs: Tensor, state: Any, widths: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Check the input and the state `(c, h)` of one step."""
    check_tensor("inputs", inputs, ["cases", "channels"], inputs)
    c, h = state
    for name, one, width in zip(("state c", "state h"), (c, h), widths, strict=True):
        check_tensor(name, one, [len(inputs), width], inputs)
    return c, h


class LSTMCell:
    """TensorFlow 1's `LSTMCell`: peepholes, a projection, and limits.

    Args:
        num_units: H.
        use_peepholes: whether the gates see the cell state, by `w_f_diag`, `w_i_diag` and `w_o_diag`, each `[H]`.
        cell_clip: limit of the cell state.
        num_proj: P, the width of the projection `projection/kernel [H, P]`.
        proj_clip: limit of the projected output.
        forget_bias: added to f while running.
        state_is_tuple: must be True; the other form was deprecated in TensorFlow 1.
        activation: in place of tanh, in both places.
        reuse: taken and not needed: variables are always reused.
        name: in place of `lstm_cell` in the variables' names.

    Raises:
        InputError: a size below 1, an activation that is not known, or `state_is_tuple=False`.
    """

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        cell_clip: float | None = None,
        num_proj: int | None = None,
        proj_clip: float | None = None,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: str = "tanh",
        reuse: bool | None = None,  # noqa: ARG002 (TensorFlow's signature)
        name: str = "lstm_cell",
    ) -> None:
        for what, size in (("num_units", num_units), ("num_proj", 1 if num_proj is None else num_proj)):
            if size < 1:
                raise InputError(f"{what}: found {size}, expected at least 1")
        if not state_is_tuple:
            raise InputError("state_is_tuple: found False, expected True: the state is the pair (c, h)")
        check_activation(activation)
        self.num_units, self.num_proj, self.use_peepholes = num_units, num_proj, use_peepholes
        self.name = name
        self.functions = Cell(
            forget_bias,
            cell=activation,
            output=activation,
            cell_clip=cell_clip,
            projection_clip=proj_clip if num_proj else None,
        )

    @property
    def output_size(self) -> int:
        """P, or H without a projection."""
        return self.num_proj or self.num_units

    @property
    def state_size(self) -> LSTMStateTuple:
        """The widths of c and h."""
        return LSTMStateTuple(self.num_units, self.output_size)  # type: ignore[arg-type]

    def zero_state(self, batch_size: int, dtype: torch.dtype = torch.float32) -> LSTMStateTuple:
        """Return zeros for c and for h."""
        sizes = (self.num_units, self.output_size)
        return LSTMStateTuple(*(torch.zeros(batch_size, size, dtype=dtype) for size in sizes))

    def variables(self, inputs: int, dtype: torch.dtype) -> dict[str, Tensor | None]:
        """Return the tensors as `quadgate.lstm` names them, made in the current scope if they are not there yet.

        Raises:
            InputError: they are there with other sizes.
        """
        H, P = self.num_units, self.output_size
        with variable_scope(self.name):
            kernel = get_variable("kernel", (inputs + P, 4 * H), dtype)
            bias = get_variable("bias", (4 * H,), dtype, value=0.0)
            peepholes = projection = None
            if self.use_peepholes:
                f, i, o = (get_variable(f"w_{gate}_diag", (H,), dtype) for gate in "fio")
                peepholes = torch.stack([i, f, o])
            if self.num_proj:
                projection = get_variable("projection/kernel", (H, P), dtype)
        return {"kernel": kernel, "bias": bias, "peepholes": peepholes, "projection": projection}

    def __call__(self, inputs: Tensor, state: Any) -> tuple[Tensor, LSTMStateTuple]:
        """Take one step: `inputs [N, C]` and `(c, h)` to the output `h` and the next `(c, h)`.

        Raises:
            InputError: a shape or dtype that does not fit.
        """
        c, h = _step_tensors(inputs, state, (self.num_units, self.output_size))
        v: dict[str, Any] = self.variables(inputs.shape[1], inputs.dtype)
        z = torch.cat([inputs, h], 1) @ v["kernel"] + v["bias"]
        h, c = gates(z, c, self.functions, None if v["peepholes"] is None else v["peepholes"].flatten())
        if v["projection"] is not None:
            h = limited(h @ v["projection"], self.functions.projection_clip)
        return h, LSTMStateTuple(c, h)

    def sequence(self, x: Tensor, lengths: Tensor | None, state: Any, reverse: bool) -> tuple[Tensor, LSTMStateTuple]:
        """Run over `x [N, T, C]` by the kernels."""
        v: dict[str, Any] = self.variables(x.shape[2], x.dtype)
        functions = self.functions
        outputs, final = lstm(
            x,
            **v,
            state=tuple(state),
            lengths=lengths,
            layout="tf1.LSTMCell",
            forget_bias=functions.forget_bias,
            activations=Activations(functions.gate, functions.cell, functions.output),
            cell_clip=functions.cell_clip,
            projection_clip=functions.projection_clip,
            reverse=reverse,
        )
        return outputs, LSTMStateTuple(*final)


class BasicLSTMCell(LSTMCell):
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
        reuse: bool | None = None,
        name: str = "basic_lstm_cell",
    ) -> None:
        super().__init__(
            num_units,
            forget_bias=forget_bias,
            state_is_tuple=state_is_tuple,
            activation=activation,
            reuse=reuse,
            name=name,
        )


class LayerNormBasicLSTMCell(LSTMCell):
    """TensorFlow 1's `contrib.rnn.LayerNormBasicLSTMCell`: normalised gates and cell state, dropout of the candidate.

    Args:
        num_units: H.
        forget_bias: added to f while running.
        activation: in place of tanh.
        norm_gain, norm_shift: what the gains and the shifts start from.
        dropout_keep_prob: the share of the candidate that is kept; 1 for all.
        name: in place of `layer_norm_basic_lstm_cell`.
    """

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        activation: str = "tanh",
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        dropout_keep_prob: float = 1.0,
        name: str = "layer_norm_basic_lstm_cell",
    ) -> None:
        super().__init__(num_units, forget_bias=forget_bias, activation=activation, name=name)
        self.norm_gain, self.norm_shift, self.dropout_keep_prob = norm_gain, norm_shift, dropout_keep_prob

    sequence = None  # type: ignore[assignment]

    def __call__(self, inputs: Tensor, state: Any) -> tuple[Tensor, LSTMStateTuple]:
        """Take one step, as `LSTMCell` does."""
        H = self.num_units
        c, h = _step_tensors(inputs, state, (H, H))
        with variable_scope(self.name):
            kernel = get_variable("kernel", (inputs.shape[1] + H, 4 * H), inputs.dtype)
            found: list[Tensor] = [
                get_variable(f"{place}/{what}", (H,), inputs.dtype, value=value)
                for place in ("input", "transform", "forget", "output", "state")
                for what, value in (("gamma", self.norm_gain), ("beta", self.norm_shift))
            ]
        norm = Normalised(torch.stack(found[::2]), torch.stack(found[1::2]), 1e-12)
        z = torch.cat([inputs, h], 1) @ kernel
        keep = None if self.dropout_keep_prob >= 1 else _mask(h, self.dropout_keep_prob)
        h, c = gates(z, c, self.functions, norm=norm, keep=keep)
        return h, LSTMStateTuple(c, h)


class _OneState:
    """What cells with one state tensor share."""

    def __init__(self, num_units: int, activation: str, name: str) -> None:
        if num_units < 1:
            raise InputError(f"num_units: found {num_units}, expected at least 1")
        check_activation(activation)
        self.num_units, self.activation, self.name = num_units, activation, name

    @property
    def output_size(self) -> int:
        """H."""
        return self.num_units

    @property
    def state_size(self) -> int:
        """H."""
        return self.num_units

    def zero_state(self, batch_size: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return zeros `[N, H]`."""
        return torch.zeros(batch_size, self.num_units, dtype=dtype)


class BasicRNNCell(_OneState):
    """TensorFlow 1's `BasicRNNCell`: `h' = activation([x, h] @ kernel + bias)`."""

    def __init__(self, num_units: int, activation: str = "tanh", name: str = "basic_rnn_cell") -> None:
        super().__init__(num_units, activation, name)

    def __call__(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        H = self.num_units
        with variable_scope(self.name):
            kernel = get_variable("kernel", (inputs.shape[1] + H, H), inputs.dtype)
            bias = get_variable("bias", (H,), inputs.dtype, value=0.0)
        h = ACTIVATIONS[self.activation](torch.cat([inputs, state], 1) @ kernel + bias)
        return h, h


class GRUCell(_OneState):
    """TensorFlow 1's `GRUCell`, whose reset acts before the recurrent product.

    r, z = the halves of sigmoid([x, h] @ gates/kernel + gates/bias)
    n = activation([x, r * h] @ candidate/kernel + candidate/bias)
    h' = z * h + (1 - z) * n
    """

    def __init__(self, num_units: int, activation: str = "tanh", name: str = "gru_cell") -> None:
        super().__init__(num_units, activation, name)

    def __call__(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        H, C, dtype = self.num_units, inputs.shape[1], inputs.dtype
        with variable_scope(self.name):
            kernel = get_variable("gates/kernel", (C + H, 2 * H), dtype)
            bias = get_variable("gates/bias", (2 * H,), dtype, value=1.0)
            candidate_kernel = get_variable("candidate/kernel", (C + H, H), dtype)
            candidate_bias = get_variable("candidate/bias", (H,), dtype, value=0.0)
        r, z = torch.sigmoid(torch.cat([inputs, state], 1) @ kernel + bias).chunk(2, 1)
        n = ACTIVATIONS[self.activation](torch.cat([inputs, r * state], 1) @ candidate_kernel + candidate_bias)
        h = z * state + (1 - z) * n
        return h, h


class MultiRNNCell:
    """Cells on top of each other; the state is a tuple with that of each.

    Args:
        cells: the lowest first.
        state_is_tuple: must be True.
    """

    name = "multi_rnn_cell"

    def __init__(self, cells: Sequence[Any], state_is_tuple: bool = True) -> None:
        if not cells:
            raise InputError("cells: found none, expected at least one")
        if not state_is_tuple:
            raise InputError("state_is_tuple: found False, expected True: the state is a tuple with that of each cell")
        self.cells = list(cells)

    @property
    def output_size(self) -> int:
        """That of the top cell."""
        return int(self.cells[-1].output_size)

    @property
    def state_size(self) -> tuple[Any, ...]:
        """That of each cell."""
        return tuple(cell.state_size for cell in self.cells)

    def zero_state(self, batch_size: int, dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
        """Return the zero state of each cell."""
        return tuple(cell.zero_state(batch_size, dtype) for cell in self.cells)

    def __call__(self, inputs: Tensor, state: Any) -> tuple[Tensor, tuple[Any, ...]]:
        """Take one step with every cell."""
        return self._each(inputs, state, lambda cell, x, one: cell(x, one))

    @property
    def sequence(self) -> Callable[..., tuple[Tensor, Any]] | None:
        """Run layer after layer over the whole sequence, where every cell can."""
        if not all(getattr(cell, "sequence", None) for cell in self.cells):
            return None
        return lambda x, lengths, state, reverse: self._each(
            x, state, lambda cell, below, one: cell.sequence(below, lengths, one, reverse)
        )

    def _each(self, x: Tensor, state: Any, run: Callable[..., tuple[Tensor, Any]]) -> tuple[Tensor, tuple[Any, ...]]:
        after = []
        with variable_scope(self.name):
            for k, (cell, one) in enumerate(zip(self.cells, state, strict=True)):
                with variable_scope(f"cell_{k}"):
                    x, one = run(cell, x, one)
                after.append(one)
        return x, tuple(after)


class _Wrapper:
    """A cell around a cell; the variables are the inner cell's, under its own names."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell

    @property
    def output_size(self) -> Any:
        """The inner cell's."""
        return self.cell.output_size

    @property
    def state_size(self) -> Any:
        """The inner cell's."""
        return self.cell.state_size

    def zero_state(self, batch_size: int, dtype: torch.dtype = torch.float32) -> Any:
        """Return the inner cell's."""
        return self.cell.zero_state(batch_size, dtype)


class DropoutWrapper(_Wrapper):
    """Drop shares of what goes into a cell, comes out of it, and is fed back: always, as TensorFlow does.

    Args:
        cell: the inner cell.
        input_keep_prob, output_keep_prob, state_keep_prob: the shares that are kept; of an LSTM's state h alone is
            dropped from.
        variational_recurrent: one mask for all steps and all cases, drawn when the wrapper is first called (Gal and
            Ghahramani, 2016), in place of one for each value.
    """

    def __init__(
        self,
        cell: Any,
        input_keep_prob: float = 1.0,
        output_keep_prob: float = 1.0,
        state_keep_prob: float = 1.0,
        variational_recurrent: bool = False,
    ) -> None:
        super().__init__(cell)
        self.shares = {"input": input_keep_prob, "output": output_keep_prob, "state": state_keep_prob}
        for name, share in self.shares.items():
            if not 0 < share <= 1:
                raise InputError(f"{name}_keep_prob: found {share}, expected a share above 0, up to 1")
        self.variational_recurrent = variational_recurrent
        self._masks: dict[tuple[str, int], Tensor] = {}

    def __call__(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Take one step."""
        output, after = self.cell(self._dropped("input", inputs), state)
        if self.shares["state"] < 1:
            after = self._state(after)
        return self._dropped("output", output), after

    def _state(self, state: Any, place: int = 0) -> Any:
        if isinstance(state, LSTMStateTuple):
            return LSTMStateTuple(state.c, self._dropped("state", state.h, place))
        if isinstance(state, Tensor):
            return self._dropped("state", state, place)
        return tuple(self._state(one, k) for k, one in enumerate(state))

    def _dropped(self, where: str, values: Tensor, place: int = 0) -> Tensor:
        share = self.shares[where]
        if share == 1:
            return values
        if not self.variational_recurrent:
            return values * _mask(values, share)
        if (where, place) not in self._masks:
            self._masks[where, place] = _mask(values[:1], share)
        return values * self._masks[where, place]


class ResidualWrapper(_Wrapper):
    """Add what goes into a cell to what comes out of it, or join the two by a function of one's own.

    Args:
        cell: the inner cell.
        residual_fn: `(inputs, outputs)` to the output; their sum where there is none.
    """

    def __init__(self, cell: Any, residual_fn: Callable[[Any, Any], Any] | None = None) -> None:
        super().__init__(cell)
        self.residual_fn = residual_fn or (lambda inputs, outputs: tree_map(torch.add, inputs, outputs))

    def __call__(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Take one step."""
        outputs, after = self.cell(inputs, state)
        return self.residual_fn(inputs, outputs), after


def _mask(like: Tensor, share: float) -> Tensor:
    """Return `1 / share` in that share of places at random, else 0."""
    return torch.bernoulli(torch.full_like(like, share, requires_grad=False)) / share
