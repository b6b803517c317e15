"""What training from the disk costs against training from memory, and what memory it takes.

`python benchmarks/large_data.py FOLDER [--gigabytes 4]` packs a set of series of 820 steps and 12 channels into FOLDER,
trains the network of one cell (kernel 76x256) on it for an epoch, and removes the set. Where the system has memory
groups (cgroups) that may be made, all processes together are held to 1.5 GB, which counts the pages that the system
keeps of their files too; else their peaks are told alone. In between, the same steps are taken on cases held in memory,
while the process that reads is stopped, so that it gets no head start: what is compared was measured in the same
minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch

from quadgate.data import Sequences
from quadgate.data.parquet import ParquetSet, Part, pack, statistics_of
from quadgate.training import Settings
from quadgate.training.blueprint import Blueprint
from quadgate.training.checkpoint import Position, State
from quadgate.training.loop import make_optimizer, train_step

T, C, CLASSES = 820, 12, 2
LIMIT = 1536 * 2**20
SEGMENT = 80  # steps from the disk between two stretches from memory
STRETCH = 16  # steps
HELD = 2560  # cases in memory


class Made:
    """Cases of noise whose class is the mean of a channel, made as they are packed."""

    how = ()
    most = None

    def __init__(self, size: int) -> None:
        self.size = size

    def pieces(self, position: list[int]) -> Iterator[tuple[Sequences, list[int]]]:
        """Give a hundred cases at a time."""
        for start in range(position[0], self.size, 100):
            rng = np.random.default_rng(start)
            count = min(100, self.size - start)
            labels = rng.integers(0, CLASSES, count)
            x = rng.standard_normal((count, T, C), np.float32)
            x[:, :, 0] += 0.2 * labels[:, None]
            names = tuple(f"{start + k:08}" for k in range(count))
            yield Sequences(tuple(x), labels, names=names, source="made"), [start + count]


def show(what: str, done: int, planned: int) -> None:
    """Say how far it is, ten times."""
    if done % max(1, planned // 10) == 0:
        print(f"{what}: {done:,} of {planned:,}", file=sys.stderr, flush=True)


def main() -> None:
    """Pack, measure, train, and remove the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    cases = int(given.gigabytes * 1e9 / (T * C * 4))
    group = held_to(LIMIT)
    torch.set_num_threads(given.threads)
    try:
        begin = time.perf_counter()
        pack(Made(cases), given.folder, "benchmark", lambda done, planned: show("packing", done, planned))
        packed = time.perf_counter() - begin
        data = ParquetSet.open(given.folder)
        begin = time.perf_counter()
        found = statistics_of(data, lambda done, planned: show("measuring", done, planned))
        measured = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in given.folder.glob("*.parquet"))
        record = train(Part.whole(data, found), given.units)
    finally:
        shutil.rmtree(given.folder, ignore_errors=True)
    record |= {"gigabytes": size / 1e9, "cases": cases, "packing_s": packed, "statistics_s": measured}
    record |= {"held_to_mb": LIMIT / 2**20 if group else None, "refusals": refusals(group)}
    let_go(group)
    record |= {
        "threads": given.threads,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in record.items()}))


def train(part: Part, units: int) -> dict[str, object]:
    """Train for an epoch, and return what was measured."""
    settings = Settings(units=units, bidirectional=False, frames=0, pool="last", batch_size=128, noise=0.0, epochs=1)
    plan = Blueprint.of(part, settings)
    few = plan.examples(part.sample(HELD)[0])
    module = plan.build(settings, few)
    state = State(module, make_optimizer(module, settings), Position(), {})
    source = plan.data(part)
    steps = source.steps(settings.batch_size, 0, 0)
    disk, memory, losses, peaks, lone = [], [], [], {}, 0.0
    from_disk = iter(source.epoch(settings.batch_size, 0, 0).batches)
    from_memory = iter(())
    done = cases = 0
    while done < steps:
        reader = multiprocessing.active_children()
        for process in reader:
            os.kill(process.pid, signal.SIGSTOP)
        for _ in range(STRETCH):
            batch = next(from_memory, None)
            if batch is None:
                from_memory = iter(few.epoch(settings.batch_size, 0, done).batches)
                batch = next(from_memory)
            begin = time.perf_counter()
            step(state, batch, settings)
            memory.append((time.perf_counter() - begin) / len(batch[0]))
        for process in reader:
            os.kill(process.pid, signal.SIGCONT)
        begin = time.perf_counter()
        met = 0
        for batch in islice(from_disk, SEGMENT):
            losses.append(step(state, batch, settings))
            met += len(batch[0])
            done += 1
        disk.append((time.perf_counter() - begin) / max(1, met))
        cases += met
        lone += time.perf_counter() - begin
        peaks |= {process.pid: peak(process.pid) for process in multiprocessing.active_children()}
        show("steps", done // SEGMENT, steps // SEGMENT)
    assert cases == len(part), (cases, len(part))
    for batch in from_disk:
        raise AssertionError(f"a batch too many: {len(batch[0])} cases")
    return {
        "epoch_s": lone,
        "steps": steps,
        "loss_first_and_last": [float(np.mean(losses[:20])), float(np.mean(losses[-20:]))],
        "ms_per_case_disk": 1e3 * lone / cases,
        "ms_per_case_memory": 1e3 * median(memory),
        "disk_to_memory": (lone / cases) / float(np.mean(memory)),
        "disk_to_memory_median": median(disk[1:] or disk) / median(memory),
        "peak_mb_training": peak(os.getpid()),
        "peak_mb_reading": max(peaks.values(), default=0.0),
    }


def held_to(limit: int) -> Path | None:
    """Put this process, and those it starts, into a memory group of their own; return it where that is possible."""
    group = Path(f"/sys/fs/cgroup/memory/quadgate-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return None
    return group


def let_go(group: Path | None) -> None:
    """Leave the memory group, and remove it."""
    if group is not None:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def refusals(group: Path | None) -> int | None:
    """Return how often the group was full, so that the system had to take pages of files back."""
    return None if group is None else int((group / "memory.failcnt").read_text())


def step(state: State, batch: tuple, settings: Settings) -> float:
    """Take one step."""
    x, lengths, targets, weights, _ = batch
    return train_step(state, x, lengths, targets, settings.learning_rate, settings, weights)[0]


def peak(process: int) -> float:
    """Return the most memory that a process has had in its hands, in MB."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
