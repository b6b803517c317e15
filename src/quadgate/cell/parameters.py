"""The parameters of one recurrent layer in one direction, in the normal form that every framework is translated to.

Dimensions: C inputs, H units, P projection. Gates in TensorFlow's order: i input, j candidate, f forget, o output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Activations:
    """The functions of a cell: `gate` for i, f and o, `cell` for the candidate j, `output` for the new cell state."""

    gate: str = "sigmoid"
    cell: str = "tanh"
    output: str = "tanh"


@dataclass(frozen=True)
class LSTMParameters:
    """One LSTM layer in one direction.

    Attributes:
        w_x: `[4, C, H]`, the weights of the input for each gate i, j, f, o.
        w_h: `[4, P or H, H]`, the weights of the fed-back state.
        b_x: `[4, H]`, the bias that the framework keeps with the input; None where it keeps none.
        b_h: `[4, H]`, the bias that it keeps with the state; None where it keeps none.
        forget_bias: added to the forget gate while running; it is in no stored bias.
        peepholes: `[3, H]` for i, f, o, or None.
        projection: `[H, P]`, or None.
        cell_clip, projection_clip: limits of the cell state and of the projected output, or None.
        input_clip: limit of the gates' pre-activations, or None.
        activations: the functions of the cell.
        reverse: whether the sequence is read from its last step to its first.

    Raises:
        InputError: the shapes do not fit each other.

    >>> p = LSTMParameters.from_kernel(np.zeros((76, 256)), np.zeros(256))
    >>> p.inputs, p.units, p.kernel.shape, p.forget_bias
    (12, 64, (76, 256), 1.0)
    """

    w_x: Array
    w_h: Array
    b_x: Array | None = None
    b_h: Array | None = None
    forget_bias: float = 0.0
    peepholes: Array | None = None
    projection: Array | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None
    input_clip: float | None = None
    activations: Activations = field(default_factory=Activations)
    reverse: bool = False

    def __post_init__(self) -> None:
        _expect("w_x", self.w_x, (4, None, None))
        H = self.units
        P = H if self.projection is None else self.projection.shape[-1]
        _expect("projection", self.projection, (H, P))
        _expect("w_h", self.w_h, (4, P, H))
        _expect("b_x", self.b_x, (4, H))
        _expect("b_h", self.b_h, (4, H))
        _expect("peepholes", self.peepholes, (3, H))

    @classmethod
    def from_kernel(cls, kernel: Array, bias: Array | None, forget_bias: float = 1.0, **options: Any) -> LSTMParameters:
        """Cut TensorFlow 1's `kernel [C+P, 4H]` and `bias [4H]` into gates.

        Raises:
            InputError: the kernel has no four equal blocks of columns, or no row is left for the input.
        """
        if kernel.ndim != 2 or kernel.shape[1] % 4 or not kernel.shape[1]:
            raise InputError(f"kernel: found shape {kernel.shape}, expected [inputs + units, 4 * units]")
        H = kernel.shape[1] // 4
        projection = options.get("projection")
        P = H if projection is None else projection.shape[-1]
        C = kernel.shape[0] - P
        if C < 1:
            raise InputError(f"kernel: found {kernel.shape[0]} rows for {P} state values, expected more rows than that")
        gates = kernel.reshape(C + P, 4, H).swapaxes(0, 1)
        b_x = None if bias is None else bias.reshape(4, H)
        return cls(gates[:, :C], gates[:, C:], b_x, forget_bias=forget_bias, **options)

    @property
    def inputs(self) -> int:
        """C, the number of input channels."""
        return int(self.w_x.shape[1])

    @property
    def units(self) -> int:
        """H, the number of units."""
        return int(self.w_x.shape[2])

    @property
    def state_width(self) -> int:
        """P, the width of the output and of the fed-back state: the projection's, else H."""
        return int(self.w_h.shape[1])

    @property
    def kernel(self) -> Array:
        """`[C+P, 4H]`: the weights of x above those of h, columns i, j, f, o, as TensorFlow 1 stores them."""
        gates = np.concatenate([self.w_x, self.w_h], axis=1)
        return gates.swapaxes(0, 1).reshape(gates.shape[1], 4 * self.units)

    @property
    def bias(self) -> Array:
        """`[4H]`: the sum of both stored biases, without the forget bias that is added while running."""
        total = np.zeros((4, self.units), self.w_x.dtype)
        for bias in (self.b_x, self.b_h):
            if bias is not None:
                total = total + bias
        return total.reshape(-1)


@dataclass(frozen=True)
class GRUParameters:
    """One GRU layer in one direction; gates z (update), r (reset), n (candidate).

    Attributes:
        w_x: `[3, C, H]`.
        w_h: `[3, H, H]`.
        b_x: `[3, H]`, or None.
        b_h: `[3, H]`, or None.
        reset_after: whether r multiplies `h @ w_h + b_h` (cuDNN, PyTorch, Keras 2), or `h` before the product
            (TensorFlow 1).
        activations: `gate` for z and r, `cell` for n; `output` is not used.
        reverse: whether the sequence is read from its last step to its first.
    """

    w_x: Array
    w_h: Array
    b_x: Array | None = None
    b_h: Array | None = None
    reset_after: bool = True
    activations: Activations = field(default_factory=Activations)
    reverse: bool = False

    def __post_init__(self) -> None:
        _expect("w_x", self.w_x, (3, None, None))
        H = self.units
        _expect("w_h", self.w_h, (3, H, H))
        _expect("b_x", self.b_x, (3, H))
        _expect("b_h", self.b_h, (3, H))

    @property
    def inputs(self) -> int:
        """C, the number of input channels."""
        return int(self.w_x.shape[1])

    @property
    def units(self) -> int:
        """H, the number of units."""
        return int(self.w_x.shape[2])

    @property
    def state_width(self) -> int:
        """H: the output and the fed-back state are as wide as the layer."""
        return self.units


def _expect(name: str, array: Array | None, shape: tuple[int | None, ...]) -> None:
    """Refuse an array of another shape; None in `shape` stands for any size."""
    if array is None:
        return
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name}: found shape {array.shape}, expected ({expected})")
