"""Memory for what a training step keeps for its way back, used again from step to step.

Tens of megabytes are wanted at every step and given back at its end. From the system they would come as new pages each
time, and filling those with zeros takes a fifth of a step. So blocks that were given back are kept for the next step,
never more in all than once were in use at the same time, and marked as memory that the system may take whenever it
is short of it (`MADV_FREE`): an idle process holds on to nothing that another one needs.
"""

from __future__ import annotations

import mmap
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WORTH_IT = 1 << 20  # bytes; smaller blocks come from the allocator, which has them at hand
_REUSE = all(hasattr(mmap, name) for name in ("MADV_FREE", "MAP_PRIVATE", "MAP_ANONYMOUS"))
_REAL: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


class _Blocks:
    """Blocks in use and free ones.

    Lists and dictionaries are changed by single operations only: a block may come back in any thread and, from the
    garbage collector, in the middle of any line.
    """

    def __init__(self) -> None:
        self.used: dict[int, int] = {}  # bytes by the block's identity
        self.free: list[mmap.mmap] = []  # the longest free first
        self.most = 0  # bytes that were in use at once

    def take(self, size: int) -> mmap.mmap:
        used = sum(list(self.used.values()))
        most = max(self.most, used + size)
        for block in list(self.free):
            if size <= len(block) <= size + size // 4 and self._withdrawn(block):
                break
        else:
            self._leave(most - used - size)
            block = self._new(size)
        self.most = max(self.most, most)
        self.used[id(block)] = len(block)
        return block

    def give_back(self, block: mmap.mmap) -> None:
        self.used.pop(id(block), None)
        with suppress(OSError):  # of memory that is locked, or where the system has no such advice
            block.madvise(mmap.MADV_FREE)
        self.free.append(block)

    def _new(self, size: int) -> mmap.mmap:
        """Ask the system for a block; where it has none, part with the free ones first.

        Raises:
            MemoryError: it has none even then.
        """
        for last in (False, True):
            try:
                return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError as error:
                if last:
                    raise MemoryError(f"not enough memory: a training step keeps {size:,} bytes") from error
                self.free.clear()
        raise AssertionError

    def _leave(self, size: int) -> None:
        """Part with free blocks until those that stay have `size` bytes at most."""
        for block in list(self.free):
            if sum(map(len, list(self.free))) <= size:
                break
            self._withdrawn(block)

    def _withdrawn(self, block: mmap.mmap) -> bool:
        """Take a block off the free ones, if no other thread did."""
        try:
            self.free.remove(block)
        except ValueError:
            return False
        return True


_blocks = _Blocks()


def reserve(count: int, like: Tensor) -> Tensor:
    """Return `count` numbers of any value, of the type of a tensor in main memory.

    >>> reserve(3, torch.zeros(1, dtype=torch.float64)).shape
    torch.Size([3])
    """
    real = _REAL[like.dtype]
    if not _REUSE or count * real.itemsize < _WORTH_IT:
        return like.new_empty(count)
    block = _blocks.take(count * real.itemsize)
    numbers: NDArray[Any] = np.frombuffer(block, real, count)
    weakref.finalize(numbers, _blocks.give_back, block).atexit = False
    return torch.from_numpy(numbers)
