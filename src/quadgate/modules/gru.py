"""`GRU` and `GRUCell`: PyTorch's own classes, run by quadgate; see `quadgate.modules.lstm`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from quadgate.modules.gru_operator import gru
from quadgate.modules.sequence import Lengths
from quadgate.modules.stack import kernels_take, run_stack

_TORCH_FORWARD: Any = nn.GRU.forward


class GRU(nn.RNNBase):
    """`torch.nn.GRU` on quadgate's kernels: the same parameters, arguments and results, and `lengths`.

    Args:
        *args: as `torch.nn.GRU`.
        **kwargs: as `torch.nn.GRU`.

    >>> import torch
    >>> layer = GRU(12, 64, batch_first=True)
    >>> layer.load_state_dict(nn.GRU(12, 64, batch_first=True).state_dict())
    <All keys matched successfully>
    >>> outputs, h = layer(torch.zeros(2, 7, 12), lengths=[7, 3])
    >>> tuple(outputs.shape), tuple(h.shape), bool(outputs[1, 3:].any())
    ((2, 7, 64), (1, 2, 64), False)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 (PyTorch's name)
        hx: Tensor | None = None,
        lengths: Lengths | None = None,
    ) -> Any:
        """Run over `input [T, N, C]`, `[N, T, C]` with `batch_first`, `[T, C]`, or a PackedSequence.

        Args:
            input: the sequences.
            hx: the starting `h [L*D, N, H]`; zero where there is none.
            lengths: `[N]`, the number of steps of each case; past it the outputs are zero, and nothing is read.

        Returns:
            The outputs and the final h, as `torch.nn.GRU` does.

        Raises:
            RuntimeError, ValueError: as `torch.nn.GRU`.
            InputError: lengths that do not fit, or that are given beside a PackedSequence.
        """
        if not kernels_take(input) and lengths is None:
            return _TORCH_FORWARD(self, input, hx)
        return run_stack(self, self._layer, input, hx, lengths)

    def _layer(
        self, suffix: str, x: Tensor, lengths: Tensor | None, h: Tensor | None, reverse: bool, _: bool
    ) -> tuple[Tensor, Tensor, None]:
        """Run one layer in one direction over `x [T, N, C]`."""
        outputs, h = gru(
            x,
            getattr(self, f"weight_ih{suffix}"),
            getattr(self, f"bias_ih{suffix}") if self.bias else None,
            h,
            lengths,
            recurrent_kernel=getattr(self, f"weight_hh{suffix}"),
            recurrent_bias=getattr(self, f"bias_hh{suffix}") if self.bias else None,
            reverse=reverse,
            time_major=True,
        )
        return outputs, h, None


class GRUCell(nn.GRUCell):
    """`torch.nn.GRUCell` as it is: one step is not worth packing the weights for a kernel."""
