"""What is drawn by chance while a network is made and trained follows from its seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

# PyTorch draws dropout from one generator for the whole process (and one for each GPU): fits in several threads of a
# process take turns at it, epoch by epoch.
_TURN = RLock()


@contextmanager
def drawn_from(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw from `seed` within, on the CPU and on `device` where it is a GPU; the caller's generators stay as they are.

    >>> before = torch.get_rng_state()
    >>> with drawn_from(7):
    ...     first = torch.rand(3)
    >>> with drawn_from(7):
    ...     assert torch.equal(torch.rand(3), first)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """
    on_gpu = device is not None and device.type == "cuda"
    with _TURN, torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed those of all GPUs
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
