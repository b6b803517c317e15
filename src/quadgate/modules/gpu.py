"""The LSTM operator on an NVIDIA GPU: quadgate's kernels where they were measured to be faster, else cuDNN.

cuDNN is reached through PyTorch's own operator, with the weights arranged as `torch.nn.LSTM` has them; its gradient has
no derivative, as in PyTorch. What neither runs (peepholes, clips, other functions, float64 without cuDNN) is the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from quadgate.cell.batch import checked_lengths
from quadgate.errors import InputError
from quadgate.kernels.choice import Choice
from quadgate.kernels.gpu import layer as gpu_layer
from quadgate.kernels.gpu.crossover import CUDNN, Case
from quadgate.kernels.gpu.implementations import chosen, load
from quadgate.kernels.gpu.layer import Gradients, Layer, kept_bytes
from quadgate.kernels.gpu.precision import exact
from quadgate.modules.placement import Placement, Weights, arranged, normal
from quadgate.modules.sequence import Cell, State
from quadgate.modules.tensors import seen_through

LOOP = "loop"
LEAST_STEPS = 32
"""A shorter sequence is another matter than those that `quadgate tune` measures: launches decide, and not steps."""


def way(layer: Any, found: Placement, training: bool) -> Choice:
    """Return what runs a layer (`quadgate.modules.operator.LSTMLayer`) on its GPU, and why."""
    refused = _only_in_loop(layer.functions, layer.peepholes is not None)
    if refused:
        return Choice(LOOP, True, refused)
    if seen_through():
        return Choice(LOOP, True, "torch.func and forward derivatives do not see into a kernel")
    if 0 in layer.x.shape:
        return Choice(LOOP, True, "there is nothing to do")
    dtype = layer.x.dtype
    if found.width != found.units:
        return Choice(CUDNN, True, "quadgate's kernels have no projection")
    if dtype == torch.float64:
        return Choice(CUDNN, True, "quadgate's kernels do not compute in float64")
    if layer.x_by_case.shape[1] < LEAST_STEPS:
        return Choice(CUDNN, True, f"fewer than {LEAST_STEPS} steps were not measured")
    sizes = (found.units, int(layer.cases), training, layer.lengths is not None)
    choice: Choice = _constant_choice(dtype, *sizes, str(layer.x.device))
    return choice


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _constant_choice(dtype: torch.dtype, H: int, N: int, training: bool, lengths: bool, device: str) -> Choice:
    # The compiler is told the answer, and not how the table was read.
    if _ASKED is not None:
        return Choice(_ASKED, True, "asked for")
    kind = "tf32" if dtype == torch.float32 and not exact() else str(dtype).removeprefix("torch.")
    return chosen(Case(kind, H, N, training, lengths), dtype, torch.device(device))


def gains(module: Any, given: Tensor | PackedSequence) -> bool:
    """Tell whether kernels of quadgate's were measured to run a layer of a module like `torch.nn.LSTM` the fastest."""
    x = given.data if isinstance(given, PackedSequence) else given
    if x.device.type != "cuda" or module.proj_size or x.dtype == torch.float64 or 0 in x.shape or seen_through():
        return False
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    if isinstance(given, PackedSequence):
        T, N = len(given.batch_sizes), int(given.batch_sizes[0])
    else:
        T, N = (given.transpose(0, 1) if given.dim() == 3 and module.batch_first else given).shape[:2]
        N = N if given.dim() == 3 else 1
    if T < LEAST_STEPS:
        return False
    sizes = (module.hidden_size, N, torch.is_grad_enabled(), isinstance(given, PackedSequence))
    found: Choice = _constant_choice(dtype, *sizes, str(x.device))
    return found.implementation != CUDNN


@contextmanager
def run_by(name: str) -> Iterator[None]:
    """Let one implementation run every layer that it can while the block runs, whatever was measured: to measure it."""
    global _ASKED
    before, _ASKED = _ASKED, name
    try:
        yield
    finally:
        _ASKED = before


_ASKED: str | None = None


@contextmanager
def _below(x: Tensor) -> Iterator[None]:
    """What holds for the body of an operator: no graph, no autocast, and x's GPU is the current one."""
    device = torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()
    with torch.no_grad(), torch.autocast("cuda", enabled=False), device:
        yield


