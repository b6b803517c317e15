"""The recurrence step by step, for any H: a product of PyTorch's and one Triton kernel a step, in a CUDA graph.

A graph runs what it recorded, on the memory that it recorded, without a launch from the host for each step. It is
recorded for a number of steps at a time, over buffers that the sequences are copied into and out of, so that one graph
serves every T, lengths and direction. The signature is that of `quadgate.kernels.gpu.recurrence`.

Where another graph is being recorded (`torch.cuda.graph`, `torch.compile(mode="reduce-overhead")`), the steps are
recorded into that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import torch
import triton
from torch import Tensor

from quadgate.kernels.gpu import triton_kernels
from quadgate.kernels.gpu.recurrence import Kept, Range, Recurrence, Steps

STEPS = 64
"""Steps of a graph: enough that the copies around it, three or four launches, are few beside its 128 kernels."""
_BLOCK = 256
_GRAPHS = 16  # that are remembered, each with its buffers


Chunk = TypeVar("Chunk", "_Forward", "_Backward")


class _Forward:
    """The buffers of `STEPS` steps in the order in which they are read, and the launches over them."""

    def __init__(self, like: Tensor, N: int, H: int, forget_bias: float, keep: bool) -> None:
        self.count, self.H, self.forget_bias, self.keep = N * H, H, forget_bias, keep
        self.lengths, self.first = _whole_numbers(like, N), _whole_numbers(like, 1)
        self.w_h = like.new_zeros(H, 4 * H)
        self.c, self.h = _float32(like, N, H), like.new_zeros(N, H)
        self.z, self.z_h = like.new_zeros(STEPS, N, 4 * H), like.new_zeros(N, 4 * H)
        self.outputs = like.new_zeros(STEPS, N, H)
        cases = N if keep else 0  # where nothing is kept, nothing is written there
        self.kept = Kept(like.new_zeros(STEPS, cases, 4 * H), _float32(like, STEPS, cases, H))

    def launch(self) -> None:
        """Run every step."""
        for k in range(STEPS):
            torch.mm(self.h, self.w_h, out=self.z_h)
            triton_kernels.step[(triton.cdiv(self.count, _BLOCK),)](
                self.z[k], self.z_h, self.c, self.h, self.outputs[k], self.kept.gates[k], self.kept.cells[k],
                self.lengths, self.first, k, self.count, self.forget_bias, self.H, KEEP=self.keep, BLOCK=_BLOCK,
            )  # fmt: skip


class _Backward:
    """The same for the way back."""

    def __init__(self, like: Tensor, N: int, H: int) -> None:
        self.count, self.H = N * H, H
        self.lengths, self.first = _whole_numbers(like, N), _whole_numbers(like, 1)
        self.w_t = like.new_zeros(4 * H, H)
        self.d_c, self.d_h, self.carried = _float32(like, N, H), like.new_zeros(N, H), like.new_zeros(N, H)
        self.kept = Kept(like.new_zeros(STEPS, N, 4 * H), _float32(like, STEPS, N, H))
        self.before = _float32(like, STEPS, N, H)
        self.d_outputs, self.d_z = like.new_zeros(STEPS, N, H), like.new_zeros(STEPS, N, 4 * H)

    def launch(self) -> None:
        """Run every step back."""
        for k in reversed(range(STEPS)):
            triton_kernels.step_back[(triton.cdiv(self.count, _BLOCK),)](
                self.kept.gates[k], self.kept.cells[k], self.before[k], self.d_outputs[k], self.d_z[k], self.d_c,
                self.d_h, self.carried, self.lengths, self.first, k, self.count, self.H, BLOCK=_BLOCK,
            )  # fmt: skip
            torch.addmm(self.carried, self.d_z[k], self.w_t, out=self.d_h)


def _whole_numbers(like: Tensor, *shape: int) -> Tensor:
    return like.new_zeros(*shape, dtype=torch.int32)


def _float32(like: Tensor, *shape: int) -> Tensor:
    return like.new_zeros(*shape, dtype=torch.float32)


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _recorded(launch: Callable[[], None], device: torch.device) -> Callable[[], None]:
    if device.type != "cuda":
        return launch
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        launch()  # compiles, and lets cuBLAS take its memory, which no recording may
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on meanwhile: those that load data copy to the GPU.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        launch()

    def replay() -> None:
        graph.replay()

    return replay


@lru_cache(maxsize=_GRAPHS)
def _remembered(
    make: Callable[..., Chunk], sizes: tuple[Any, ...], exact: bool, dtype: torch.dtype, where: tuple[Any, int]
) -> tuple[Chunk, Callable[[], None]]:
    # By stream: two that run at the same time must not share buffers.
    chunk = make(torch.empty(0, dtype=dtype, device=where[0]), *sizes)
    with _tf32(not exact):
        return chunk, _recorded(chunk.launch, where[0])


def _chunk(make: Callable[..., Chunk], like: Tensor, *sizes: Any, exact: bool) -> tuple[Chunk, Callable[[], None]]:
    """Return the buffers for a type, sizes and stream, and what runs over them."""
    device, stream, recording = like.device, 0, False
    if device.type == "cuda":
        stream = torch.cuda.current_stream(device).cuda_stream
        recording = torch.cuda.is_current_stream_capturing()
    chunk, run = _remembered(make, sizes, exact, like.dtype, (device, stream))
    return chunk, chunk.launch if recording else run


def _places(first: int, stop: int, T: int, lengths: Tensor | None, reverse: bool, device: torch.device) -> Tensor:
    """Return the position `[N or 1, S]` of each step of a chunk; past the end of a case, that of the step itself."""
    s = torch.arange(first, min(first + STEPS, stop), device=device)[None]
    if not reverse:
        return s
    return T - 1 - s if lengths is None else torch.where(s < lengths[:, None], lengths[:, None] - 1 - s, s)


def forward(
    z: Tensor, w_h: Tensor, c: Tensor, h: Tensor, lengths: Tensor | None, steps: Range, *,
    forget_bias: float, reverse: bool, keep: Kept | None, exact: bool,
) -> Steps:  # fmt: skip
    """Run the steps; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = *z.shape[:2], w_h.shape[0]
    outputs = z.new_empty(N, T, H)
    if not N:
        return Steps(outputs, c.clone(), h.clone())
    chunk, run = _chunk(_Forward, z, N, H, forget_bias, keep is not None, exact=exact)
    start, stop = steps
    for buffer, value in ((chunk.w_h, w_h), (chunk.c, c), (chunk.h, h)):
        buffer.copy_(value)
    # A chunk may reach past the last step: there every case has ended.
    chunk.lengths.fill_(stop) if lengths is None else torch.clamp(lengths, max=stop, out=chunk.lengths)
    cases = torch.arange(N, device=z.device)[:, None]
    for first in range(start, stop, STEPS):
        places = _places(first, stop, T, lengths, reverse, z.device)
        S = places.shape[1]
        chunk.first.fill_(first)
        chunk.z[:S] = z[cases, places].transpose(0, 1)
        run()
        for whole, part in zip((outputs, *(keep or ())), (chunk.outputs, *chunk.kept), strict=False):
            whole[cases, places] = part[:S].transpose(0, 1)
    return Steps(outputs, chunk.c.clone(), chunk.h.clone())


