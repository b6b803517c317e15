"""`quadgate.lstm`: the compiled LSTM as an operator of PyTorch, with everything PyTorch expects of one.

Two operators are registered, `quadgate::lstm` and `quadgate::lstm_backward`; their bodies run below autograd and call
the compiled kernels. The gradient of the first is the second; the gradient of the second, a second derivative, is that
of `lstm_sequence`, the loop of operations of PyTorch's own. That loop is also what runs where no kernel fits (another
device, no compiler at installation) and under the transforms of `torch.func`, which see into a loop and not into a
kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, library

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.kernels.gpu.crossover import CUDNN
from quadgate.layouts import find
from quadgate.modules import gpu
from quadgate.modules.derivatives import differentiate_gradient
from quadgate.modules.placement import Placement, Weights, normal, placed
from quadgate.modules.reserve import reserve
from quadgate.modules.sequence import (
    Cell,
    Lengths,
    Results,
    State,
    check_activation,
    check_tensor,
    lengths_tensor,
    lstm_sequence,
)
from quadgate.modules.tensors import (
    COMPILED,
    LIBRARY,
    NARROW_DTYPES,
    bare,
    dense,
    in_type,
    kernel_fits,
    whole_numbers,
)
from quadgate.modules.together import Operator, joined

if COMPILED:
    from quadgate.kernels.cpu._native import LstmFloat32, LstmFloat64

    _NATIVE: dict[torch.dtype, type[LstmFloat32 | LstmFloat64]] = {
        torch.float32: LstmFloat32,
        torch.float64: LstmFloat64,
    }


def lstm(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    state: State | None = None,
    lengths: Lengths | None = None,
    *,
    recurrent_kernel: Tensor | None = None,
    recurrent_bias: Tensor | None = None,
    peepholes: Tensor | None = None,
    projection: Tensor | None = None,
    layout: str = "tf1.BasicLSTMCell",
    forget_bias: float | None = None,
    activations: Activations | None = None,
    input_clip: float | None = None,
    cell_clip: float | None = None,
    projection_clip: float | None = None,
    reverse: bool = False,
    time_major: bool = False,
    recompute_every: int = 0,
) -> Results:
    """Run an LSTM layer over a batch of sequences; every result can be differentiated, twice too.

        z = [x, h] @ kernel + bias
        i, j, f, o = the quarters of z
        c' = clip(c * gate(f + forget_bias + p_f * c) + gate(i + p_i * c) * cell(j), cell_clip)
        h' = clip((gate(o + p_o * c') * output(c')) @ projection, projection_clip)

    The tensors stand as their framework keeps them: `layout` names a row of `quadgate.layouts`, and the row says where
    each number of these equations is. They are read in place, and gradients are written in the same arrangement. The
    layout settles the defaults of `forget_bias` and `activations`, and nothing else: every option goes with every one.

    float16 and bfloat16 are computed in float32; the result is of their type again, or float32 under autocast. On a GPU
    they are computed in their type with sums and cell states in float32, and under autocast all is of its type.
    `quadgate.kernels.gpu` says what runs there. A gradient that cuDNN made has no derivative.

    Args:
        x: `[N, T, C]`, of any strides. What stands past the end of a case, NaN too, reaches neither a result nor a
            gradient.
        kernel: the weights of x, with those of h where the layout joins the two: TensorFlow 1's `[C+P, 4H]`, Keras'
            `kernel`, PyTorch's `weight_ih`.
        bias: zero where there is none.
        state: the starting `c [N, H]` and `h [N, P]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.
        recurrent_kernel: the weights of h, in a layout that keeps them apart: `recurrent_kernel`, `weight_hh`.
        recurrent_bias: the second bias, in a layout that has two: `bias_hh`.
        peepholes: as the layout keeps them where it does so in one tensor, else `[3, H]` with i, f, o.
        projection: as the layout keeps it, else `[H, P]`; P is H where there is none.
        layout: the name of a row of `quadgate.layouts`.
        forget_bias: added to f while running; None for what the layout's class adds by itself.
        activations: the functions of the cell; None for those that the layout's class has by itself.
        input_clip: limit of the pre-activations, with all that was added to them.
        cell_clip: limit of the cell state.
        projection_clip: limit of h.
        reverse: whether each case is read from its own last step to its first; outputs stay at their inputs' places.
        time_major: whether x and the outputs are `[T, N, ...]`; nothing is copied for it.
        recompute_every: for the way back, keep the state at each so many steps only and compute the rest again: the
            same gradients, in more time and less memory. 0 keeps everything.

    Returns:
        The outputs `[N, T, P]`, zero past the end of a case, and the `(c, h)` of its last step. A case of length 0
        ends as it started.

    Raises:
        InputError: a shape, dtype or length that does not fit, or a layout or activation that is not known.

    >>> outputs, (c, h) = lstm(torch.ones(2, 3, 12), torch.full((76, 256), 0.1), lengths=[3, 1])
    >>> tuple(outputs.shape), bool((outputs[1, 1:] == 0).all()), bool((h[1] == outputs[1, 0]).all())
    ((2, 3, 64), True, True)

    A layer of PyTorch's, as it is:

    >>> layer = torch.nn.LSTM(12, 64)
    >>> weight_ih, weight_hh, bias_ih, bias_hh = layer.parameters()
    >>> x = torch.ones(3, 2, 12)
    >>> outputs, _ = lstm(x, weight_ih, bias_ih, recurrent_kernel=weight_hh, recurrent_bias=bias_hh,
    ...                   layout="torch.nn.LSTM", time_major=True)
    >>> torch.allclose(outputs, layer(x)[0], atol=1e-6)
    True
    """
    cell = _cell(layout, forget_bias, activations, input_clip, cell_clip, projection_clip)
    lengths = lengths if lengths is None or isinstance(lengths, Tensor) else torch.as_tensor(lengths)
    weights = (kernel, recurrent_kernel, bias, recurrent_bias, peepholes, projection)
    options = (layout, *cell, reverse, time_major, recompute_every)
    layer: tuple[Any, ...] = (x, *weights, lengths, *(state or (None, None)), *options)
    outputs, (final,) = run_layers([LSTMLayer(*layer)])
    return outputs, final


def _cell(layout: str, forget_bias: float | None, activations: Activations | None, *clips: float | None) -> Cell:
    if forget_bias is None or activations is None:
        row = find(layout)
        forget_bias = row.forget.run_time if forget_bias is None else forget_bias
        activations = activations or row.activations.default
    if forget_bias is None:
        raise InputError(f"forget_bias: found none, expected a number: {layout} has no value of its own")
    for place in ("gate", "cell", "output"):
        check_activation(getattr(activations, place), f"activations.{place}")
    return Cell(float(forget_bias), activations.gate, activations.cell, activations.output, *clips)


_LAYER = (
    "Tensor x, Tensor kernel, Tensor? recurrent_kernel, Tensor? bias, Tensor? recurrent_bias, Tensor? peepholes, "
    "Tensor? projection, Tensor? lengths, Tensor? c, Tensor? h, str layout, float forget_bias, str gate, str cell, "
    "str output, float? input_clip, float? cell_clip, float? projection_clip, bool reverse, bool time_major, "
    "int recompute_every"
)
# On a GPU buffers are remembered from call to call, which the compiler must not put into a graph of its own.
_TAGS = (torch.Tag.cudagraph_unsafe,) if hasattr(torch.Tag, "cudagraph_unsafe") else ()
LIBRARY.define(f"lstm({_LAYER}, bool keep) -> (Tensor outputs, Tensor c_T, Tensor h_T, Tensor kept)", tags=_TAGS)
LIBRARY.define(
    f"lstm_backward({_LAYER}, Tensor outputs, Tensor kept, Tensor? d_outputs, Tensor? d_c_T, Tensor? d_h_T, "
    "bool needs_x, bool needs_weights) -> (Tensor d_x, Tensor d_kernel, Tensor d_recurrent_kernel, Tensor d_bias, "
    "Tensor d_recurrent_bias, Tensor d_peepholes, Tensor d_projection, Tensor d_c, Tensor d_h)",
    tags=_TAGS,
)


class LSTMLayer(NamedTuple):
    """What both operators begin with; nothing but the tensors can have a gradient that is differentiated again."""

    x: Tensor
    kernel: Tensor
    recurrent_kernel: Tensor | None
    bias: Tensor | None
    recurrent_bias: Tensor | None
    peepholes: Tensor | None
    projection: Tensor | None
    lengths: Tensor | None
    c: Tensor | None
    h: Tensor | None
    layout: str
    forget_bias: float
    gate: str
    cell: str
    output: str
    input_clip: float | None
    cell_clip: float | None
    projection_clip: float | None
    reverse: bool
    time_major: bool
    recompute_every: int

    @property
    def weights(self) -> Weights:
        """The tensors that are trained."""
        return Weights._make(self[1:7])

    @property
    def functions(self) -> Cell:
        """What the cell does beside its weights."""
        return Cell._make(self[_LAYOUT + 1 : _LAYOUT + 1 + len(Cell._fields)])

    @property
    def cases(self) -> int:
        """N."""
        return self.x.shape[1 if self.time_major else 0]

    @property
    def x_by_case(self) -> Tensor:
        """`x [N, T, C]`."""
        return self.by_case(self.x)

    def by_case(self, sequences: Tensor) -> Tensor:
        """Turn a tensor of sequences from the caller's order to `[N, T, ...]`, or back."""
        return sequences.transpose(0, 1) if self.time_major else sequences

    @property
    def placement(self) -> Placement:
        """Where the weights stand."""
        return placed(self.layout, self.weights)

    def check(self) -> Placement:
        """Refuse, by name, what does not fit the weights."""
        found = self.placement
        for name, tensor in self.weights._asdict().items():
            if tensor is not None and (tensor.dtype, tensor.device) != (self.kernel.dtype, self.kernel.device):
                check_tensor(name, tensor, tuple(tensor.shape), self.kernel)
        axes = ["steps", "cases"] if self.time_major else ["cases", "steps"]
        check_tensor("x", self.x, [*axes, found.inputs], self.kernel)
        N = self.cases
        if self.c is not None:
            check_tensor("state c", self.c, [N, found.units], self.kernel)
        if self.h is not None:
            check_tensor("state h", self.h, [N, found.width], self.kernel)
        return found

    def in_type(self, dtype: torch.dtype) -> LSTMLayer:
        """Bring the tensors of the types that autocast knows to one of them."""
        given: tuple[Any, ...] = self[:_LAYOUT]
        tensors = [in_type(one, dtype) for one in given]
        tensors[_LENGTHS] = self.lengths
        return LSTMLayer._make([*tensors, *self[_LAYOUT:]])

    def packed(self, found: Placement, trainable: bool) -> LstmFloat32 | LstmFloat64:
        """Pack the weights, at every call anew: nothing tells for certain whether they were written to since."""
        return _NATIVE[self.x.dtype](
            self.native_weights(self.weights, found),
            **self.functions._asdict(),
            reverse=self.reverse,
            trainable=trainable,
        )

    def native_weights(self, weights: Weights, found: Placement) -> tuple[Any, ...]:
        """Return tensors of the layout in the form that the kernels take."""
        return tuple(bare(one) for one in weights if one is not None), found.sizes, found.places

    def sequences(self) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Return x, the lengths and the state in the form that the kernels take."""
        return dense(self.x_by_case), whole_numbers(self.lengths), dense(self.c), dense(self.h)

    def as_loop(self, lengths: Tensor | None) -> Results:
        """Run as a loop of PyTorch's own operations."""
        x, found = self.x_by_case, self.placement
        c = x.new_zeros(x.shape[0], found.units) if self.c is None else self.c
        h = x.new_zeros(x.shape[0], found.width) if self.h is None else self.h
        weights = normal(self.layout, self.weights)
        outputs, state = lstm_sequence(x, weights, self.functions, lengths, (c, h), self.reverse)
        return self.by_case(outputs), state


def run_layers(layers: Sequence[LSTMLayer]) -> tuple[Tensor, list[State]]:
    """Run one layer, or two directions over the same input; results are those of `lstm`, outputs beside each other."""
    x = layers[0].x
    if x.device.type == "cuda":
        found = [_on_gpu(layer) for layer in layers]
        return joined([outputs for outputs, _ in found]), [state for _, state in found]
    given, autocast = x.dtype, torch.is_autocast_enabled(x.device.type)
    if autocast or given in NARROW_DTYPES:
        layers = [one.in_type(torch.float32) for one in layers]
    if kernel_fits(layers[0].x):
        outputs, *rest = _run(layers)
        states = [(c, h) for c, h, _ in zip(rest[::3], rest[1::3], rest[2::3], strict=True)]
    else:
        for layer in layers:
            layer.check()
        found = [layer.as_loop(lengths_tensor(layer.lengths, layer.x_by_case)) for layer in layers]
        outputs, states = joined([one for one, _ in found]), [state for _, state in found]
    if given in NARROW_DTYPES and not autocast:
        return outputs.to(given), [(c.to(given), h.to(given)) for c, h in states]
    return outputs, states


def _on_gpu(layer: LSTMLayer) -> Results:
    """Run a layer on an NVIDIA GPU, under autocast in its type, by what is fastest there."""
    if torch.is_autocast_enabled("cuda"):
        layer = layer.in_type(torch.get_autocast_dtype("cuda"))
    training = torch.is_grad_enabled() and any(isinstance(one, Tensor) and one.requires_grad for one in layer)
    found = layer.check()
    if layer.lengths is not None:
        layer = layer._replace(lengths=gpu.device_lengths(layer.lengths, layer.x_by_case))
    way = gpu.way(layer, found, training).implementation
    with torch.autocast("cuda", enabled=False):
        if way == CUDNN:
            results: Results = gpu.as_cudnn(layer)
            return results
        if way == gpu.LOOP:
            outputs, state = layer.in_type(torch.float32).as_loop(layer.lengths)
            given = layer.x.dtype
            return outputs.to(given), (state[0].to(given), state[1].to(given))
        outputs, c, h, _ = torch.ops.quadgate.lstm(*layer, training)
    return outputs, (c, h)


_WIDTH = len(LSTMLayer._fields)
_LAYOUT = LSTMLayer._fields.index("layout")
_LENGTHS = LSTMLayer._fields.index("lengths")


def _room_forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make room for the results; alone, this is the operator on tensors that have no numbers."""
    layer, keep = LSTMLayer(*arguments[:_WIDTH]), arguments[_WIDTH]
    on_gpu = layer.x.device.type == "cuda"
    return _room_for(layer, layer.check(), keep, partial(layer.x.new_empty, dtype=torch.uint8 if on_gpu else None))


def _room_for(
    layer: LSTMLayer,
    found: Placement,
    keep: bool,
    new_kept: Callable[[int], Tensor],
    outputs: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    N, new = layer.cases, layer.x.new_empty
    kept = new_kept(_kept_size(layer, found) if keep else 0)
    outputs = new(*layer.x.shape[:2], found.width) if outputs is None else outputs
    return outputs, new(N, found.units), new(N, found.width), kept


def _kept_size(layer: LSTMLayer, found: Placement) -> int:
    """Return how many elements a way back needs, on a GPU bytes; N and T may be symbols."""
    if layer.x.device.type == "cuda":
        return gpu.kept_size(layer, found)
    N, T = layer.cases, layer.x.shape[0 if layer.time_major else 1]
    every = layer.recompute_every or 1
    forms = layer.peepholes is not None, layer.projection is not None
    one = _kept_per_case(layer.x.dtype, found.units, found.width, *forms, layer.functions, layer.recompute_every)
    return N * ((T + every - 1) // every) * one


@cache
def _kept_per_case(
    dtype: torch.dtype, H: int, P: int, peepholes: bool, projection: bool, cell: Cell, recompute_every: int
) -> int:
    """Return what is kept of one case for each step, or for each so many."""
    real = np.float64 if dtype == torch.float64 else np.float32
    weights = (
        np.zeros((4, 1, H), real),
        np.zeros((4, P, H), real),
        None,
        None,
        np.zeros((4, H), real) if peepholes else None,
        np.zeros((H, P), real) if projection else None,
    )
    return _NATIVE[dtype](weights, **cell._asdict()).saved_size(1, recompute_every or 1, recompute_every)


def _forward_call(
    arguments: tuple[Any, ...], threads: int, at_a_time: int, outputs: Tensor | None, trainable: bool
) -> tuple[tuple[Tensor, ...], Any, Any]:
    layer, keep = LSTMLayer(*arguments[:_WIDTH]), arguments[_WIDTH]
    # What is kept has gaps, which PyTorch's deterministic mode wants filled, as it fills its own empty tensors.
    fill = torch.are_deterministic_algorithms_enabled()
    found = layer.check()
    new_kept = layer.x.new_zeros if fill else partial(reserve, like=layer.x)
    outputs, c, h, kept = room = _room_for(layer, found, keep, new_kept, outputs)
    packed = layer.packed(found, trainable)
    call = packed.forward_call(
        *layer.sequences(),
        bare(layer.by_case(outputs)),
        bare(c),
        bare(h),
        bare(kept) if keep else None,
        layer.recompute_every,
        threads,
        at_a_time,
    )
    return room, call, packed


def _room_backward(*arguments: Any) -> tuple[Tensor, ...]:
    layer, needs_x, needs_weights = LSTMLayer(*arguments[:_WIDTH]), *arguments[-2:]
    found = layer.placement
    N, new = layer.cases, layer.x.new_empty
    weights = (new(one.shape if needs_weights and one is not None else 0) for one in layer.weights)
    return new(layer.x.shape if needs_x else 0), *weights, new(N, found.units), new(N, found.width)


def _backward_call(arguments: tuple[Any, ...], packed: Any) -> tuple[tuple[Tensor, ...], Any]:
    layer = LSTMLayer(*arguments[:_WIDTH])
    outputs, kept, d_outputs, d_c_T, d_h_T, needs_x, needs_weights = arguments[_WIDTH:]
    room = _room_backward(*arguments)
    d_x, *d_weights, d_c, d_h = room
    there = Weights._make(None if one is None else d for one, d in zip(layer.weights, d_weights, strict=True))
    packed = packed or layer.packed(layer.placement, trainable=True)
    call = packed.backward_call(
        *layer.sequences(),
        bare(layer.by_case(outputs)),
        bare(kept),
        layer.recompute_every,
        None if d_outputs is None else dense(layer.by_case(d_outputs)),
        dense(d_c_T),
        dense(d_h_T),
        bare(layer.by_case(d_x)) if needs_x else None,
        bare(d_c),
        bare(d_h),
        layer.native_weights(there, placed(layer.layout, there)) if needs_weights else None,
    )
    return room, call


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    layer = LSTMLayer(*inputs[:_WIDTH])
    outputs, _, _, kept = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*layer[:_LAYOUT], outputs, kept)
    ctx.options = layer[_LAYOUT:]


def _way_back(ctx: Any, d_results: Sequence[Tensor | None]) -> tuple[Any, ...] | None:
    *tensors, outputs, kept = ctx.saved_tensors
    d_outputs, d_c_T, d_h_T, _ = d_results
    if d_outputs is None and d_c_T is None and d_h_T is None:
        return None
    needs_weights = any(ctx.needs_input_grad[1:_LENGTHS])
    ways_in = (d_outputs, d_c_T, d_h_T)
    return *tensors, *ctx.options, outputs, kept, *ways_in, ctx.needs_input_grad[0], needs_weights


OPERATOR = Operator(
    _forward_call,
    _backward_call,
    torch.ops.quadgate.lstm,
    torch.ops.quadgate.lstm_backward,
    lambda arguments: LSTMLayer(*arguments[:_WIDTH]).placement.width,
    _keep_forward,
    _way_back,
    _LAYOUT,
    _LENGTHS,
)
_run = OPERATOR.runner()


def _forward_on_gpu(*arguments: Any) -> tuple[Tensor, ...]:
    return gpu.forward(LSTMLayer(*arguments[:_WIDTH]), arguments[_WIDTH])


def _backward_on_gpu(*arguments: Any) -> tuple[Tensor, ...]:
    return gpu.backward(LSTMLayer(*arguments[:_WIDTH]), *arguments[_WIDTH:])


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001 - named by PyTorch
    layer = LSTMLayer(*inputs[:_WIDTH])
    _, _, *d_results, _, _ = inputs[_WIDTH:]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*layer[:_LAYOUT], *d_results)
    ctx.options = layer[_LAYOUT:]


def _differentiate_backward(ctx: Any, *d_gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    layer = LSTMLayer(*ctx.saved_tensors[:_LAYOUT], *ctx.options)
    found, N = layer.placement, layer.x_by_case.shape[0]

    def results(arguments: list[Any]) -> tuple[Tensor, ...]:
        outputs, (c, h) = LSTMLayer(*arguments).as_loop(layer.lengths)
        return outputs, c, h

    shapes = ((*layer.x.shape[:2], found.width), (N, found.units), (N, found.width))
    return differentiate_gradient(ctx, results, shapes, d_gradients, _LENGTHS)


LIBRARY.impl("lstm", OPERATOR.forward, "CPU")
LIBRARY.impl("lstm_backward", OPERATOR.backward_plain, "CPU")
LIBRARY.impl("lstm", _forward_on_gpu, "CUDA")
LIBRARY.impl("lstm_backward", _backward_on_gpu, "CUDA")
library.register_fake("quadgate::lstm", _room_forward, lib=LIBRARY)
library.register_fake("quadgate::lstm_backward", _room_backward, lib=LIBRARY)
library.register_autograd("quadgate::lstm", OPERATOR.differentiate, setup_context=_keep_forward, lib=LIBRARY)
library.register_autograd("quadgate::lstm_backward", _differentiate_backward, setup_context=_keep_backward, lib=LIBRARY)