def _only_in_loop(cell: Cell, peepholes: bool) -> str | None:
    if peepholes:
        return "no kernel for GPUs has peepholes"
    if (cell.gate, cell.cell, cell.output) != ("sigmoid", "tanh", "tanh"):
        return "no kernel for GPUs has other functions than sigmoid and tanh"
    if any(clip is not None for clip in (cell.input_clip, cell.cell_clip, cell.projection_clip)):
        return "no kernel for GPUs clips"
    return None


def device_lengths(lengths: Tensor, x: Tensor) -> Tensor:
    """Return lengths `[N]` in the type and at the place that the kernels take.

    Those on the GPU are not looked at, which would wait for it: one below 0 counts as 0, one above T as T.

    Args:
        lengths: as the caller has them.
        x: `[N, T, C]`.

    Raises:
        InputError: not one whole number for each case; in main memory also one below 0 or above T.
    """
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling():
        checked_lengths(lengths.detach().numpy(), *x.shape[:2])
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise InputError(f"lengths: found {lengths.dtype}, expected whole numbers")
    if lengths.shape != x.shape[:1]:
        raise InputError(f"lengths: found shape {tuple(lengths.shape)}, expected ({x.shape[0]},): one for each case")
    return lengths.to(x.device, torch.int32).clamp(0, x.shape[1]).contiguous()


class _Prepared(NamedTuple):
    layer: Layer
    found: Placement
    choice: str


def _prepared(layer: Any, training: bool) -> _Prepared:
    found = layer.check()
    weights, x = normal(layer.layout, layer.weights), layer.x_by_case
    biases = [one for one in (weights.b_x, weights.b_h) if one is not None]
    prepared = Layer(
        x,
        weights.w_x.contiguous(),
        weights.w_h.contiguous(),
        sum(biases[1:], biases[0]) if biases else None,
        layer.c,
        layer.h,
        None if layer.lengths is None else device_lengths(layer.lengths, x),
        layer.forget_bias,
        layer.reverse,
        layer.recompute_every,
        exact(),
    )
    return _Prepared(prepared, found, way(layer, found, training).implementation)


def _recurrence(name: str) -> Any:
    # Where the choice has changed since this layer was sent here, any that is ours computes the same.
    return load(name) or load("graph")