def backward(
    w_h: Tensor, kept: Kept, c: Tensor, lengths: Tensor | None, steps: Range,
    d_outputs: Tensor | None, d_c_T: Tensor | None, d_h_T: Tensor | None, *, reverse: bool, exact: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run the steps back; see `quadgate.kernels.gpu.recurrence`."""
    gates, cells = kept
    N, T, H = cells.shape
    d_z = torch.empty_like(gates)
    if not N:
        return d_z, torch.zeros_like(c), torch.zeros_like(c)
    chunk, run = _chunk(_Backward, gates, N, H, exact=exact)
    start, stop = steps
    chunk.w_t.copy_(w_h.T)
    for buffer, value in ((chunk.d_c, d_c_T), (chunk.d_h, d_h_T)):
        buffer.zero_() if value is None else buffer.copy_(value)
    chunk.lengths.fill_(stop) if lengths is None else torch.clamp(lengths, max=stop, out=chunk.lengths)
    cases = torch.arange(N, device=cells.device)[:, None]
    for first in reversed(range(start, stop, STEPS)):
        places = _places(first, stop, T, lengths, reverse, cells.device)
        S = places.shape[1]
        chunk.first.fill_(first)
        chunk.kept.gates[:S] = gates[cases, places].transpose(0, 1)
        chunk.kept.cells[:S] = cells[cases, places].transpose(0, 1)
        chunk.before[1:S] = chunk.kept.cells[: S - 1]
        if first == start:
            chunk.before[0] = c
        else:
            last = _places(first - 1, first, T, lengths, reverse, cells.device)
            chunk.before[0] = cells[cases, last][:, 0]
        if d_outputs is None:
            chunk.d_outputs.zero_()
        else:
            chunk.d_outputs[:S] = d_outputs[cases, places].transpose(0, 1)
        run()
        d_z[cases, places] = chunk.d_z[:S].transpose(0, 1)
    return d_z, chunk.d_c.clone(), chunk.d_h.float()


GRAPH = Recurrence("graph", forward, backward)
