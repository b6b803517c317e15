"""A layer on a GPU around the recurrence: the product of its inputs before, the gradients of its weights after.

Everything is deterministic: no sum depends on the order in which programs end.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from quadgate.kernels.gpu.recurrence import Kept, Recurrence


class Layer(NamedTuple):
    """A layer and its batch in the normal form; columns in the order i, j, f, o.

    Attributes:
        x: `[N, T, C]`.
        w_x: `[C, 4H]`.
        w_h: `[H, 4H]`.
        bias: `[4H]`, or None.
        c, h: `[N, H]`, the starting state, or None for zeros.
        lengths: `[N]`, int32 beside x, between 0 and T, or None.
        forget_bias: added to f.
        reverse: whether each case is read from its own last step to its first.
        recompute_every: keep the state at each so many steps only, for the way back; 0 keeps everything.
        exact: float32 products without tf32.
    """

    x: Tensor
    w_x: Tensor
    w_h: Tensor
    bias: Tensor | None
    c: Tensor | None
    h: Tensor | None
    lengths: Tensor | None
    forget_bias: float
    reverse: bool
    recompute_every: int
    exact: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N, T and H."""
        return *self.x.shape[:2], self.w_h.shape[0]

    @property
    def start(self) -> tuple[Tensor, Tensor]:
        """The starting `c`, in float32, and `h`."""
        N, _, H = self.sizes
        c = self.x.new_zeros(N, H, dtype=torch.float32) if self.c is None else self.c.float().contiguous()
        return c, self.x.new_zeros(N, H) if self.h is None else self.h.contiguous()

    @property
    def pre_activations(self) -> Tensor:
        """`z [N, T, 4H] = x @ w_x + bias`, one product for all steps."""
        N, T, H = self.sizes
        flat = self.x.reshape(N * T, self.x.shape[2])
        z = flat @ self.w_x if self.bias is None else torch.addmm(self.bias, flat, self.w_x)
        return z.view(N, T, 4 * H)

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """The ranges of steps between one kept state and the next."""
        T, every = self.sizes[1], self.recompute_every
        return [(first, min(first + every, T)) for first in range(0, T, every)]


