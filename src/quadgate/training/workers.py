"""Several processes that train one network together, on PyTorch's own distributed package.

Each has the same network and some of the cases of every batch; DistributedDataParallel adds their gradients up. What
depends on the whole batch (`quadgate.modules.shared_batch`) is made as one process would make it, so the losses are
those of one process, up to the rounding of sums.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from quadgate.errors import InputError, QuadgateError
from quadgate.modules.shared_batch import Share


class LostWorkerError(QuadgateError, RuntimeError):
    """Another process of the run has ended or cannot be reached."""


@dataclass(frozen=True)
class Workers:
    """The processes of a run, as this one sees them.

    Attributes:
        rank: which of them this one is, from 0.
        size: how many they are.

    >>> Workers.here(), Workers(rank=1, size=3).rows(7).tolist()
    (Workers(rank=0, size=1), [1, 4])
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> Workers:
        """Return those of the process group that torchrun, Ray or the caller began; this one alone without it."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def restarted(self) -> bool:
        """Whether torchrun has started the processes again after one of them failed (`--max-restarts`)."""
        return self.size > 1 and restarts() > 0

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes for all."""
        return self.rank == 0

    def rows(self, cases: int) -> Tensor:
        """Return which of the cases of a batch are this process's own; neighbours, which are of like length, differ."""
        return torch.arange(cases)[self.rank :: self.size]

    def share(self, cases: int) -> Share | None:
        """Return this process's share of a batch of so many cases; None where it is the whole."""
        return None if self.size == 1 else Share(self.rows(cases), cases)

    def together(self, module: nn.Module) -> nn.Module:
        """Return the module as one whose gradients are the mean over all processes; alone it stays as it is."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def total(self, *numbers: float) -> tuple[float, ...]:
        """Return the sums over all processes, added in the order of their ranks: the same bits everywhere.

        Raises:
            LostWorkerError: another process does not answer.
        """
        return tuple(sum(self.gathered(number)) for number in numbers)

    def gathered(self, number: float) -> list[float]:
        """Return the numbers of all processes, by rank.

        Raises:
            LostWorkerError: another process does not answer.
        """
        if self.size == 1:
            return [number]
        own = torch.tensor([number], dtype=torch.float64, device=_device())
        found = [torch.empty_like(own) for _ in range(self.size)]
        with lost_workers():
            distributed.all_gather(found, own)
        return [one.item() for one in found]

    def check_same(self, what: str, own: str) -> None:
        """Refuse to train where another process was given something else than the first.

        Raises:
            InputError: names `what` differs.
            LostWorkerError: another process does not answer.
        """
        self.check_all(what, self.told(own.encode) == own.encode())

    def check_all(self, what: str, same: bool) -> None:
        """Refuse on all processes where one of them has not the `same` as the first.

        Raises:
            InputError: names `what` differs.
            LostWorkerError: another process does not answer.
        """
        others = [rank for rank, one in enumerate(self.gathered(float(same))) if not one]
        if others:
            raise InputError(
                f"{what}: process {others[0]} has others than the first; give all processes the same command and files"
            )

    def told(self, answer: Callable[[], bytes], within: timedelta | None = None) -> bytes:
        """Return on all processes what `answer` returns on the first; it is called there alone.

        Args:
            answer: what takes no longer than the process group waits,
            within: or this time, in which the others wait for it.

        Raises:
            InputError: what it raises there, whatever it is.
            LostWorkerError: another process does not answer.
        """
        if self.size == 1:
            return answer()
        said = b""
        refused: BaseException | None = None
        with lost_workers():
            group = None if within is None else distributed.new_group(backend="gloo", timeout=within)
        device = _device() if group is None else torch.device("cpu")
        if self.first:
            try:
                said = answer()
            except BaseException as error:  # the others wait for an answer; it is raised once they have one
                line = " ".join(f"{type(error).__name__} {error}".split())
                told = str(error) if isinstance(error, QuadgateError) else f"the first process was ended by {line}"
                said, refused = told.encode(), error
        head = torch.tensor([len(said), refused is not None], dtype=torch.int64, device=device)
        with lost_workers():
            distributed.broadcast(head, 0, group)
            body = torch.zeros(int(head[0]), dtype=torch.uint8, device=device)
            if self.first:
                body.copy_(torch.frombuffer(bytearray(said), dtype=torch.uint8) if said else body)
            distributed.broadcast(body, 0, group)
            if group is not None:
                distributed.destroy_process_group(group)
        if refused is not None:
            raise refused
        if head[1]:
            raise InputError(body.cpu().numpy().tobytes().decode())
        return body.cpu().numpy().tobytes()


@contextmanager
def lost_workers() -> Iterator[None]:
    """Tell that another process is lost where PyTorch tells of a broken connection.

    Raises:
        LostWorkerError: in place of PyTorch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, QuadgateError) or not _is_of_connection(error):
            raise
        found = " ".join(str(error).split())[:120]
        if "timed out" in found.lower():
            raise LostWorkerError(
                "another process has not come to the same point: all processes of the group make the same calls "
                f"with the same arguments ({found})"
            ) from error
        raise LostWorkerError(f"another process of the run has ended ({found})") from error


@contextmanager
def of_torchrun(device: str = "cpu") -> Iterator[Workers]:
    """Join the processes that `torchrun` has started, for as long as the block runs; alone without it.

    Args:
        device: where training runs: with a GPU each process of a machine takes one of its own.

    Raises:
        InputError: there are fewer GPUs than processes on this machine.
    """
    if "WORLD_SIZE" not in os.environ or "MASTER_ADDR" not in os.environ or distributed.is_initialized():
        yield Workers.here()
        return
    backend, local = "gloo", int(os.environ.get("LOCAL_RANK", "0"))
    if device.startswith("cuda"):
        backend = "cpu:gloo,cuda:nccl"
        if local >= torch.cuda.device_count():
            raise InputError(
                f"device: found {torch.cuda.device_count()} GPUs for process {local + 1} of this machine, expected one "
                "each; give torchrun a lower --nproc-per-node"
            )
        torch.cuda.set_device(local)
    # After a restart the agent's store still has the addresses of the processes before, which are gone: a place of its
    # own for each start (PyTorch 2.13 has one place for all).
    store, rank, size = next(rendezvous("env://"))
    own = PrefixStore(f"start/{restarts()}", store)
    distributed.init_process_group(backend, store=own, rank=rank, world_size=size)
    try:
        yield Workers.here()
    finally:
        distributed.destroy_process_group()


def restarts() -> int:
    """Return how often torchrun has started the processes again after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _device() -> torch.device:
    """Return where what the processes tell each other must lie."""
    return torch.device("cpu" if "gloo" in str(distributed.get_backend_config()) else "cuda")


def _is_of_connection(error: RuntimeError) -> bool:
    return isinstance(error, distributed.DistError) or "gloo/transport" in str(error) or "Connection" in str(error)
