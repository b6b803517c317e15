"""`quadgate.lstm`: the compiled LSTM as an operator of PyTorch, with everything PyTorch expects of one.

Two operators are registered, `quadgate::lstm` and `quadgate::lstm_backward`; their bodies run below autograd and call
the compiled kernels. The gradient of the first is the second; the gradient of the second, a second derivative, is that
of `lstm_sequence`, the loop of operations of PyTorch's own. That loop is also what runs where no kernel fits (another
device, no compiler at installation) and under the transforms of `torch.func`, which see into a loop and not into a
kernel.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, library

from quadgate.errors import InputError
from quadgate.kernels.choice import compiled_is_built
from quadgate.kernels.threads import number_of_threads
from quadgate.modules.sequence import (
    Lengths,
    State,
    check_activation,
    check_tensor,
    lengths_tensor,
    lstm_sequence,
)

_COMPILED = compiled_is_built()
if _COMPILED:
    from quadgate.kernels.cpu._native import LstmFloat32, LstmFloat64

    _NATIVE: dict[torch.dtype, type[LstmFloat32 | LstmFloat64]] = {
        torch.float32: LstmFloat32,
        torch.float64: LstmFloat64,
    }

_NARROW_DTYPES = (torch.float16, torch.bfloat16)


def lstm(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    state: State | None = None,
    lengths: Lengths | None = None,
    *,
    forget_bias: float = 1.0,
    activation: str = "tanh",
    reverse: bool = False,
    recompute_every: int = 0,
) -> tuple[Tensor, State]:
    """Run a BasicLSTM layer over a batch of sequences; every result can be differentiated, twice too.

        z = [x, h] @ kernel + bias
        i, j, f, o = the quarters of z
        c' = c * sigmoid(f + forget_bias) + sigmoid(i) * tanh(j)
        h' = tanh(c') * sigmoid(o)

    float16 and bfloat16 are computed in float32; the result is of their type again, or float32 under autocast.

    Args:
        x: `[N, T, C]`, of any strides. What stands past the end of a case, NaN too, reaches neither a result nor a
            gradient.
        kernel: `[C+H, 4H]`, the rows of x above those of h, columns i, j, f, o as in TensorFlow 1.
        bias: `[4H]`; zero where there is none.
        state: the starting `c` and `h`, each `[N, H]`; zero where there is none.
        lengths: `[N]`, the number of steps of each case; all T where there are none.
        forget_bias: added to f while running; it is not in `bias`.
        activation: in place of tanh, in both places.
        reverse: whether each case is read from its own last step to its first; outputs stay at their inputs' places.
        recompute_every: for the way back, keep the state at each so many steps only and compute the rest again: the
            same gradients, in more time and less memory. 0 keeps everything.

    Returns:
        The outputs `[N, T, H]`, zero past the end of a case, and the `(c, h)` of its last step. A case of length 0
        ends as it started.

    Raises:
        InputError: a shape, dtype or length that does not fit.

    >>> outputs, (c, h) = lstm(torch.ones(2, 3, 12), torch.full((76, 256), 0.1), lengths=[3, 1])
    >>> tuple(outputs.shape), bool((outputs[1, 1:] == 0).all()), bool((h[1] == outputs[1, 0]).all())
    ((2, 3, 64), True, True)
    """
    check_activation(activation)
    if kernel.ndim != 2 or kernel.shape[1] % 4 or not 0 < kernel.shape[1] // 4 < kernel.shape[0]:
        raise InputError(f"kernel: found shape {tuple(kernel.shape)}, expected (inputs + units, 4 * units)")
    H = kernel.shape[1] // 4
    given = x.dtype
    autocast = torch.is_autocast_enabled(x.device.type)
    if autocast or given in _NARROW_DTYPES:
        x, kernel = _widened(x), _widened(kernel)
        bias = None if bias is None else _widened(bias)
        state = None if state is None else (_widened(state[0]), _widened(state[1]))
    check_tensor("x", x, ["cases", "steps", kernel.shape[0] - H], kernel)
    if bias is None:
        bias = kernel.new_zeros(4 * H)
    check_tensor("bias", bias, [4 * H], kernel)
    if state is not None:
        for name, tensor in zip(("state c", "state h"), state, strict=True):
            check_tensor(name, tensor, [x.shape[0], H], kernel)

    if _kernel_fits(x):
        if lengths is not None and not isinstance(lengths, Tensor):
            lengths = torch.as_tensor(lengths)
        c, h = state or (None, None)
        keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, kernel, bias, c, h))
        outputs, c, h, _ = torch.ops.quadgate.lstm(
            x, kernel, bias, lengths, c, h, forget_bias, activation, reverse, recompute_every, keep
        )
    else:
        outputs, (c, h) = lstm_sequence(
            x, kernel, bias, forget_bias, activation, lengths_tensor(lengths, x), state, reverse
        )
    if given in _NARROW_DTYPES and not autocast:
        return outputs.to(given), (c.to(given), h.to(given))
    return outputs, (c, h)


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _NARROW_DTYPES else tensor


def _kernel_fits(x: Tensor) -> bool:
    return (
        _COMPILED and x.device.type == "cpu" and x.dtype in _NATIVE and not torch._C._are_functorch_transforms_active()
    )


_LIBRARY = library.Library("quadgate", "DEF")
_LAYER = (
    "Tensor x, Tensor kernel, Tensor bias, Tensor? lengths, Tensor? c, Tensor? h, "
    "float forget_bias, str activation, bool reverse, int recompute_every"
)
_LIBRARY.define(f"lstm({_LAYER}, bool keep) -> (Tensor outputs, Tensor c_T, Tensor h_T, Tensor kept)")
_LIBRARY.define(
    f"lstm_backward({_LAYER}, Tensor outputs, Tensor kept, Tensor? d_outputs, Tensor? d_c_T, Tensor? d_h_T, "
    "bool needs_x) -> (Tensor d_x, Tensor d_kernel, Tensor d_bias, Tensor d_c, Tensor d_h)"
)


class _Layer(NamedTuple):
    """What both operators begin with; nothing but these can have a gradient that is differentiated again."""

    x: Tensor
    kernel: Tensor
    bias: Tensor
    lengths: Tensor | None
    c: Tensor | None
    h: Tensor | None
    forget_bias: float
    activation: str
    reverse: bool
    recompute_every: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """N, T and H."""
        return self.x.shape[0], self.x.shape[1], self.bias.shape[0] // 4

    def packed(self, trainable: bool) -> LstmFloat32 | LstmFloat64:
        """Pack the weights, at every call anew: nothing tells for certain whether they were written to since."""
        return _NATIVE[self.x.dtype](
            (_bare(self.kernel), _bare(self.bias)),
            forget_bias=self.forget_bias,
            cell=self.activation,
            output=self.activation,
            reverse=self.reverse,
            trainable=trainable,
        )

    def sequences(self) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Return x, the lengths and the state in the form that the kernels take."""
        lengths = self.lengths
        if lengths is not None:
            if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
                raise InputError(f"lengths: found {lengths.dtype}, expected whole numbers")
            lengths = lengths.long()
        return _dense(self.x), lengths, _dense(self.c), _dense(self.h)

    def state(self) -> State:
        """Return the starting state, zero where there is none."""
        N, _, H = self.sizes
        zeros = self.x.new_zeros(N, H)
        return zeros if self.c is None else self.c, zeros if self.h is None else self.h


