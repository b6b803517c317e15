"""The compiled LSTM on NumPy arrays; equations and arguments are those of `quadgate.cell`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.cell import LSTMParameters
from quadgate.kernels.choice import computed_in
from quadgate.kernels.cpu._native import LstmFloat32, LstmFloat64
from quadgate.kernels.cpu.batch import batch_arrays, dense_array
from quadgate.kernels.threads import number_of_threads

Array = NDArray[Any]
State = tuple[Array, Array]


class PackedLSTM:
    """A layer whose weights were copied into the order in which the kernels read them.

    It does not see later changes of the parameters: it is for a model that is loaded and frozen. Calls may run on
    several threads at once.

    >>> layer = PackedLSTM(LSTMParameters.from_kernel(np.full((3, 8), 0.1, np.float32), np.zeros(8, np.float32)))
    >>> outputs, (c, h) = layer(np.ones((2, 4, 1)), lengths=[4, 2])
    >>> outputs.shape, outputs.dtype.name, bool((h[1] == outputs[1, 1]).all())
    ((2, 4, 2), 'float32', True)
    """

    def __init__(self, parameters: LSTMParameters) -> None:
        self._layer = _Layer(parameters, trainable=False)
        self.native = self._layer.native
        """The packed layer as the compiled module knows it, which is what `_native.Stream` takes."""

    def __call__(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike] | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run over a batch, as `lstm_forward` does."""
        return self._layer.forward(*self._layer.arguments(x, state, lengths))


def lstm_forward(
    x: ArrayLike,
    parameters: LSTMParameters,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
) -> tuple[Array, State]:
    """Run a layer over a batch of sequences, in float64 where its weights are, else in float32.

    Args:
        x: `[N, T, C]`.
        parameters: those of the layer.
        state: the starting `c [N, H]` and `h [N, P]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.

    Returns:
        The outputs `[N, T, P]`, zero past the end of a case, and the final `(c [N, H], h [N, P])`.

    Raises:
        InputError: an array whose shape does not fit, or a length outside 0 to T.
    """
    return PackedLSTM(parameters)(x, state, lengths)


def lstm_backward(
    x: ArrayLike,
    parameters: LSTMParameters,
    d_outputs: ArrayLike | None = None,
    d_state: tuple[ArrayLike, ArrayLike] | None = None,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    recompute_every: int = 0,
) -> tuple[Array, State, LSTMParameters]:
    """Carry the gradient of a scalar loss back through `lstm_forward`, which is run again for it.

    Args:
        x: as in `lstm_forward`, and so are `parameters`, `state` and `lengths`.
        parameters: those of the layer.
        d_outputs: `[N, T, P]`, the gradient of the loss with respect to the outputs; zero where there is none.
        d_state: the same for the final `c` and `h`.
        state: the starting state.
        lengths: `[N]`.
        recompute_every: keep the state at each so many steps only, and compute the rest again; 0 keeps everything.

    Returns:
        The gradients with respect to `x`, the starting `(c, h)`, and each array of the parameters. The last are in an
        `LSTMParameters` whose other fields are those of `parameters`; both biases, where there are two, get the same.

    Raises:
        InputError: as in `lstm_forward`.
    """
    p, layer = parameters, _Layer(parameters, trainable=True)
    x, lengths, c, h = layer.arguments(x, state, lengths)
    N, T, _ = x.shape
    saved = np.empty(layer.native.saved_size(N, T, recompute_every), layer.dtype)
    outputs, _ = layer.forward(x, lengths, c, h, saved, recompute_every)

    d_outputs = dense_array("d_outputs", d_outputs, outputs.shape, layer.dtype)
    d_c, d_h = layer.state("d_state", d_state, N)
    d_x, d_c_start, d_h_start = np.empty_like(x, order="C"), np.empty_like(c), np.empty_like(h)
    d_weights = tuple(None if array is None else np.empty(array.shape, layer.dtype) for array in _weights(p))
    layer.native.backward(
        x,
        lengths,
        c,
        h,
        outputs,
        saved,
        recompute_every,
        d_outputs,
        d_c,
        d_h,
        d_x,
        d_c_start,
        d_h_start,
        d_weights,
        number_of_threads(),
    )
    d_w_x, d_w_h, d_b_x, d_b_h, d_peepholes, d_projection = d_weights
    gradient = replace(
        p,
        w_x=np.asarray(d_w_x),
        w_h=np.asarray(d_w_h),
        b_x=d_b_x,
        b_h=d_b_h,
        peepholes=None if d_peepholes is None else d_peepholes[[0, 2, 3]],
        projection=d_projection,
    )
    return d_x, (d_c_start, d_h_start), gradient


class _Layer:
    """A packed layer with what is known of its parameters."""

    def __init__(self, parameters: LSTMParameters, trainable: bool) -> None:
        p = self._parameters = parameters
        self.dtype = computed_in(p)
        self.native = (LstmFloat64 if self.dtype == np.float64 else LstmFloat32)(
            tuple(None if array is None else np.require(array, self.dtype, ["C", "A"]) for array in _weights(p)),
            forget_bias=p.forget_bias,
            gate=p.activations.gate,
            cell=p.activations.cell,
            output=p.activations.output,
            input_clip=p.input_clip,
            cell_clip=p.cell_clip,
            projection_clip=p.projection_clip,
            reverse=p.reverse,
            trainable=trainable,
        )

    def arguments(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike] | None, lengths: ArrayLike | None
    ) -> tuple[Array, Array | None, Array, Array]:
        """Check what `forward` takes, and bring it into the form that the kernels take."""
        x, lengths = batch_arrays(x, lengths, self._parameters.inputs, self.dtype)
        return x, lengths, *self.state("state", state, len(x))

    def state(self, name: str, state: tuple[ArrayLike, ArrayLike] | None, cases: int) -> State:
        """Return the two as dense arrays, zero where there are none."""
        c, h = state or (None, None)
        p = self._parameters
        return (
            dense_array(f"{name} c", c, (cases, p.units), self.dtype),
            dense_array(f"{name} h", h, (cases, p.state_width), self.dtype),
        )

    def forward(
        self, x: Array, lengths: Array | None, c: Array, h: Array, saved: Array | None = None, recompute_every: int = 0
    ) -> tuple[Array, State]:
        """Run forward, keeping in `saved` what a way back needs."""
        outputs = np.empty((*x.shape[:2], h.shape[1]), self.dtype)
        last_c, last_h = np.empty_like(c), np.empty_like(h)
        self.native.forward(x, lengths, c, h, outputs, last_c, last_h, saved, recompute_every, number_of_threads())
        return outputs, (last_c, last_h)


def _weights(p: LSTMParameters) -> tuple[Array | None, ...]:
    """Return the arrays as the kernels take them: peepholes have a place for j, which has none."""
    peepholes = None if p.peepholes is None else np.insert(p.peepholes, 1, 0, axis=0)
    return p.w_x, p.w_h, p.b_x, p.b_h, peepholes, p.projection
