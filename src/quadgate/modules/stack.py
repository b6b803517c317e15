"""Layers on top of each other in one or two directions, with the arguments and the results of PyTorch's modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch._VF import _pack_padded_sequence, _pad_packed_sequence
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from quadgate.errors import InputError
from quadgate.kernels.choice import compiled_is_built
from quadgate.modules.sequence import Lengths, lengths_tensor


class Part(NamedTuple):
    """One layer in one direction, as it is to run.

    Attributes:
        suffix: what the names of its parameters end with.
        x: `[T, N, C]`; of a layer that runs behind another, that of the lowest.
        lengths: `[N]`, or None.
        state: the starting state, or None.
        reverse: whether it reads backwards.
        cells: whether the cell states are wanted.
    """

    suffix: str
    x: Tensor
    lengths: Tensor | None
    state: Any
    reverse: bool
    cells: bool


# The outputs, the final state of each part, and the cell states or None. `Beside` runs a layer in each of its
# directions, the outputs side by side; `Behind` all layers, each on the outputs of the one before, or says by None that
# this gains nothing.
Found = tuple[Tensor, Sequence[Any], Tensor | None]
Beside = Callable[[Sequence[Part]], Found]
Behind = Callable[[Sequence[Part]], Found | None]


def run_stack(
    module: Any,
    beside: Beside,
    behind: Behind,
    given: Any,
    hx: Any,
    lengths: Lengths | None,
    cells: bool = False,
) -> Any:
    """Run every layer of a module in each direction, and hand out what `torch.nn` hands out.

    Args:
        module: what the sizes are read off, and whose checks refuse input in PyTorch's words.
        beside: runs one of its layers in each direction.
        behind: runs all of them, where that is faster.
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
    # PyTorch's own checks read the axis of the cases off batch_first.
    shown = packed.data if packed is not None else given if batched else _as_given(module, x, True)
    start = _starting_state(module, shown, hx, packed, batched)
    if x.shape[0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    autocast = torch.is_autocast_enabled(x.device.type)
    lengths = lengths if lengths is None or isinstance(lengths, Tensor) else lengths_tensor(lengths, x.transpose(0, 1))

    directions = ("", "_reverse") if module.bidirectional else ("",)

    def parts_of(k: int, x: Tensor) -> list[Part]:
        places = range(k * len(directions), (k + 1) * len(directions))
        states = [None if start is None else tuple(one[place] for one in start) for place in places]
        want = cells and k == module.num_layers - 1
        return [
            Part(f"_l{k}{direction}", x, lengths, state if is_lstm or state is None else state[0], d == 1, want)
            for d, (direction, state) in enumerate(zip(directions, states, strict=True))
        ]

    found = top_cells = None
    if module.num_layers > 1 and not module.bidirectional and not (module.training and module.dropout):
        found = behind([part for k in range(module.num_layers) for part in parts_of(k, x)])
    finals: list[Any] = []
    if found is not None:
        x, states, _ = found
        finals += states
    else:
        for k in range(module.num_layers):
            if k and module.training and module.dropout:
                x = _dropped(x, module.dropout, lengths if packed is not None else None)
            x, states, top_cells = beside(parts_of(k, x))
            finals += states
    if packed is None:  # else packing them makes the copy
        x, top_cells = _writable(x), top_cells if top_cells is None else _writable(top_cells)
    finals = finals if is_lstm else [(one,) for one in finals]

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
    return result, final_state, _as_given(module, cast(Tensor, top_cells), batched)


def kernels_take(given: Any) -> bool:
    """Tell whether the kernels run this input: in main memory, and nothing that PyTorch refuses or finds empty."""
    if isinstance(given, PackedSequence):
        return given.data.device.type == "cpu" and compiled_is_built()
    return given.device.type == "cpu" and compiled_is_built() and given.dim() in (2, 3) and 0 not in given.shape


def _writable(sequences: Tensor) -> Tensor:
    """Return what the caller may write to, as to PyTorch's outputs, though the way back reads the layer's own."""
    return sequences.clone() if sequences.requires_grad else sequences


def _as_given(module: Any, sequences: Tensor, batched: bool) -> Tensor:
    """Turn `[T, N, ...]` into the caller's order."""
    if not batched:
        return sequences.squeeze(1)
    return sequences.transpose(0, 1) if module.batch_first else sequences


def _starting_state(
    module: Any, shown: Tensor, hx: Any, packed: PackedSequence | None, batched: bool
) -> tuple[Tensor, ...] | None:
    """Return the state `[L*D, N, ...]` of every layer, or None for zero, once PyTorch's checks have passed."""
    is_lstm = module.mode == "LSTM"
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
