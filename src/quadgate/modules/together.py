"""Layers that run at the same time: two directions side by side, the layers of a stack one behind the other.

Neither changes a bit of any result. Here are the plain ways to them, for where nobody watches; under the compiler and
whatever else looks on, each layer is an operator of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quadgate.kernels.threads import number_of_threads
from quadgate.modules.derivatives import differentiable
from quadgate.modules.tensors import COMPILED, NARROW_DTYPES, kernel_fits, unwatched

if COMPILED:
    from quadgate.kernels.cpu._native import run_behind, run_beside

# Of a layer behind another, how many steps the one may be ahead: few enough that a short sequence gains, too.
_STEPS = 16

Arguments = tuple[Any, ...]
Results = tuple[Tensor, ...]


class Operator(NamedTuple):
    """An operator's parts.

    Attributes:
        forward_call: `(arguments, threads, steps at a time or 0, room for the outputs or None, whether to pack for the
            way back too)` to the results, the outputs first, the call that fills them, and the packed layer.
        backward_call: from the arguments of the way back, and the packed layer or None, to the results and the call.
        plain: the operator as it is registered, for where somebody watches.
        backward: the way back as a registered operator.
        width: from the arguments to the width of the outputs.
        keep: keeps, in a context, what the way back needs, the outputs last but one.
        way_back: from that context and the gradients of the results to the arguments of the way back, or None.
        tensors: how many of the arguments, the first, are tensors or None.
        lengths_at: the place of the lengths among them, which have no gradient.
    """

    forward_call: Callable[[Arguments, int, int, Tensor | None, bool], tuple[Results, Any, Any]]
    backward_call: Callable[[Arguments, Any], tuple[Results, Any]]
    plain: Callable[..., Results]
    backward: Callable[..., Results]
    width: Callable[[Arguments], int]
    keep: Callable[[Any, Arguments, Results], None]
    way_back: Callable[[Any, Sequence[Tensor | None]], Arguments | None]
    tensors: int
    lengths_at: int

    def forward(self, *arguments: Any) -> Results:
        """Run one layer."""
        threads = number_of_threads()
        results, call, _ = self.forward_call(arguments, threads, 0, None, False)
        run_beside([call], threads)
        return results

    def forward_to_train(self, ctx: Any, *arguments: Any) -> Results:
        """Run one layer, and keep it packed in the context.

        The way back may read it: PyTorch refuses one whose weights were written to since.
        """
        threads = number_of_threads()
        results, call, packed = self.forward_call(arguments, threads, 0, None, True)
        ctx.packed = [packed]
        run_beside([call], threads)
        return results

    def backward_plain(self, *arguments: Any) -> Results:
        """Run one way back."""
        results, call = self.backward_call(arguments, None)
        run_beside([call], number_of_threads())
        return results

    def differentiate(self, ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        """Carry the gradients of a layer's results back to its arguments."""
        return self._carried_back([ctx], [d_results], getattr(ctx, "packed", [None]))[0]

    def runner(self) -> Callable[[Sequence[Arguments]], Results]:
        """Return a function that runs one layer, or two directions over the same input.

        Its results are the outputs, those of two directions in one tensor, then the rest of each layer's results.
        """
        alone_to_train = differentiable(self.forward_to_train, self.keep, self.differentiate)
        both_to_train = differentiable(self._forward_both, self._keep_both, self._differentiate_both)

        def run(layers: Sequence[Arguments]) -> Results:
            tensors = [one for layer in layers for one in layer[: self.tensors]]
            keep = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in tensors)
            if not unwatched(tensors):
                found = [self.plain(*layer, keep) for layer in layers]
                return joined([one[0] for one in found]), *(rest for one in found for rest in one[1:])
            arguments = [one for layer in layers for one in (*layer, keep)]
            found_by: Callable[..., Results]
            if len(layers) == 1:
                found_by = alone_to_train if keep else self.forward
            else:
                found_by = both_to_train if keep else partial(self._forward_both, None)
            return found_by(*arguments)

        return run

    def behind(self, layers: Sequence[Arguments]) -> list[Results]:
        """Run layers, of which each reads the outputs of the one before in place of its own first argument."""
        threads, results, calls, x = number_of_threads(), [], [], layers[0][0]
        for layer in layers:
            room, call, _ = self.forward_call((x, *layer[1:]), 1, _STEPS, None, False)
            results.append(room)
            calls.append(call)
            x = room[0]
        run_behind(calls, threads)
        return results

    def _forward_both(self, ctx: Any, *arguments: Any) -> Results:
        threads = number_of_threads()
        x = arguments[0]
        both = x.new_empty(*x.shape[:2], 2 * self.width(_halves(arguments)[0]))
        made = [
            self.forward_call(half, (threads + 1) // 2, 0, outputs, ctx is not None)
            for half, outputs in zip(_halves(arguments), both.chunk(2, 2), strict=True)
        ]
        if ctx is not None:
            ctx.packed = [packed for _, _, packed in made]
        run_beside([call for _, call, _ in made], threads)
        return both, *chain.from_iterable(results[1:] for results, _, _ in made)

    def _keep_both(self, ctx: Any, arguments: Arguments, results: Results) -> None:
        kept: list[Any] = []
        ctx.options = []
        for half, found in zip(_halves(arguments), _of_each(results), strict=True):
            part = SimpleNamespace(set_materialize_grads=ctx.set_materialize_grads)
            # Without the outputs, a part of those of both, which would keep their graph alive for ever.
            part.save_for_backward = lambda *tensors: kept.extend((*tensors[:-2], tensors[-1]))
            self.keep(part, half, found)
            ctx.options.append(part.options)
        ctx.save_for_backward(results[0], *kept)

    def _differentiate_both(self, ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        both, *kept = ctx.saved_tensors
        parts = [
            SimpleNamespace(saved_tensors=(*saved[:-1], outputs, saved[-1]), options=options, needs_input_grad=needed)
            for saved, outputs, options, needed in zip(
                _halves(kept), both.chunk(2, 2), ctx.options, _halves(ctx.needs_input_grad), strict=True
            )
        ]
        return tuple(chain.from_iterable(self._carried_back(parts, _of_each(d_results), ctx.packed)))

    def _carried_back(
        self, parts: Sequence[Any], d_results: Sequence[Any], packed: Sequence[Any]
    ) -> list[tuple[Tensor | None, ...]]:
        found = [self.way_back(part, d) for part, d in zip(parts, d_results, strict=True)]
        asked = [(one, layer) for one, layer in zip(found, packed, strict=True) if one is not None]
        # Where a graph of this way back is made, for second derivatives, it has to be the operator.
        tensors = [one for arguments, _ in asked for one in arguments if isinstance(one, Tensor)]
        in_memory = all(one.device.type == "cpu" for one in tensors)
        if in_memory and not torch.is_grad_enabled() and unwatched(tensors):
            made = [self.backward_call(arguments, layer) for arguments, layer in asked]
            run_beside([call for _, call in made], number_of_threads())
            results = iter([result for result, _ in made])
        else:
            results = iter([self.backward(*arguments) for arguments, _ in asked])
        return [
            (None,) * len(part.needs_input_grad)
            if one is None
            else self._arranged(part.needs_input_grad, next(results))
            for part, one in zip(parts, found, strict=True)
        ]

    def _arranged(self, needed: Sequence[bool], found: Results) -> tuple[Tensor | None, ...]:
        """Give each argument the gradient that it needs; those of the tensors are found in their order."""
        gradients = (*found[: self.lengths_at], None, *found[self.lengths_at :])
        wanted = [gradient if need else None for gradient, need in zip(gradients, needed, strict=False)]
        return *wanted, *(None,) * (len(needed) - len(wanted))


def gain_behind(x: Tensor, layers: int, parameters: Sequence[Tensor]) -> bool:
    """Tell whether the layers of a stack gain by running one behind the other.

    They do where there are fewer cases than layers and threads, so that some threads would have nothing to do. They can
    where no gradient is wanted and nobody watches.

    Args:
        x: `[T, N, C]`.
        layers: L.
        parameters: those of all layers.
    """
    T, N = x.shape[:2]
    return (
        unwatched((x, *parameters))
        and min(layers, number_of_threads()) > N
        and T >= 2 * _STEPS
        and kernel_fits(x)
        and not torch.is_autocast_enabled("cpu")
        and not (torch.is_grad_enabled() and any(one.requires_grad for one in (x, *parameters)))
        and all(one.dtype not in NARROW_DTYPES for one in parameters)
    )


def joined(outputs: Sequence[Tensor]) -> Tensor:
    """Put the outputs of the directions side by side."""
    return outputs[0] if len(outputs) == 1 else torch.cat(list(outputs), 2)


def _halves(values: Sequence[Any]) -> tuple[Any, Any]:
    half = len(values) // 2
    return values[:half], values[half:]


def _of_each(results: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Part the results of a pair, or their gradients, into those of the two."""
    both, *rest = results
    outputs = (None, None) if both is None else both.chunk(2, 2)
    return [(one, *others) for one, others in zip(outputs, _halves(rest), strict=True)]
