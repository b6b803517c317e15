"""The compiled GRU on NumPy arrays; equations and arguments are those of `quadgate.cell`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.cell import GRUParameters
from quadgate.kernels.choice import computed_in
from quadgate.kernels.cpu._native import GruFloat32, GruFloat64
from quadgate.kernels.cpu.batch import batch_arrays, dense_array
from quadgate.kernels.threads import number_of_threads

Array = NDArray[Any]


class PackedGRU:
    """A layer whose weights were copied into the order in which the kernels read them.

    It does not see later changes of the parameters: it is for a model that is loaded and frozen. Calls may run on
    several threads at once.

    >>> layer = PackedGRU(GRUParameters(np.ones((3, 1, 2), np.float32), np.ones((3, 2, 2), np.float32)))
    >>> outputs, h = layer(np.ones((2, 4, 1)), lengths=[4, 2])
    >>> outputs.shape, outputs.dtype.name, bool((h[1] == outputs[1, 1]).all())
    ((2, 4, 2), 'float32', True)
    """

    def __init__(self, parameters: GRUParameters) -> None:
        self._layer = _Layer(parameters, trainable=False)
        self.native = self._layer.native
        """The packed layer as the compiled module knows it, which is what `_native.Stream` takes."""

    def __call__(
        self, x: ArrayLike, state: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Run over a batch, as `gru_forward` does."""
        return self._layer.forward(*self._layer.arguments(x, state, lengths))


def gru_forward(
    x: ArrayLike,
    parameters: GRUParameters,
    state: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Run a layer over a batch of sequences, in float64 where its weights are, else in float32.

    Args:
        x: `[N, T, C]`.
        parameters: those of the layer.
        state: the starting `h [N, H]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the final `h [N, H]`.

    Raises:
        InputError: an array whose shape does not fit, or a length outside 0 to T.
    """
    return PackedGRU(parameters)(x, state, lengths)


def gru_backward(
    x: ArrayLike,
    parameters: GRUParameters,
    d_outputs: ArrayLike | None = None,
    d_state: ArrayLike | None = None,
    state: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    recompute_every: int = 0,
) -> tuple[Array, Array, GRUParameters]:
    """Carry the gradient of a scalar loss back through `gru_forward`, which is run again for it.

    Args:
        x: as in `gru_forward`, and so are `parameters`, `state` and `lengths`.
        parameters: those of the layer.
        d_outputs: `[N, T, H]`, the gradient of the loss with respect to the outputs; zero where there is none.
        d_state: `[N, H]`, the same for the final state.
        state: the starting state.
        lengths: `[N]`.
        recompute_every: keep nothing but the outputs, and compute about so many steps again at a time; 0 keeps
            everything.

    Returns:
        The gradients with respect to `x`, the starting state, and each array of the parameters, the last in a
        `GRUParameters`.

    Raises:
        InputError: as in `gru_forward`.
    """
    p, layer = parameters, _Layer(parameters, trainable=True)
    x, lengths, h = layer.arguments(x, state, lengths)
    N, T, _ = x.shape
    saved = np.empty(layer.native.saved_size(N, T, recompute_every), layer.dtype)
    outputs, _ = layer.forward(x, lengths, h, saved, recompute_every)

    d_outputs = dense_array("d_outputs", d_outputs, outputs.shape, layer.dtype)
    d_h = dense_array("d_state", d_state, h.shape, layer.dtype)
    d_x, d_h_start = np.empty_like(x, order="C"), np.empty_like(h)
    w_x, w_h = np.empty(p.w_x.shape, layer.dtype), np.empty(p.w_h.shape, layer.dtype)
    b_x, b_h = (None if bias is None else np.empty(bias.shape, layer.dtype) for bias in (p.b_x, p.b_h))
    layer.native.backward(
        x,
        lengths,
        h,
        outputs,
        saved,
        recompute_every,
        d_outputs,
        d_h,
        d_x,
        d_h_start,
        (w_x, w_h, b_x, b_h),
        number_of_threads(),
    )
    return d_x, d_h_start, replace(p, w_x=w_x, w_h=w_h, b_x=b_x, b_h=b_h)


class _Layer:
    """A packed layer with what is known of its parameters."""

    def __init__(self, parameters: GRUParameters, trainable: bool) -> None:
        p = self._parameters = parameters
        self.dtype = computed_in(p)
        self.native = (GruFloat64 if self.dtype == np.float64 else GruFloat32)(
            tuple(
                None if one is None else np.require(one, self.dtype, ["C", "A"]) for one in (p.w_x, p.w_h, p.b_x, p.b_h)
            ),
            reset_after=p.reset_after,
            gate=p.activations.gate,
            candidate=p.activations.cell,
            reverse=p.reverse,
            trainable=trainable,
        )

    def arguments(
        self, x: ArrayLike, state: ArrayLike | None, lengths: ArrayLike | None
    ) -> tuple[Array, Array | None, Array]:
        """Check what `forward` takes, and bring it into the form that the kernels take."""
        p = self._parameters
        x, lengths = batch_arrays(x, lengths, p.inputs, self.dtype)
        return x, lengths, dense_array("state", state, (len(x), p.units), self.dtype)

    def forward(
        self, x: Array, lengths: Array | None, h: Array, saved: Array | None = None, recompute_every: int = 0
    ) -> tuple[Array, Array]:
        """Run forward, keeping in `saved` what a way back needs."""
        outputs, last = np.empty((*x.shape[:2], h.shape[1]), self.dtype), np.empty_like(h)
        self.native.forward(x, lengths, h, outputs, last, saved, recompute_every, number_of_threads())
        return outputs, last
