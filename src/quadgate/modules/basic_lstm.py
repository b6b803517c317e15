"""TensorFlow 1's `BasicLSTMCell` on PyTorch: one step, and the layer over a sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules.initializers import initialize
from quadgate.modules.operator import lstm
from quadgate.modules.sequence import (
    Cell,
    Lengths,
    State,
    check_activation,
    check_tensor,
    gates,
)


class BasicLSTMCell(nn.Module):
    """One step of an LSTM: one matrix product, cut into four gates.

        z = [x, h] @ kernel + bias
        i, j, f, o = the quarters of z
        c' = c * sigmoid(f + forget_bias) + sigmoid(i) * tanh(j)
        h' = tanh(c') * sigmoid(o)

    Parameters: `kernel [C+H, 4H]`, the rows of x above those of h, and `bias [4H]`; both have the columns i, j, f, o
    and the values of TensorFlow 1's `BasicLSTMCell`.

    Args:
        inputs: C, the channels of x.
        units: H.
        forget_bias: added to f while running; it is not in `bias`.
        activation: in place of tanh, in both places.
        initializer: `"glorot"`, TensorFlow's default with a bias of zero, or `"chrono"`, whose units remember for up
            to `longest` steps from the start.
        longest: the number of steps that `"chrono"` needs.

    Raises:
        InputError: a size below 1, or a name that is not known.

    >>> cell = BasicLSTMCell(12, 64)
    >>> tuple(cell.kernel.shape), tuple(cell.bias.shape)
    ((76, 256), (256,))
    >>> h, (c, h) = cell(torch.zeros(4, 12))
    >>> tuple(h.shape)
    (4, 64)
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        forget_bias: float = 1.0,
        activation: str = "tanh",
        initializer: str = "glorot",
        longest: int | None = None,
    ) -> None:
        super().__init__()
        self.inputs, self.units = inputs, units
        self.forget_bias, self.activation = forget_bias, activation
        self.kernel, self.bias = _parameters(inputs, units, forget_bias, activation, initializer, longest)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Take `x [N, C]` and the state `(c, h)`, each `[N, H]` and zero at first, to `h` and the next `(c, h)`.

        Raises:
            InputError: a shape or dtype that does not fit.
        """
        check_tensor("x", x, ["cases", self.inputs], self.kernel)
        c, h = state or (x.new_zeros(len(x), self.units), x.new_zeros(len(x), self.units))
        _check_state((c, h), len(x), self.units, self.kernel)
        z = torch.cat([x, h], dim=1) @ self.kernel + self.bias
        h, c = gates(z, c, Cell(self.forget_bias, cell=self.activation, output=self.activation))
        return h, (c, h)

    def extra_repr(self) -> str:
        """Say the sizes when printed."""
        return _described(self)


class BasicLSTM(nn.Module):
    """A `BasicLSTMCell` over a batch of sequences of unequal length; its arguments and parameters are the same.

    Args:
        inputs: C, the channels of x.
        units: H.
        forget_bias: added to f while running.
        activation: in place of tanh, in both places.
        initializer: `"glorot"` or `"chrono"`.
        longest: the number of steps that `"chrono"` needs.
        reverse: whether each case is read from its own last step to its first; outputs stay at their inputs' places.
        recompute_every: for the way back, keep the state at each so many steps only and compute the rest again: the
            same bits for less memory and more time; 0 to keep everything.

    Raises:
        InputError: a size below 1, or a name that is not known.

    >>> layer = BasicLSTM(12, 64)
    >>> outputs, (c, h) = layer(torch.zeros(2, 820, 12), lengths=[820, 5])
    >>> tuple(outputs.shape), bool(outputs[1, 5:].any()), bool((h[1] == outputs[1, 4]).all())
    ((2, 820, 64), False, True)
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        forget_bias: float = 1.0,
        activation: str = "tanh",
        initializer: str = "glorot",
        longest: int | None = None,
        reverse: bool = False,
        recompute_every: int = 0,
    ) -> None:
        super().__init__()
        self.inputs, self.units = inputs, units
        self.forget_bias, self.activation = forget_bias, activation
        self.reverse, self.recompute_every = reverse, recompute_every
        self.kernel, self.bias = _parameters(inputs, units, forget_bias, activation, initializer, longest)

    def forward(self, x: Tensor, lengths: Lengths | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Run over `x [N, T, C]`.

        Args:
            x: the padded sequences. What stands in the padding, NaN too, reaches neither a result nor a gradient.
            lengths: `[N]`, the number of steps of each case; all T where there are none.
            state: the starting `(c, h)`, each `[N, H]`; zero where there is none.

        Returns:
            The outputs `[N, T, H]`, zero past the end of a case, and the `(c, h)` of its last step. A case of length 0
            ends as it started.

        Raises:
            InputError: a shape, dtype or length that does not fit.
        """
        return lstm(
            x,
            self.kernel,
            self.bias,
            state,
            lengths,
            forget_bias=self.forget_bias,
            activations=Activations(cell=self.activation, output=self.activation),
            reverse=self.reverse,
            recompute_every=self.recompute_every,
        )

    def extra_repr(self) -> str:
        """Say the sizes when printed."""
        return _described(self) + (", reverse" if self.reverse else "")


def _parameters(
    inputs: int, units: int, forget_bias: float, activation: str, initializer: str, longest: int | None
) -> tuple[nn.Parameter, nn.Parameter]:
    for name, size in (("inputs", inputs), ("units", units)):
        if size < 1:
            raise InputError(f"{name}: found {size}, expected at least 1")
    check_activation(activation)
    kernel = nn.Parameter(torch.empty(inputs + units, 4 * units))
    bias = nn.Parameter(torch.empty(4 * units))
    initialize(kernel, bias, initializer, forget_bias, longest)
    return kernel, bias


def _check_state(state: State, cases: int, units: int, like: Tensor) -> None:
    for name, tensor in zip(("state c", "state h"), state, strict=True):
        check_tensor(name, tensor, [cases, units], like)


def _described(module: BasicLSTMCell | BasicLSTM) -> str:
    return f"{module.inputs}, {module.units}, forget_bias={module.forget_bias}, activation={module.activation!r}"