def kept_bytes(N: int, T: int, H: int, itemsize: int, recompute_every: int) -> int:
    """Return how many bytes a way back needs; N and T may be symbols.

    >>> kept_bytes(2, 10, 64, 4, 0), kept_bytes(2, 10, 64, 4, 5)
    (25600, 2048)
    """
    if recompute_every:
        return N * ((T + recompute_every - 1) // recompute_every) * H * (4 + itemsize)
    return N * T * H * (4 + 4 * itemsize)


class Gradients(NamedTuple):
    """The gradients of what `Layer` has, None where nobody asked; d_c is float32, d_h of the type of x."""

    x: Tensor | None
    w_x: Tensor | None
    w_h: Tensor | None
    bias: Tensor | None
    c: Tensor
    h: Tensor


def forward(layer: Layer, run: Recurrence, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a layer.

    Returns:
        The outputs `[N, T, H]`, the final c in float32 and h `[N, H]`, and the bytes that `backward` needs of it.
    """
    (N, T, H), (c, h), z = layer.sizes, layer.start, layer.pre_activations
    options = {"forget_bias": layer.forget_bias, "reverse": layer.reverse, "exact": layer.exact}
    every = layer.recompute_every if keep else 0
    kept = z.new_empty(kept_bytes(N, T, H, z.itemsize, every) if keep else 0, dtype=torch.uint8)
    if not every:
        room = _kept(kept, N, T, H, z.dtype) if keep else None
        return *run.forward(z, layer.w_h, c, h, layer.lengths, (0, T), keep=room, **options), kept
    outputs = z.new_empty(N, T, H)
    if not T:
        return outputs, c.clone(), h.clone(), kept
    for steps, c_kept, h_kept in zip(layer.chunks, *_states(kept, len(layer.chunks), N, H, z.dtype), strict=True):
        c_kept.copy_(c)
        h_kept.copy_(h)
        _, c, h = run.forward(z, layer.w_h, c, h, layer.lengths, steps, keep=None, outputs=outputs, **options)
    return outputs, c, h, kept


def backward(
    layer: Layer,
    run: Recurrence,
    outputs: Tensor,
    kept: Tensor,
    d_outputs: Tensor | None,
    d_c_T: Tensor | None,
    d_h_T: Tensor | None,
    needs_x: bool,
    needs_weights: bool,
) -> Gradients:
    """Carry the gradients of a layer's results back to its batch and weights."""
    (N, T, H), (c, h) = layer.sizes, layer.start
    d_outputs = None if d_outputs is None else d_outputs.contiguous()
    d_c = None if d_c_T is None else d_c_T.float().contiguous()
    d_h = None if d_h_T is None else d_h_T.contiguous()
    options = {"reverse": layer.reverse, "exact": layer.exact}
    if not layer.recompute_every:
        room = _kept(kept, N, T, H, layer.x.dtype)
        d_z, d_c, d_h = run.backward(layer.w_h, room, c, layer.lengths, (0, T), d_outputs, d_c, d_h, **options)
    else:
        z, chunks = layer.pre_activations, layer.chunks
        d_z, room = torch.empty_like(z), Kept(torch.empty_like(z), c.new_empty(N, T, H))
        again = torch.empty_like(outputs)
        starts = zip(chunks, *_states(kept, len(chunks), N, H, z.dtype), strict=True)
        for steps, c_before, h_before in reversed(list(starts)):
            state = (c_before, h_before, layer.lengths, steps)
            run.forward(z, layer.w_h, *state, forget_bias=layer.forget_bias, keep=room, outputs=again, **options)
            ways_in = (d_outputs, d_c, d_h)
            _, d_c, d_h = run.backward(layer.w_h, room, c_before, layer.lengths, steps, *ways_in, d_z=d_z, **options)
        if d_c is None or d_h is None:  # T is 0
            d_c, d_h = (torch.zeros_like(c) if one is None else one for one in (d_c, d_h))
    flat = d_z.view(N * T, 4 * H)
    d_x = (flat @ layer.w_x.T).view(layer.x.shape) if needs_x else None
    if not needs_weights:
        return Gradients(d_x, None, None, None, d_c, d_h.to(layer.x.dtype))
    x = layer.x if layer.lengths is None else torch.where(_valid(layer.lengths, T)[:, :, None], layer.x, 0.0)
    d_w_x = x.reshape(N * T, x.shape[2]).T @ flat
    d_w_h = _before(outputs, h, layer.lengths, layer.reverse).view(N * T, H).T @ flat
    # Summed in float32, whatever the type.
    d_bias = None if layer.bias is None else flat.sum(0, dtype=torch.float32).to(flat.dtype)
    return Gradients(d_x, d_w_x, d_w_h, d_bias, d_c, d_h.to(layer.x.dtype))


def _kept(kept: Tensor, N: int, T: int, H: int, dtype: torch.dtype) -> Kept:
    cells, gates = kept.split([N * T * H * 4, N * T * 4 * H * dtype.itemsize])
    return Kept(gates.view(dtype).view(N, T, 4 * H), cells.view(torch.float32).view(N, T, H))


def _states(kept: Tensor, chunks: int, N: int, H: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    c, h = kept.split([chunks * N * H * 4, chunks * N * H * dtype.itemsize])
    return c.view(torch.float32).view(chunks, N, H), h.view(dtype).view(chunks, N, H)


def _valid(lengths: Tensor, T: int) -> Tensor:
    return torch.arange(T, device=lengths.device) < lengths[:, None]


def _before(outputs: Tensor, h: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
    """Return the h `[N, T, H]` that each step began with; past the end of a case, anything finite."""
    T = outputs.shape[1]
    if not T:
        return outputs
    if not reverse:
        return torch.cat([h[:, None], outputs[:, :-1]], 1)
    before = torch.cat([outputs[:, 1:], h[:, None]], 1)
    if lengths is not None:
        last = torch.arange(T, device=outputs.device) == lengths[:, None] - 1
        before = torch.where(last[:, :, None], h[:, None], before)
    return before