def forward(layer: Any, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a layer below autograd: the outputs in the caller's order, c, h, and what `backward` needs."""
    with _below(layer.x):
        prepared = _prepared(layer, keep)
        outputs, c, h, kept = gpu_layer.forward(prepared.layer, _recurrence(prepared.choice), keep)
        return layer.by_case(outputs).contiguous(), c.to(outputs.dtype), h, kept


def backward(
    layer: Any,
    outputs: Tensor,
    kept: Tensor,
    d_outputs: Tensor | None,
    d_c_T: Tensor | None,
    d_h_T: Tensor | None,
    needs_x: bool,
    needs_weights: bool,
) -> tuple[Tensor, ...]:
    """Run a layer's way back below autograd: the gradients of x, of each weight, of c and of h; empty if not needed."""
    with _below(layer.x):
        prepared = _prepared(layer, True)
        found = gpu_layer.backward(
            prepared.layer,
            _recurrence(prepared.choice),
            layer.by_case(outputs).contiguous(),
            kept,
            None if d_outputs is None else layer.by_case(d_outputs),
            d_c_T,
            d_h_T,
            needs_x,
            needs_weights,
        )
        d_x = None if found.x is None else layer.by_case(found.x).contiguous()
        d_weights = _by_layout(layer, found) if needs_weights else (None,) * len(Weights._fields)
        # An empty tensor of its own for each that nobody needs: two results of an operator are never one.
        results = [layer.x.new_empty(0) if one is None else one for one in (d_x, *d_weights)]
        return *results, found.c.to(layer.x.dtype), found.h


def kept_size(layer: Any, found: Placement) -> int:
    """Return how many bytes a way back needs; N and T may be symbols."""
    T = layer.x.shape[0 if layer.time_major else 1]
    return kept_bytes(layer.cases, T, found.units, layer.x.itemsize, layer.recompute_every)


def _by_layout(layer: Any, gradients: Gradients) -> Weights:
    """Arrange the gradients as the layout has the weights; both biases have the same."""
    weights = layer.weights
    given = normal(layer.layout, weights)
    arrays = given._replace(
        w_x=cast(Tensor, gradients.w_x),
        w_h=cast(Tensor, gradients.w_h),
        b_x=None if given.b_x is None else gradients.bias,
        b_h=None if given.b_h is None else gradients.bias,
    )
    return arranged(layer.layout, arrays, weights)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def as_cudnn(layer: Any) -> tuple[Tensor, State]:
    """Run a layer by PyTorch's `lstm`, which is cuDNN's on a GPU; everything is differentiable once.

    The compiler is kept out, which would write it out step by step.
    """
    x, found = layer.x_by_case, layer.placement
    weights = normal(layer.layout, layer.weights)
    bias = x.new_zeros(4, found.units)
    bias[2] = layer.forget_bias
    bias = bias.flatten()
    for one in (weights.b_x, weights.b_h):
        bias = bias if one is None else bias + one
    arrays = weights._replace(b_x=bias, b_h=torch.zeros_like(bias))
    H4, C, P = 4 * found.units, found.inputs, found.width
    shapes = Weights(*(x.new_empty(*shape) for shape in ((H4, C), (H4, P), (H4,), (H4,))))
    if weights.projection is not None:
        shapes = shapes._replace(projection=x.new_empty(P, found.units))
    theirs = [one for one in arranged("torch.nn.LSTM", arrays, shapes) if one is not None]
    # One behind the other in one piece of memory, as cuDNN wants them.
    pieces = torch.cat([one.reshape(-1) for one in theirs]).split([one.numel() for one in theirs])
    theirs = [piece.view(one.shape) for piece, one in zip(pieces, theirs, strict=True)]
    c = x.new_zeros(1, x.shape[0], found.units) if layer.c is None else layer.c[None].contiguous()
    h = x.new_zeros(1, x.shape[0], P) if layer.h is None else layer.h[None].contiguous()
    options = (True, 1, 0.0, torch.is_grad_enabled(), False)
    if layer.lengths is not None:
        return _unequal(layer, x, layer.lengths.clamp(0, x.shape[1]), (c, h), theirs, options)
    turned = x.flip(1) if layer.reverse else x
    outputs, h, c = torch.lstm(turned, (h, c), theirs, *options, True)
    outputs = outputs.flip(1) if layer.reverse else outputs
    return layer.by_case(outputs), (c[0], h[0])


def _unequal(
    layer: Any, x: Tensor, lengths: Tensor, state: State, weights: list[Tensor], options: tuple[Any, ...]
) -> tuple[Tensor, State]:
    """Run cases of unequal length packed, as PyTorch has it; one without steps keeps its state."""
    steps = torch.arange(x.shape[1], device=x.device)
    beside = lengths.to(x.device)[:, None]
    order = torch.where(steps < beside, beside - 1 - steps, steps)[:, :, None]
    x = torch.where((steps < beside)[:, :, None], x, 0.0)
    x = torch.take_along_dim(x, order, 1) if layer.reverse else x
    in_memory = lengths.cpu()
    some = (in_memory > 0).nonzero().flatten()
    outputs = x.new_zeros(*x.shape[:2], layer.placement.width)
    c, h = state
    if len(some):
        there = some.to(x.device)
        packed = pack_padded_sequence(x[there], in_memory[some], True, enforce_sorted=False)
        downwards, back = cast(Tensor, packed.sorted_indices), cast(Tensor, packed.unsorted_indices)
        first = [one.index_select(1, there).index_select(1, downwards) for one in (h, c)]
        data, h_T, c_T = torch.lstm(packed.data, packed.batch_sizes, first, weights, *options)
        padded = pad_packed_sequence(packed._replace(data=data), True, total_length=x.shape[1])[0]
        outputs = outputs.index_copy(0, there, padded)
        h = h.index_copy(1, there, h_T.index_select(1, back))
        c = c.index_copy(1, there, c_T.index_select(1, back))
    outputs = torch.take_along_dim(outputs, order, 1) if layer.reverse else outputs
    return layer.by_case(outputs), (c[0], h[0])
