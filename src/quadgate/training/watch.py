"""What a process of a run notices while it waits for the others: that one of them is gone, or that all shall end.

A process that is killed breaks its connections, which PyTorch reports at once. One whose machine or link fails breaks
nothing: the others would wait for half an hour. So each process tells the store of the process group every second that
it lives; and since the thread that trains may be waiting inside PyTorch, another one ends the process.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread
from time import monotonic

from torch import distributed
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from quadgate.training.workers import Workers, restarts

BEAT = 1.0  # seconds from one sign of life to the next
LOST = 15.0  # seconds without one after which a process counts as lost
LEAVE = 1  # the exit code of a process that gives up
TOLD = "told to, by torchrun or because another process has ended"
OVER = "over"
GO_ON = "the run is whole up to its last checkpoint: go on with the same command, --out RUN and --resume"


@contextmanager
def watched(workers: Workers) -> Iterator[None]:
    """Watch the other processes while the block runs, and end this one where another is lost or torchrun says so."""
    if workers.size == 1:
        yield
        return
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(host, port, is_master=False, timeout=timedelta(seconds=LOST))
    watch = _Watch(workers, store, _leave)
    store.set(watch.key(workers.rank), "0")
    distributed.barrier()  # from here on all have a sign of life in the store
    watch.begin()
    with _signals() as told:
        beat = Thread(target=watch.beat, daemon=True)
        beat.start()
        Thread(target=watch.judge, args=(told,), daemon=True).start()
        try:
            yield
        except BaseException:
            watch.over.set()
            raise
        watch.end(beat)


class _Watch:
    """The signs of life of the processes that this one looks at: the first looks at all, the others at the first."""

    def __init__(self, workers: Workers, store: Store, leave: Callable[[Workers, str], None]) -> None:
        self.workers, self.store, self.leave = workers, store, leave
        self.over = Event()
        self.begin()

    def begin(self) -> None:
        """Begin to count from now."""
        self.asked = monotonic()  # when the store last answered
        looked_at = range(1, self.workers.size) if self.workers.first else [0]
        self.seen = dict.fromkeys(looked_at, ("", self.asked))

    def key(self, rank: int) -> str:
        """Return where a process's sign of life stands; each start by torchrun has its own."""
        return f"quadgate/{restarts()}/alive/{rank}"

    def beat(self) -> None:
        """Give signs of life, and note those of others; the store may keep this thread waiting."""
        number = 0
        while not self.over.wait(BEAT):
            number += 1
            try:
                self.store.set(self.key(self.workers.rank), str(number))
                for rank, (before, _) in list(self.seen.items()):
                    sign = self.store.get(self.key(rank)).decode()
                    if sign != before:
                        self.seen[rank] = sign, monotonic()
            except RuntimeError:
                continue  # how long it has not answered is judged by the other thread
            self.asked = monotonic()

    def end(self, beat: Thread) -> None:
        """Say that there will be no more signs of life, after the last of them."""
        self.over.set()
        beat.join(LOST)
        with suppress(RuntimeError):  # the store may have gone with the first process
            self.store.set(self.key(self.workers.rank), OVER)

    def judge(self, told: int) -> None:
        """End the process when it is told to (a byte on `told`), or when a sign of life is overdue."""
        while not self.over.is_set():
            if select.select([told], [], [], BEAT)[0] and signal.SIGTERM in os.read(told, 64):
                self.leave(self.workers, TOLD)
                return
            now = monotonic()
            if now - self.asked > LOST:
                where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
                self.leave(self.workers, f"process 0 at {where} has not answered for {LOST:.0f} s")
                return
            for rank, (sign, seen) in list(self.seen.items()):
                if sign != OVER and now - seen > LOST:
                    self.leave(self.workers, f"process {rank} has given no sign of life for {LOST:.0f} s")
                    return


@contextmanager
def _signals() -> Iterator[int]:
    """Give what a byte can be read from as soon as a signal arrives, whatever the main thread is waiting for."""
    told, tell = os.pipe()  # as long as the process lives: a thread may still be reading
    os.set_blocking(tell, False)
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    try:
        yield told
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGTERM, handler)


def _leave(workers: Workers, why: str) -> None:
    """Say why, and end the process from whatever thread: every file is put in its place whole, none is half written."""
    what = f"process {workers.rank} of {workers.size} on {socket.gethostname()} (pid {os.getpid()})"
    sys.stderr.write(f"error: {what} stops: {why}; {GO_ON}\n")
    sys.stderr.flush()
    os._exit(LEAVE)
