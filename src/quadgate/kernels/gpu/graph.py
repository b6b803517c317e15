"""The recurrence step by step, for any H: a product of PyTorch's and one Triton kernel a step, in a CUDA graph.

A graph runs what it recorded, on the memory that it recorded, without a launch from the host for each step. It is
recorded for a number of steps at a time, over buffers that the sequences are copied into and out of, so that one graph
serves every T, lengths and direction. The signature is that of `quadgate.kernels.gpu.recurrence`.

Where another graph is being recorded (`torch.cuda.graph`, `torch.compile(mode="reduce-overhead")`), the steps are
recorded into that one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import torch
import triton
from torch import Tensor

from quadgate.kernels.gpu import triton_kernels
from quadgate.kernels.gpu.precision import float32_products
from quadgate.kernels.gpu.recurrence import Kept, Range, Recurrence, Steps

STEPS = (64, 8)
"""Steps of the graphs: so many that the copies around one, three or four launches, are few beside its 128 kernels; and
few, for what is left at the end."""
_BLOCK = 256
_MOST_BYTES = 2**30  # of the buffers that are remembered

Chunk = TypeVar("Chunk", "_Forward", "_Backward")


class _Forward:
    """The buffers of a number of steps in the order in which they are read, and the launches over them."""

    def __init__(self, like: Tensor, steps: int, N: int, H: int, forget_bias: float, keep: bool) -> None:
        self.steps, self.count, self.H, self.forget_bias, self.keep = steps, N * H, H, forget_bias, keep
        self.lengths, self.first = _whole_numbers(like, N), _whole_numbers(like, 1)
        self.w_h = like.new_zeros(H, 4 * H)
        self.c, self.h = _float32(like, N, H), like.new_zeros(N, H)
        self.z, self.z_h = like.new_zeros(steps, N, 4 * H), like.new_zeros(N, 4 * H)
        self.outputs = like.new_zeros(steps, N, H)
        cases = N if keep else 0  # where nothing is kept, nothing is written there
        self.kept = Kept(like.new_zeros(steps, cases, 4 * H), _float32(like, steps, cases, H))

    def launch(self) -> None:
        """Run every step."""
        for k in range(self.steps):
            torch.mm(self.h, self.w_h, out=self.z_h)
            triton_kernels.step[(triton.cdiv(self.count, _BLOCK),)](
                self.z[k], self.z_h, self.c, self.h, self.outputs[k], self.kept.gates[k], self.kept.cells[k],
                self.lengths, self.first, k, self.count, self.forget_bias, self.H, KEEP=self.keep, BLOCK=_BLOCK,
                enable_fp_fusion=True,
            )  # fmt: skip


class _Backward:
    """The same for the way back."""

    def __init__(self, like: Tensor, steps: int, N: int, H: int) -> None:
        self.steps, self.count, self.H = steps, N * H, H
        self.lengths, self.first = _whole_numbers(like, N), _whole_numbers(like, 1)
        self.w_t = like.new_zeros(4 * H, H)
        self.d_c, self.d_h, self.carried = _float32(like, N, H), like.new_zeros(N, H), like.new_zeros(N, H)
        self.kept = Kept(like.new_zeros(steps, N, 4 * H), _float32(like, steps, N, H))
        self.before = _float32(like, steps, N, H)
        self.d_outputs, self.d_z = like.new_zeros(steps, N, H), like.new_zeros(steps, N, 4 * H)

    def launch(self) -> None:
        """Run every step back."""
        for k in reversed(range(self.steps)):
            triton_kernels.step_back[(triton.cdiv(self.count, _BLOCK),)](
                self.kept.gates[k], self.kept.cells[k], self.before[k], self.d_outputs[k], self.d_z[k], self.d_c,
                self.d_h, self.carried, self.lengths, self.first, k, self.count, self.H, BLOCK=_BLOCK,
                enable_fp_fusion=True,
            )  # fmt: skip
            torch.addmm(self.carried, self.d_z[k], self.w_t, out=self.d_h)


def _whole_numbers(like: Tensor, *shape: int) -> Tensor:
    return like.new_zeros(*shape, dtype=torch.int32)


def _float32(like: Tensor, *shape: int) -> Tensor:
    return like.new_zeros(*shape, dtype=torch.float32)


@dataclass
class _Recorded(Generic[Chunk]):
    """A chunk, what runs it, and who may: one caller at a time, since all write to its buffers."""

    chunk: Chunk
    run: Callable[[], None]
    lock: AbstractContextManager[Any]

    @property
    def size(self) -> int:
        """The bytes of the buffers."""
        tensors = (one for one in (*vars(self.chunk).values(), *self.chunk.kept) if isinstance(one, Tensor))
        return sum(one.nbytes for one in tensors)


def _record(chunk: Chunk, device: torch.device) -> _Recorded[Chunk]:
    if device.type != "cuda":
        return _Recorded(chunk, chunk.launch, Lock())
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        chunk.launch()  # compiles, and lets cuBLAS take its memory for this stream, which no recording may
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on meanwhile: those that load data copy to the GPU.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        chunk.launch()

    def replay() -> None:
        graph.replay()

    return _Recorded(chunk, replay, Lock())


_remembered: OrderedDict[tuple[Any, ...], _Recorded[Any]] = OrderedDict()
_lock = Lock()


def forget() -> None:
    """Give the memory of all graphs back; the next call records anew."""
    with _lock:
        _remembered.clear()


def _recorded(make: Callable[..., Chunk], like: Tensor, *sizes: Any, exact: bool) -> _Recorded[Chunk]:
    """Return the buffers for a type, sizes and stream, and what runs over them.

    What was used last is remembered, up to a number of bytes. Within a recording of the caller's nothing is: there the
    buffers are part of it.
    """
    device, stream = like.device, 0
    if device.type == "cuda":
        stream = torch.cuda.current_stream(device).cuda_stream
        if torch.cuda.is_current_stream_capturing():
            chunk = make(like.new_empty(0), *sizes)
            return _Recorded(chunk, chunk.launch, nullcontext())
    # By stream: two that run at the same time must not share buffers.
    key = (make, sizes, exact, like.dtype, device, stream)
    with _lock:
        if key not in _remembered:
            with torch.inference_mode(False), torch.no_grad(), float32_products(exact):
                _remembered[key] = _record(make(torch.empty(0, dtype=like.dtype, device=device), *sizes), device)
            while len(_remembered) > 1 and sum(one.size for one in _remembered.values()) > _MOST_BYTES:
                _remembered.popitem(last=False)
        _remembered.move_to_end(key)
        return _remembered[key]


def _ranges(start: int, stop: int) -> list[tuple[int, int]]:
    """Cut the steps into chunks: the first step of each, and how many its graph has; the last may have too many."""
    large, small = STEPS
    found = [(first, large) for first in range(start, stop - large + 1, large)]
    rest = start + large * len(found)
    return found + [(first, small) for first in range(rest, stop, small)]


def _places(first: int, stop: int, T: int, lengths: Tensor | None, reverse: bool, device: torch.device) -> Tensor:
    """Return the position `[N or 1, S]` of each of some steps; past the end of a case, that of the step itself."""
    s = torch.arange(first, stop, device=device)[None]
    if not reverse:
        return s
    return T - 1 - s if lengths is None else torch.where(s < lengths[:, None], lengths[:, None] - 1 - s, s)


def forward(
    z: Tensor, w_h: Tensor, c: Tensor, h: Tensor, lengths: Tensor | None, steps: Range, *,
    forget_bias: float, reverse: bool, keep: Kept | None, exact: bool, outputs: Tensor | None = None,
) -> Steps:  # fmt: skip
    """Run the steps; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = *z.shape[:2], w_h.shape[0]
    outputs = z.new_empty(N, T, H) if outputs is None else outputs
    if not N:
        return Steps(outputs, c.clone(), h.clone())
    cases = torch.arange(N, device=z.device)[:, None]
    for first, size in _ranges(*steps):
        places = _places(first, min(first + size, steps[1]), T, lengths, reverse, z.device)
        recorded = _recorded(_Forward, z, size, N, H, forget_bias, keep is not None, exact=exact)
        with recorded.lock:
            chunk, S = recorded.chunk, places.shape[1]
            for buffer, value in ((chunk.w_h, w_h), (chunk.c, c), (chunk.h, h)):
                buffer.copy_(value)
            _end(chunk.lengths, lengths, steps[1])
            chunk.first.fill_(first)
            chunk.z[:S] = z[cases, places].transpose(0, 1)
            recorded.run()
            for whole, part in zip((outputs, *(keep or ())), (chunk.outputs, *chunk.kept), strict=False):
                whole[cases, places] = part[:S].transpose(0, 1)
            c, h = chunk.c.clone(), chunk.h.clone()
    return Steps(outputs, c, h) if steps[1] > steps[0] else Steps(outputs, c.clone(), h.clone())


