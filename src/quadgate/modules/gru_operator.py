"""`quadgate.gru`: the compiled GRU as an operator of PyTorch, as `quadgate.modules.operator` has the LSTM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, library

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.layouts import find
from quadgate.modules.derivatives import differentiate_gradient
from quadgate.modules.gru_sequence import GRUFunctions, gru_sequence
from quadgate.modules.placement import Placement, Weights, normal, placed
from quadgate.modules.reserve import reserve
from quadgate.modules.sequence import Lengths, check_activation, check_tensor, lengths_tensor
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
    from quadgate.kernels.cpu._native import GruFloat32, GruFloat64

    _NATIVE: dict[torch.dtype, type[GruFloat32 | GruFloat64]] = {
        torch.float32: GruFloat32,
        torch.float64: GruFloat64,
    }


def gru(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    state: Tensor | None = None,
    lengths: Lengths | None = None,
    *,
    recurrent_kernel: Tensor | None = None,
    recurrent_bias: Tensor | None = None,
    layout: str = "torch.nn.GRU",
    reset_after: bool | None = None,
    activations: Activations | None = None,
    reverse: bool = False,
    time_major: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, Tensor]:
    """Run a GRU layer over a batch of sequences; every result can be differentiated, twice too.

        z = gate(x @ W_z + h @ U_z + b_z),  r likewise
        n = cell(x @ W_n + b_xn + r * (h @ U_n + b_hn))     reset_after: PyTorch, Keras 2 and 3
        n = cell(x @ W_n + b_xn + (r * h) @ U_n + b_hn)     otherwise: the paper, ONNX by default
        h' = z * h + (1 - z) * n

    The tensors stand as their framework keeps them: `layout` names a row of `quadgate.layouts`, and the row says where
    each number of these equations is. They are read in place, and gradients are written in the same arrangement. The
    layout settles the defaults of `reset_after` and `activations`, and nothing else: every option goes with every one.

    float16 and bfloat16 are computed in float32; the result is of their type again, or float32 under autocast.

    Args:
        x: `[N, T, C]`, of any strides. What stands past the end of a case, NaN too, reaches neither a result nor a
            gradient.
        kernel: the weights of x: `weight_ih`, `kernel`; with those of h where the layout joins the two.
        bias: zero where there is none; with the second one in it where the layout stacks the two, as Keras does.
        state: the starting `h [N, H]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.
        recurrent_kernel: the weights of h, in a layout that keeps them apart: `weight_hh`, `recurrent_kernel`.
        recurrent_bias: the second bias, in a layout that has two: `bias_hh`.
        layout: the name of a row of `quadgate.layouts`.
        reset_after: whether r multiplies the product of h; None for what the layout's class does.
        activations: the functions of the cell, `gate` and `cell`; None for those that the layout's class has by itself.
        reverse: whether each case is read from its own last step to its first; outputs stay at their inputs' places.
        time_major: whether x and the outputs are `[T, N, ...]`; nothing is copied for it.
        recompute_every: for the way back, keep nothing but the outputs and compute about so many steps again at a time:
            the same gradients, in more time and less memory. 0 keeps everything.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the `h` of its last step. A case of length 0 ends as
        it started.

    Raises:
        InputError: a shape, dtype or length that does not fit, or a layout or activation that is not known.

    A layer of PyTorch's, as it is:

    >>> layer = torch.nn.GRU(12, 64)
    >>> weight_ih, weight_hh, bias_ih, bias_hh = layer.parameters()
    >>> x = torch.ones(3, 2, 12)
    >>> outputs, h = gru(x, weight_ih, bias_ih, recurrent_kernel=weight_hh, recurrent_bias=bias_hh, time_major=True)
    >>> torch.allclose(outputs, layer(x)[0], atol=1e-6), torch.equal(h, outputs[-1])
    (True, True)
    """
    lengths = lengths if lengths is None or isinstance(lengths, Tensor) else torch.as_tensor(lengths)
    functions = _functions(layout, reset_after, activations)
    weights = (kernel, recurrent_kernel, bias, recurrent_bias)
    layer: tuple[Any, ...] = (x, *weights, lengths, state, layout, *functions, reverse, time_major, recompute_every)
    outputs, (h,) = run_layers([GRULayer(*layer)])
    return outputs, h


def _functions(layout: str, reset_after: bool | None, activations: Activations | None) -> GRUFunctions:
    if reset_after is None or activations is None:
        row = find(layout)
        reset_after = row.reset_after if reset_after is None else reset_after
        activations = activations or row.activations.default
    if reset_after is None:
        raise InputError(f"reset_after: found none, expected True or False: {layout} has both")
    for place in ("gate", "cell"):
        check_activation(getattr(activations, place), f"activations.{place}")
    return GRUFunctions(reset_after, activations.gate, activations.cell)


_LAYER = (
    "Tensor x, Tensor kernel, Tensor? recurrent_kernel, Tensor? bias, Tensor? recurrent_bias, Tensor? lengths, "
    "Tensor? h, str layout, bool reset_after, str gate, str candidate, bool reverse, bool time_major, "
    "int recompute_every"
)
LIBRARY.define(f"gru({_LAYER}, bool keep) -> (Tensor outputs, Tensor h_T, Tensor kept)")
LIBRARY.define(
    f"gru_backward({_LAYER}, Tensor outputs, Tensor kept, Tensor? d_outputs, Tensor? d_h_T, bool needs_x, "
    "bool needs_weights) -> (Tensor d_x, Tensor d_kernel, Tensor d_recurrent_kernel, Tensor d_bias, "
    "Tensor d_recurrent_bias, Tensor d_h)"
)


class GRULayer(NamedTuple):
    """What both operators begin with; nothing but the tensors can have a gradient that is differentiated again."""

    x: Tensor
    kernel: Tensor
    recurrent_kernel: Tensor | None
    bias: Tensor | None
    recurrent_bias: Tensor | None
    lengths: Tensor | None
    h: Tensor | None
    layout: str
    reset_after: bool
    gate: str
    candidate: str
    reverse: bool
    time_major: bool
    recompute_every: int

    @property
    def weights(self) -> Weights:
        """The tensors that are trained."""
        return Weights(self.kernel, self.recurrent_kernel, self.bias, self.recurrent_bias)

    @property
    def functions(self) -> GRUFunctions:
        """What the cell does beside its weights."""
        return GRUFunctions(self.reset_after, self.gate, self.candidate)

    def by_case(self, sequences: Tensor) -> Tensor:
        """Turn a tensor of sequences from the caller's order to `[N, T, ...]`, or back."""
        return sequences.transpose(0, 1) if self.time_major else sequences

    @property
    def cases(self) -> int:
        """N."""
        return self.x.shape[1 if self.time_major else 0]

    @property
    def placement(self) -> Placement:
        """Where the weights stand."""
        return placed(self.layout, self.weights)

    def check(self) -> Placement:
        """Refuse, by name, what does not fit the weights."""
        if find(self.layout).cell != "gru":
            raise InputError(f"layout: found {self.layout}, which is of an LSTM, expected one of a GRU")
        found = self.placement
        for name, tensor in self.weights._asdict().items():
            if tensor is not None and (tensor.dtype, tensor.device) != (self.kernel.dtype, self.kernel.device):
                check_tensor(name, tensor, tuple(tensor.shape), self.kernel)
        axes = ["steps", "cases"] if self.time_major else ["cases", "steps"]
        check_tensor("x", self.x, [*axes, found.inputs], self.kernel)
        if self.h is not None:
            check_tensor("state", self.h, [self.cases, found.units], self.kernel)
        return found

    def widened(self) -> GRULayer:
        """Bring what is of a narrow type to float32."""
        given: tuple[Any, ...] = self[:_LAYOUT]
        tensors = [in_type(one, torch.float32) for one in given]
        tensors[_LENGTHS] = self.lengths
        return GRULayer._make([*tensors, *self[_LAYOUT:]])

    def packed(self, found: Placement, trainable: bool) -> GruFloat32 | GruFloat64:
        """Pack the weights, at every call anew: nothing tells for certain whether they were written to since."""
        return _NATIVE[self.x.dtype](
            self.native_weights(self.weights, found),
            **self.functions._asdict(),
            reverse=self.reverse,
            trainable=trainable,
        )

    def native_weights(self, weights: Weights, found: Placement) -> tuple[Any, ...]:
        """Return tensors of the layout in the form that the kernels take."""
        there = tuple(bare(one) for one in weights if one is not None)
        return there, (found.inputs, found.units), found.places[:4]

    def sequences(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return x, the lengths and the state in the form that the kernels take."""
        return dense(self.by_case(self.x)), whole_numbers(self.lengths), dense(self.h)

    def as_loop(self, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run as a loop of PyTorch's own operations."""
        x = self.by_case(self.x)
        h = x.new_zeros(x.shape[0], self.placement.units) if self.h is None else self.h
        outputs, h = gru_sequence(x, normal(self.layout, self.weights), self.functions, lengths, h, self.reverse)
        return self.by_case(outputs), h


def run_layers(layers: Sequence[GRULayer]) -> tuple[Tensor, list[Tensor]]:
    """Run one layer, or two directions over the same input; results are those of `gru`, outputs beside each other."""
    x = layers[0].x
    given, autocast = x.dtype, torch.is_autocast_enabled(x.device.type)
    if autocast or given in NARROW_DTYPES:
        layers = [one.widened() for one in layers]
    if kernel_fits(layers[0].x):
        outputs, *rest = _run(layers)
        states = list(rest[::2])
    else:
        for layer in layers:
            layer.check()
        found = [layer.as_loop(lengths_tensor(layer.lengths, layer.by_case(layer.x))) for layer in layers]
        outputs, states = joined([one for one, _ in found]), [h for _, h in found]
    if given in NARROW_DTYPES and not autocast:
        return outputs.to(given), [h.to(given) for h in states]
    return outputs, states


_WIDTH = len(GRULayer._fields)
_LAYOUT = GRULayer._fields.index("layout")
_LENGTHS = GRULayer._fields.index("lengths")


def _room_forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Make room for the results; alone, this is the operator on tensors that have no numbers."""
    layer, keep = GRULayer(*arguments[:_WIDTH]), arguments[_WIDTH]
    return _room_for(layer, layer.check(), keep, layer.x.new_empty)


def _room_for(
    layer: GRULayer,
    found: Placement,
    keep: bool,
    new_kept: Callable[[int], Tensor],
    outputs: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    H, N, new = found.units, layer.cases, layer.x.new_empty
    T = layer.x.shape[0 if layer.time_major else 1]
    kept = new_kept(N * T * _kept_per_step(layer.x.dtype, H) if keep and not layer.recompute_every else 0)
    return new(*layer.x.shape[:2], H) if outputs is None else outputs, new(N, H), kept


@cache
def _kept_per_step(dtype: torch.dtype, H: int) -> int:
    """Return how many elements a way back needs of a step of a case."""
    real = np.float64 if dtype == torch.float64 else np.float32
    weights = np.zeros((3, 1, H), real), np.zeros((3, H, H), real), None, None
    return _NATIVE[dtype](weights).saved_size(1, 1, 0)


def _forward_call(
    arguments: tuple[Any, ...], threads: int, at_a_time: int, outputs: Tensor | None, trainable: bool
) -> tuple[tuple[Tensor, ...], Any, Any]:
    layer, keep = GRULayer(*arguments[:_WIDTH]), arguments[_WIDTH]
    # What is kept has gaps, which PyTorch's deterministic mode wants filled, as it fills its own empty tensors.
    fill = torch.are_deterministic_algorithms_enabled()
    found = layer.check()
    new_kept = layer.x.new_zeros if fill else partial(reserve, like=layer.x)
    outputs, h, kept = room = _room_for(layer, found, keep, new_kept, outputs)
    packed = layer.packed(found, trainable)
    call = packed.forward_call(
        *layer.sequences(),
        bare(layer.by_case(outputs)),
        bare(h),
        bare(kept) if keep else None,
        layer.recompute_every,
        threads,
        at_a_time,
    )
    return room, call, packed


def _room_backward(*arguments: Any) -> tuple[Tensor, ...]:
    layer, needs_x, needs_weights = GRULayer(*arguments[:_WIDTH]), *arguments[-2:]
    new = layer.x.new_empty
    weights = (new(one.shape if needs_weights and one is not None else 0) for one in layer.weights[:4])
    return new(layer.x.shape if needs_x else 0), *weights, new(layer.cases, layer.placement.units)


def _backward_call(arguments: tuple[Any, ...], packed: Any) -> tuple[tuple[Tensor, ...], Any]:
    layer = GRULayer(*arguments[:_WIDTH])
    outputs, kept, d_outputs, d_h_T, needs_x, needs_weights = arguments[_WIDTH:]
    d_x, *d_weights, d_h = room = _room_backward(*arguments)
    there = Weights._make(
        None if one is None else d for one, d in zip(layer.weights, (*d_weights, None, None), strict=True)
    )
    packed = packed or layer.packed(layer.placement, trainable=True)
    call = packed.backward_call(
        *layer.sequences(),
        bare(layer.by_case(outputs)),
        bare(kept),
        layer.recompute_every,
        None if d_outputs is None else dense(layer.by_case(d_outputs)),
        dense(d_h_T),
        bare(layer.by_case(d_x)) if needs_x else None,
        bare(d_h),
        layer.native_weights(there, placed(layer.layout, there)) if needs_weights else None,
    )
    return room, call


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    outputs, _, kept = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:_LAYOUT], outputs, kept)
    ctx.options = inputs[_LAYOUT:_WIDTH]


def _way_back(ctx: Any, d_results: Sequence[Tensor | None]) -> tuple[Any, ...] | None:
    *tensors, outputs, kept = ctx.saved_tensors
    d_outputs, d_h_T, _ = d_results
    if d_outputs is None and d_h_T is None:
        return None
    needs_weights = any(ctx.needs_input_grad[1:_LENGTHS])
    return *tensors, *ctx.options, outputs, kept, d_outputs, d_h_T, ctx.needs_input_grad[0], needs_weights


OPERATOR = Operator(
    _forward_call,
    _backward_call,
    torch.ops.quadgate.gru,
    torch.ops.quadgate.gru_backward,
    lambda arguments: GRULayer(*arguments[:_WIDTH]).placement.units,
    _keep_forward,
    _way_back,
    _LAYOUT,
    _LENGTHS,
)
_run = OPERATOR.runner()


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001 - named by PyTorch
    d_outputs, d_h_T = inputs[_WIDTH + 2 : _WIDTH + 4]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:_LAYOUT], d_outputs, d_h_T)
    ctx.options = inputs[_LAYOUT:_WIDTH]


def _differentiate_backward(ctx: Any, *d_gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    layer = GRULayer(*ctx.saved_tensors[:_LAYOUT], *ctx.options)
    H = layer.placement.units

    def results(arguments: list[Any]) -> tuple[Tensor, ...]:
        return GRULayer(*arguments).as_loop(layer.lengths)

    shapes = ((*layer.x.shape[:2], H), (layer.cases, H))
    return differentiate_gradient(ctx, results, shapes, d_gradients, _LENGTHS)


LIBRARY.impl("gru", OPERATOR.forward, "CPU")
LIBRARY.impl("gru_backward", OPERATOR.backward_plain, "CPU")
library.register_fake("quadgate::gru", _room_forward, lib=LIBRARY)
library.register_fake("quadgate::gru_backward", _room_backward, lib=LIBRARY)
library.register_autograd("quadgate::gru", OPERATOR.differentiate, setup_context=_keep_forward, lib=LIBRARY)
library.register_autograd("quadgate::gru_backward", _differentiate_backward, setup_context=_keep_backward, lib=LIBRARY)