_WIDTH = len(_Layer._fields)


def _room_forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make room for the results; alone, this is the operator on tensors that have no numbers."""
    layer, keep = _Layer(*arguments[:_WIDTH]), arguments[_WIDTH]
    N, T, H = layer.sizes
    new = layer.x.new_empty
    # What is kept has gaps, which PyTorch's deterministic mode wants filled, as it fills its own empty tensors.
    new_kept = layer.x.new_zeros if torch.are_deterministic_algorithms_enabled() else new
    return new(N, T, H), new(N, H), new(N, H), new_kept(_kept_size(layer) if keep else 0)


def _kept_size(layer: _Layer) -> int:
    """Return how many elements a way back needs; N and T may be symbols."""
    N, T, H = layer.sizes
    every = layer.recompute_every or 1
    return N * ((T + every - 1) // every) * _kept_per_case(layer.x.dtype, int(H), layer.recompute_every)


@cache
def _kept_per_case(dtype: torch.dtype, H: int, recompute_every: int) -> int:
    """Return what is kept of one case for each step, or for each so many."""
    one = _NATIVE[dtype]((torch.zeros(1 + H, 4 * H, dtype=dtype), None))
    return one.saved_size(1, recompute_every or 1, recompute_every)


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    layer, keep = _Layer(*arguments[:_WIDTH]), arguments[_WIDTH]
    outputs, c, h, kept = room = _room_forward(*arguments)
    layer.packed(keep).forward(
        *layer.sequences(), outputs, c, h, kept if keep else None, layer.recompute_every, number_of_threads()
    )
    return room


def _room_backward(*arguments: Any) -> tuple[Tensor, ...]:
    layer, needs_x = _Layer(*arguments[:_WIDTH]), arguments[-1]
    N, _, H = layer.sizes
    new = layer.x.new_empty
    return new(layer.x.shape if needs_x else 0), new(layer.kernel.shape), new(layer.bias.shape), new(N, H), new(N, H)


def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    layer = _Layer(*arguments[:_WIDTH])
    outputs, kept, d_outputs, d_c_T, d_h_T, needs_x = arguments[_WIDTH:]
    d_x, d_kernel, d_bias, d_c, d_h = room = _room_backward(*arguments)
    layer.packed(trainable=True).backward(
        *layer.sequences(),
        _bare(outputs),
        _bare(kept),
        layer.recompute_every,
        _dense(d_outputs),
        _dense(d_c_T),
        _dense(d_h_T),
        d_x if needs_x else None,
        d_c,
        d_h,
        (d_kernel, d_bias),
        number_of_threads(),
    )
    return room


def _bare(tensor: Tensor | None) -> Tensor | None:
    """Take the array out of autograd's hands: a tensor that requires a gradient is not given to others."""
    return tensor.detach() if tensor is not None and tensor.requires_grad else tensor


