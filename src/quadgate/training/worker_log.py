"""What each of several processes did, in a file of its own in the run folder: `logs/worker-RANK.log`."""

from __future__ import annotations

import os
import platform
import traceback
from datetime import datetime
from pathlib import Path
from types import TracebackType

import torch

from quadgate.training.history import Epoch
from quadgate.training.loop import Callback
from quadgate.training.workers import Workers, restarts

LOGS = "logs"


class WorkerLog(Callback):
    """Write when the process began, each epoch, and how it ended; use it as a context."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        self.file = folder / LOGS / f"worker-{workers.rank}.log"
        self.workers = workers

    def __enter__(self) -> WorkerLog:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        what = f"process {self.workers.rank} of {self.workers.size} on {platform.node()}, pid {os.getpid()}"
        threads = torch.get_num_threads()
        self.write(f"{what}, {threads} threads, torch {torch.__version__}, restarted {restarts()} times")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write("over" if kind is None else "".join(traceback.format_exception(kind, error, trace)).rstrip())

    def on_epoch(self, record: Epoch) -> None:
        """Write the loss and the time of the epoch."""
        self.write(f"{record.stage} epoch {record.epoch}: loss {record.train_loss:.6f}, {record.seconds:.2f} s")

    def write(self, text: str) -> None:
        """Add a line with the time; it is on its way to the disk when this returns."""
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='milliseconds')} {text}\n")
