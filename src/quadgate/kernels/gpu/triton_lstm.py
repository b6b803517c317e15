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

# The product of two tiles has at least 16 rows; with more, the weights are read from shared memory for more cases.
_CASES = 16
# The shared memory that the way back takes (the way forward takes less), by the width of a tile and the bytes of a
# number: what Triton 3.9 asks for compute capability 9.0, of `benchmarks/gpu/triton_resources.py`.
_SHARED = {
    (16, 2): 12288, (32, 2): 28672, (64, 2): 73728, (128, 2): 208896, (16, 4): 19456, (32, 4): 47104, (64, 4): 126976,
}  # fmt: skip


def why_not(H: int, dtype: torch.dtype, shared_memory: int | None = None) -> str | None:
    """Say why these kernels cannot run a layer; None where they can.

    Args:
        H: units.
        dtype: of x and the weights.
        shared_memory: how many bytes of it a program may have on the GPU, or None where that is not known.

    >>> why_not(64, torch.float32), why_not(65, torch.float32)
    (None, 'keeps all weights on one multiprocessor: in float32 at most 64 units fit, not 65')
    """
    name = str(dtype).removeprefix("torch.")
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return f"computes in float32, bfloat16 or float16, not {name}"
    most = max(HP for HP, size in _SHARED if size == dtype.itemsize)
    if most < H:
        return f"keeps all weights on one multiprocessor: in {name} at most {most} units fit, not {H}"
    needed = _SHARED[filled_up(H), dtype.itemsize]
    if shared_memory is not None and needed > shared_memory:
        return f"needs {needed} bytes of shared memory for {H} units in {name}, this GPU has {shared_memory}"
    return None


def filled_up(H: int) -> int:
    """Return the width of a tile that holds H units: a power of two, at least 16.

    >>> filled_up(1), filled_up(64), filled_up(100)
    (16, 64, 128)
    """
    return max(16, 1 << (H - 1).bit_length())


def _launch(H: int, exact: bool) -> dict[str, int | str]:
    HP = filled_up(H)
    # With four warps, a tile of 64 units spills its registers in float32, and one of 128 in the narrow types.
    return {
        "HP": HP,
        "CASES": _CASES,
        "PRECISION": "ieee" if exact else "tf32",
        "num_warps": 4 if HP < 64 else 8,
        "enable_fp_fusion": True,
    }


def forward(
    z: Tensor, w_h: Tensor, c: Tensor, h: Tensor, lengths: Tensor | None, steps: Range, *,
    forget_bias: float, reverse: bool, keep: Kept | None, exact: bool, outputs: Tensor | None = None,
) -> Steps:  # fmt: skip
    """Run the steps; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = *z.shape[:2], w_h.shape[0]
    outputs = z.new_empty(N, T, H) if outputs is None else outputs
    c_T, h_T = torch.empty_like(c), torch.empty_like(h)
    if N:
        triton_kernels.forward[(triton.cdiv(N, _CASES),)](
            z, w_h, c, h, lengths, outputs, c_T, h_T, *(keep or (None, None)), N, T, *steps, forget_bias, H,
            HAS_LENGTHS=lengths is not None, REVERSE=reverse, KEEP=keep is not None, **_launch(H, exact),
        )  # fmt: skip
    return Steps(outputs, c_T, h_T)


def backward(
    w_h: Tensor, kept: Kept, c: Tensor, lengths: Tensor | None, steps: Range,
    d_outputs: Tensor | None, d_c_T: Tensor | None, d_h_T: Tensor | None, *, reverse: bool, exact: bool,
    d_z: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run the steps back; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = kept.cells.shape
    d_z = torch.empty_like(kept.gates) if d_z is None else d_z
    d_c, d_h = torch.empty_like(c), torch.empty_like(c)
    if N:
        triton_kernels.backward[(triton.cdiv(N, _CASES),)](
            w_h.T.contiguous(), *kept, c, lengths, d_outputs, d_c_T, d_h_T, d_z, d_c, d_h, N, T, *steps, H,
            HAS_LENGTHS=lengths is not None, REVERSE=reverse, HAS_OUTPUTS=d_outputs is not None,
            HAS_C=d_c_T is not None, HAS_H=d_h_T is not None, **_launch(H, exact),
        )  # fmt: skip
    return d_z, d_c, d_h


TRITON = Recurrence("Triton", forward, backward)