def _dense(tensor: Tensor | None) -> Tensor | None:
    """The kernels take sequences of any strides but the last, and of states none."""
    if tensor is None:
        return None
    dense = tensor.stride(-1) == 1 if tensor.ndim == 3 else tensor.is_contiguous()
    return _bare(tensor if dense else tensor.contiguous())


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    layer = _Layer(*inputs[:_WIDTH])
    outputs, _, _, kept = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*layer[:6], outputs, kept)
    ctx.options = layer[6:]


def _differentiate_forward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
    *tensors, outputs, kept = ctx.saved_tensors
    d_outputs, d_c_T, d_h_T, _ = d_results
    needed = ctx.needs_input_grad
    if d_outputs is None and d_c_T is None and d_h_T is None:
        return (None,) * len(needed)
    d_x, d_kernel, d_bias, d_c, d_h = torch.ops.quadgate.lstm_backward(
        *tensors, *ctx.options, outputs, kept, d_outputs, d_c_T, d_h_T, needed[0]
    )
    gradients = (d_x, d_kernel, d_bias, None, d_c, d_h)
    wanted = [gradient if need else None for gradient, need in zip(gradients, needed, strict=False)]
    return *wanted, *(None,) * (len(needed) - len(wanted))


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001 - named by PyTorch
    layer = _Layer(*inputs[:_WIDTH])
    _, _, *d_results, _ = inputs[_WIDTH:]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*layer[:6], *d_results)
    ctx.options = layer[6:]


def _differentiate_backward(ctx: Any, *d_gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    """Differentiate the gradient: that of the loop of PyTorch's own operations, which is the same function."""
    layer = _Layer(*ctx.saved_tensors[:6], *ctx.options)
    N, T, H = layer.sizes
    like = ((N, T, H), (N, H), (N, H))
    d_results = tuple(
        layer.x.new_zeros(shape) if d is None else d for d, shape in zip(ctx.saved_tensors[6:], like, strict=True)
    )

    def run(x: Tensor, kernel: Tensor, bias: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs, (c, h) = lstm_sequence(
            x, kernel, bias, layer.forget_bias, layer.activation, layer.lengths, (c, h), layer.reverse
        )
        return outputs, c, h

    def gradient(*inputs: Any) -> Any:
        pull = torch.func.vjp(run, *inputs[:5])[1]
        return pull(inputs[5:])

    inputs = layer.x, layer.kernel, layer.bias, *layer.state(), *d_results
    first, pull = torch.func.vjp(gradient, *inputs)[:2]
    cotangents = (
        torch.zeros_like(one) if d is None or not d.numel() else d for one, d in zip(first, d_gradients, strict=True)
    )
    x, kernel, bias, c, h, *d_results = pull(tuple(cotangents))
    by_place = [x, kernel, bias, None, c, h, *(None,) * (_WIDTH - 6), None, None, *d_results, None]
    return tuple(one if need else None for one, need in zip(by_place, ctx.needs_input_grad, strict=True))


_LIBRARY.impl("lstm", _forward, "CPU")
_LIBRARY.impl("lstm_backward", _backward, "CPU")
library.register_fake("quadgate::lstm", _room_forward, lib=_LIBRARY)
library.register_fake("quadgate::lstm_backward", _room_backward, lib=_LIBRARY)
library.register_autograd("quadgate::lstm", _differentiate_forward, setup_context=_keep_forward, lib=_LIBRARY)
library.register_autograd(
    "quadgate::lstm_backward", _differentiate_backward, setup_context=_keep_backward, lib=_LIBRARY
)
