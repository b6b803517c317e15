"""Layers on top of each other in one or two directions, with the arguments and the results of PyTorch's modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch._VF import _pack_padded_sequence, _pad_packed_sequence
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from quadgate.errors import InputError
from quadgate.kernels.choice import compiled_is_built
from quadgate.modules.sequence import Lengths, lengths_tensor

# Runs one layer in one direction: the suffix of its parameters' names, `x [T, N, C]`, the lengths, the starting state,
# whether it reads backwards, and whether the cell states are wanted; returns outputs, final state, cell states.
Layer = Callable[[str, Tensor, Tensor | None, Any, bool, bool], tuple[Tensor, Any, Tensor | None]]


def run_stack(
    module: Any,
    layer: Layer,
    given: Any,
    hx: Any,
    lengths: Lengths | None,
    cells: bool = False,
) -> Any:
    """Run every layer of a module in each direction, and hand out what `torch.nn` hands out.

    Args:
        module: what the sizes are read off, and whose checks refuse input in PyTorch's words.
        layer: runs one of its layers.
        given: `[T, N, C]`, `[N, T, C]` with `batch_first`, `[T, C]`, or a PackedSequence.
        hx: the starting state as the module takes it, or None.
        lengths: `[N]`, or None.
        cells: whether the cell states of the top layer are returned too.
    """
    is_lstm = module.mode == "LSTM"
    packed = given if isinstance(given, PackedSequence) else None
    batched = packed is not None or given.dim() == 3
    if packed is not None:
        if lengths is not None:
            raise InputError(
                "lengths: found beside a PackedSequence, which has its own; give a padded tensor with them"
            )
        x, lengths = _pad_packed_sequence(packed.data, packed.batch_sizes, False, 0.0, -1)
    else:
        x = _as_given(module, given, True) if batched else given.unsqueeze(1)
    start = _starting_state(module, x, hx, packed, batched)
    autocast = torch.is_autocast_enabled(x.device.type)
    lengths = lengths if lengths is None or isinstance(lengths, Tensor) else lengths_tensor(lengths, x.transpose(0, 1))

    finals: list[tuple[Tensor, ...]] = []
    top_cells: list[Tensor] = []
    directions = ("", "_reverse") if module.bidirectional else ("",)
    for k in range(module.num_layers):
        if k and module.training and module.dropout:
            x = _dropped(x, module.dropout, lengths if packed is not None else None)
        outputs = []
        for d, direction in enumerate(directions):
            before: Any = None if start is None else tuple(one[k * len(directions) + d] for one in start)
            before = before if is_lstm or start is None else before[0]
            want = cells and k == module.num_layers - 1
            output, final, c = layer(f"_l{k}{direction}", x, lengths, before, d == 1, want)
            outputs.append(output)
            finals.append(final if is_lstm else (final,))
            top_cells += [] if c is None else [c]
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)

    # Of one layer in one direction nothing needs to be copied.
    last = [torch.stack(one) if len(one) > 1 else one[0].unsqueeze(0) for one in zip(*finals, strict=True)]
    if autocast and is_lstm:  # of a GRU, PyTorch hands out float32
        narrow = torch.get_autocast_dtype(x.device.type)
        x, last = x.to(narrow), [one.to(narrow) for one in last]
    result: Any = _as_given(module, x, batched)
    if packed is not None:
        data = _pack_padded_sequence(x, cast(Tensor, lengths), False)[0]
        result = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        if packed.unsorted_indices is not None:
            last = [one.index_select(1, packed.unsorted_indices) for one in last]
    if not batched:
        last = [one.squeeze(1) for one in last]
    final_state = tuple(last) if is_lstm else last[0]
    if not cells:
        return result, final_state
    return result, final_state, _as_given(module, torch.cat(top_cells, 2), batched)


def kernels_take(given: Any) -> bool:
    """Tell whether the kernels run this input: in main memory, and nothing that PyTorch refuses or finds empty."""
    if isinstance(given, PackedSequence):
        return given.data.device.type == "cpu" and compiled_is_built()
    return given.device.type == "cpu" and compiled_is_built() and given.dim() in (2, 3) and 0 not in given.shape


def _as_given(module: Any, sequences: Tensor, batched: bool) -> Tensor:
    """Turn `[T, N, ...]` into the caller's order."""
    if not batched:
        return sequences.squeeze(1)
    return sequences.transpose(0, 1) if module.batch_first else sequences


def _starting_state(
    module: Any, x: Tensor, hx: Any, packed: PackedSequence | None, batched: bool
) -> tuple[Tensor, ...] | None:
    """Return the state `[L*D, N, ...]` of every layer, or None for zero, once PyTorch's checks have passed."""
    is_lstm = module.mode == "LSTM"
    # PyTorch's own checks, which read the axis of the cases off batch_first.
    shown = packed.data if packed is not None else _as_given(module, x, True)
    sizes = None if packed is None else packed.batch_sizes
    if hx is None:
        module.check_input(shown, sizes)
        return None
    state = tuple(hx) if is_lstm else (hx,)
    _check_rank(state, is_lstm, batched)
    if not batched:
        state = tuple(one.unsqueeze(1) for one in state)
    if packed is not None and packed.sorted_indices is not None:
        state = tuple(one.index_select(1, packed.sorted_indices) for one in state)
    module.check_forward_args(shown, state if is_lstm else state[0], sizes)
    return state


def _check_rank(state: tuple[Tensor, ...], is_lstm: bool, batched: bool) -> None:
    rank = 3 if batched else 2
    if all(one.dim() == rank for one in state):
        return
    found = ", ".join(f"{one.dim()}-D" for one in state)
    words = "batched 3-D" if batched else "unbatched 2-D"
    names = "hx and cx should" if is_lstm else "hx should"
    if is_lstm:
        raise RuntimeError(f"For {words} input, {names} also be {rank}-D but got ({found}) tensors")
    raise RuntimeError(f"For {words} input, {names} also be {rank}-D but got {found} tensor")


def _dropped(x: Tensor, share: float, lengths: Any) -> Tensor:
    """Drop with the random numbers that PyTorch draws: one for each value of `[T, N, W]`, or of the packed data."""
    if lengths is not None:
        data, sizes = _pack_padded_sequence(x, lengths, False)
        padded: Tensor = _pad_packed_sequence(functional.dropout(data, share), sizes, False, 0.0, -1)[0]
        return padded
    return functional.dropout(x.contiguous(), share)
