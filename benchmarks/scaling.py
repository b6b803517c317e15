"""Training in one and in two processes of this machine, and what that says of more: times, bytes, efficiency.

    python benchmarks/scaling.py [--units 64 128 256] [--cases 32] [--steps 9] [--out FILE]
    python benchmarks/scaling.py --table FILE

Each size trains by `quadgate.training`'s own step on batches of `--cases` for each process (C=12, T=820, float32, one
thread a process), once alone and once in two processes under torchrun; the step's median over `--steps`, in turn. The
exchange of the gradients is timed by itself. What `--table` prints beyond two processes is calculated from that:

    exchange = 2 (W - 1) / W x bytes / bandwidth + 2 (W - 1) x latency      a ring (Patarasuk and Yuan 2009)
    efficiency = step / (step + exchange)                                  nothing hides the exchange

The matching tests are tests/distributed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

C, T, CLASSES = 12, 820, 2
# Gigabytes and seconds: one way between two neighbours of the ring, as their makers state it.
LINKS = {
    "NVLink 4, 8 GPUs": (8, 450e9, 3e-6),
    "400 Gbit/s InfiniBand, 8 nodes of 8": (64, 50e9, 5e-6),
    "400 Gbit/s InfiniBand, 64 nodes of 8": (512, 50e9, 5e-6),
    "10 Gbit/s Ethernet, 8 nodes": (8, 1.25e9, 30e-6),
    "10 Gbit/s Ethernet, 64 nodes": (64, 1.25e9, 30e-6),
}
SIZES = (64, 128, 256, 512, 1024)


def measure(units: int, cases: int, steps: int) -> dict[str, float]:
    """Time steps in the processes that are there; the first one's times."""
    from torch import distributed

    from quadgate.modules import SequenceClassifier
    from quadgate.training import Settings, Workers
    from quadgate.training.checkpoint import Position, State
    from quadgate.training.loop import make_optimizer, train_step
    from quadgate.training.losses import Answers

    workers, settings = Workers.here(), Settings(units=units, bidirectional=False, frames=0, pool="mean")
    torch.manual_seed(0)
    module = SequenceClassifier(C, units, CLASSES, pool="mean", head="scaled")
    state = State(module, make_optimizer(module, settings), Position(), {})
    if workers.size > 1:
        state.shared = workers.together(Answers(module, False))
    whole = cases * workers.size
    share = workers.share(whole)
    rows = slice(None) if share is None else share.rows
    x, lengths, targets = torch.randn(whole, T, C), torch.full((whole,), T), torch.arange(whole) % CLASSES
    x, lengths, targets = x[rows], lengths[rows], targets[rows]
    taken = []
    for number in range(steps + 2):
        begin = time.perf_counter()
        train_step(state, x, lengths, targets, 1e-3, settings, share=share)
        if number > 1:  # the first steps fill caches and buckets
            taken.append(time.perf_counter() - begin)
    numbers = sum(one.numel() for one in module.parameters())
    exchange = []
    if workers.size > 1:
        gradient = torch.zeros(numbers)
        for _ in range(steps):
            distributed.barrier()
            begin = time.perf_counter()
            distributed.all_reduce(gradient)
            exchange.append(time.perf_counter() - begin)
    return {
        "step": statistics.median(taken),
        "exchange": statistics.median(exchange) if exchange else 0.0,
        "bytes": 4 * numbers,
    }


def launched(processes: int, options: argparse.Namespace, units: int) -> dict[str, float]:
    """Run `measure` in so many processes."""
    with tempfile.NamedTemporaryFile(suffix=".json") as told:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        sizes = ["--units", str(units), "--cases", str(options.cases), "--steps", str(options.steps)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*launcher, __file__, "--measure", told.name, *sizes], check=True, env=environment)
        return json.loads(Path(told.name).read_text())


def efficiency(step: float, bytes_: float, processes: int, bandwidth: float, latency: float) -> float:
    """Return the share of the time that is spent on training."""
    exchange = 2 * (processes - 1) / processes * bytes_ / bandwidth + 2 * (processes - 1) * latency
    return step / (step + exchange)


def parameters(units: int) -> int:
    """Return the trained numbers of one layer and its head."""
    return (C + units + 1) * 4 * units + (units + 1) * CLASSES


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the measured table and the calculated one, in Markdown."""
    lines = [
        "| H | gradient | step alone | step of 2 processes | exchange alone | efficiency, measured |",
        "|" + "---|" * 6,
    ]
    for units, one in found["sizes"].items():
        lines.append(
            f"| {units} | {one['bytes'] / 1e6:.2f} MB | {one['alone'] * 1e3:.0f} ms | {one['two'] * 1e3:.0f} ms "
            f"| {one['exchange'] * 1e3:.2f} ms | {one['alone'] / one['two']:.2f} |"
        )
    heads = " | ".join(f"H={units}" for units in SIZES)
    lines += ["", f"| link (calculated) | {heads} |", "|" + "---|" * (1 + len(SIZES))]
    for name, (processes, bandwidth, latency) in LINKS.items():
        shares = []
        for units in SIZES:
            # Time grows as the products do; what was measured nearest below gives the scale.
            base = max((int(one) for one in found["sizes"] if int(one) <= units), default=min(map(int, found["sizes"])))
            step = found["sizes"][str(base)]["alone"] * ((C + units) * units) / ((C + base) * base)
            shares.append(
                f"{efficiency(step / found['faster'], 4 * parameters(units), processes, bandwidth, latency):.3f}"
            )
        lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--faster", type=float, default=1.0, help="a device that is so many times faster, calculated")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text()) | {"faster": options.faster}))
        return
    if options.measure:
        from quadgate.training import of_torchrun

        with of_torchrun() as workers:
            told = measure(options.units[0], options.cases, options.steps)
        if workers.first:
            options.measure.write_text(json.dumps(told))
        return
    sizes = {}
    for units in options.units:
        alone, two = (launched(processes, options, units) for processes in (1, 2))
        sizes[units] = {"bytes": two["bytes"], "alone": alone["step"], "two": two["step"], "exchange": two["exchange"]}
        print(units, sizes[units], file=sys.stderr)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    found = {"processor": processor, "python": platform.python_version(), "torch": torch.__version__, "sizes": sizes}
    found |= {"cases": options.cases, "faster": 1.0}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(json.loads(json.dumps(found))))


if __name__ == "__main__":
    main()