def _end(buffer: Tensor, lengths: Tensor | None, stop: int) -> None:
    """Let every case end at the last step that is asked for: the last chunk may have more."""
    buffer.fill_(stop) if lengths is None else torch.clamp(lengths, max=stop, out=buffer)


def backward(
    w_h: Tensor, kept: Kept, c: Tensor, lengths: Tensor | None, steps: Range,
    d_outputs: Tensor | None, d_c_T: Tensor | None, d_h_T: Tensor | None, *, reverse: bool, exact: bool,
    d_z: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run the steps back; see `quadgate.kernels.gpu.recurrence`."""
    gates, cells = kept
    N, T, H = cells.shape
    d_z = torch.empty_like(gates) if d_z is None else d_z
    if not N:
        return d_z, torch.zeros_like(c), torch.zeros_like(c)
    cases = torch.arange(N, device=cells.device)[:, None]
    d_c = torch.zeros_like(c) if d_c_T is None else d_c_T.clone()
    d_h = gates.new_zeros(N, H) if d_h_T is None else d_h_T.to(gates.dtype, copy=True)
    for first, size in reversed(_ranges(*steps)):
        places = _places(first, min(first + size, steps[1]), T, lengths, reverse, cells.device)
        recorded = _recorded(_Backward, gates, size, N, H, exact=exact)
        with recorded.lock:
            chunk, S = recorded.chunk, places.shape[1]
            for buffer, value in ((chunk.w_t, w_h.T), (chunk.d_c, d_c), (chunk.d_h, d_h)):
                buffer.copy_(value)
            _end(chunk.lengths, lengths, steps[1])
            chunk.first.fill_(first)
            chunk.kept.gates[:S] = gates[cases, places].transpose(0, 1)
            chunk.kept.cells[:S] = cells[cases, places].transpose(0, 1)
            chunk.before[1:S] = chunk.kept.cells[: S - 1]
            if first == steps[0]:
                chunk.before[0] = c
            else:
                last = _places(first - 1, first, T, lengths, reverse, cells.device)
                chunk.before[0] = cells[cases, last][:, 0]
            if d_outputs is None:
                chunk.d_outputs.zero_()
            else:
                chunk.d_outputs[:S] = d_outputs[cases, places].transpose(0, 1)
            recorded.run()
            d_z[cases, places] = chunk.d_z[:S].transpose(0, 1)
            d_c, d_h = chunk.d_c.clone(), chunk.d_h.clone()
    return d_z, d_c, d_h.float()


GRAPH = Recurrence("graph", forward, backward)
