"""The recurrence in Triton, for H up to 128: one program runs all steps of a tile of cases.

The weights of the state are loaded once and stay on the multiprocessor, a part for each gate, so that the four products
of a step end in tiles of the same shape and the cell is arithmetic on them. The signature is that of
`quadgate.kernels.gpu.recurrence`. No two programs write to the same place, and none waits for another.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from quadgate.kernels.gpu import triton_kernels
from quadgate.kernels.gpu.recurrence import Kept, Range, Recurrence, Steps

LARGEST = 128
# The product of two tiles has at least 16 rows; with more, the weights are read from shared memory for more cases.
_CASES = 16


def why_not(H: int, dtype: torch.dtype) -> str | None:
    """Say why these kernels cannot run a layer; None where they can.

    >>> why_not(64, torch.float32), why_not(129, torch.float32)
    (None, 'holds all weights on one multiprocessor: H is 129, at most 128 fits')
    """
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return f"computes in float32, bfloat16 or float16, not {str(dtype).removeprefix('torch.')}"
    if H > LARGEST:
        return f"holds all weights on one multiprocessor: H is {H}, at most {LARGEST} fits"
    return None


def filled_up(H: int) -> int:
    """Return the width of a tile that holds H units: a power of two, at least 16.

    >>> filled_up(1), filled_up(64), filled_up(100)
    (16, 64, 128)
    """
    return max(16, 1 << (H - 1).bit_length())


def _launch(H: int, exact: bool) -> dict[str, int | str]:
    HP = filled_up(H)
    # Four warps hold a tile of 16 cases by 64 units; twice the units, twice the warps.
    return {"HP": HP, "CASES": _CASES, "PRECISION": "ieee" if exact else "tf32", "num_warps": 8 if HP > 64 else 4}


def forward(
    z: Tensor, w_h: Tensor, c: Tensor, h: Tensor, lengths: Tensor | None, steps: Range, *,
    forget_bias: float, reverse: bool, keep: Kept | None, exact: bool,
) -> Steps:  # fmt: skip
    """Run the steps; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = *z.shape[:2], w_h.shape[0]
    outputs, c_T, h_T = z.new_empty(N, T, H), torch.empty_like(c), torch.empty_like(h)
    if N:
        triton_kernels.forward[(triton.cdiv(N, _CASES),)](
            z, w_h, c, h, lengths, outputs, c_T, h_T, *(keep or (None, None)), N, T, *steps, forget_bias, H,
            HAS_LENGTHS=lengths is not None, REVERSE=reverse, KEEP=keep is not None, **_launch(H, exact),
        )  # fmt: skip
    return Steps(outputs, c_T, h_T)


def backward(
    w_h: Tensor, kept: Kept, c: Tensor, lengths: Tensor | None, steps: Range,
    d_outputs: Tensor | None, d_c_T: Tensor | None, d_h_T: Tensor | None, *, reverse: bool, exact: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run the steps back; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = kept.cells.shape
    d_z, d_c, d_h = torch.empty_like(kept.gates), torch.empty_like(c), torch.empty_like(c)
    if N:
        triton_kernels.backward[(triton.cdiv(N, _CASES),)](
            w_h.T.contiguous(), *kept, c, lengths, d_outputs, d_c_T, d_h_T, d_z, d_c, d_h, N, T, *steps, H,
            HAS_LENGTHS=lengths is not None, REVERSE=reverse, HAS_OUTPUTS=d_outputs is not None,
            HAS_C=d_c_T is not None, HAS_H=d_h_T is not None, **_launch(H, exact),
        )  # fmt: skip
    return d_z, d_c, d_h


TRITON = Recurrence("Triton", forward, backward)
