"""How fast an LSTM layer is on this GPU, in quadgate's kernels, in cuDNN through torch, and in torch's own operations.

    python benchmarks/gpu/speed.py [--quick] [--units H ...] [--cases N ...] [--dtypes NAME ...] [--out FILE]

Each case is first held against a float64 loop (all 820 steps, 4 cases of the batch); who is off by more than rounding
is named and not timed. Then all are timed in turn with CUDA events, the median of at least three: forward, and forward
and backward, of equal and unequal lengths (T/2 to T). Writes benchmarks/results/gpu_speed.json and gpu_speed.png beside
it, after each case, and goes on with what is not there. The last lines are a short table.

The shares are of what this GPU reaches in the same minutes: a large product of the same type, and a copy. Operations
are those of the products, bytes those that any implementation has to move: x and the outputs, in training their
gradients too, and the weights once.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from quadgate.kernels.gpu import findings
from quadgate.kernels.gpu.crossover import CUDNN, Case
from quadgate.kernels.gpu.precision import float32_products
from quadgate.speed.gpu import EAGER, TYPES, measure, milliseconds
from quadgate.speed.tuning import grid

RESULTS = Path(__file__).parents[1] / "results" / "gpu_speed.json"
T, C = 820, 12
UNITS, CASES = (32, 64, 128, 256, 512, 1024), (1, 8, 32, 128, 256)
QUICK_UNITS, QUICK_CASES = (64, 256), (1, 32, 256)


def ceilings(device: torch.device, seconds: float = 0.3, size: int = 8192) -> dict[str, float]:
    """Return what the GPU reaches: operations a second by type, and bytes a second."""
    found = {}
    for name, dtype in TYPES.items():
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        with float32_products(name == "float32"):
            ms = milliseconds({"product": lambda a=a, b=b: a @ b}, device, seconds)["product"]
        found[name] = 2 * size**3 / ms * 1e3
    source = torch.empty(size * size, device=device)
    target = torch.empty_like(source)
    ms = milliseconds({"copy": lambda: target.copy_(source)}, device, seconds)["copy"]
    return found | {"bytes": 2 * source.numel() * 4 / ms * 1e3}


def work(case: Case) -> tuple[float, float]:
    """Return the operations of the products of a pass, and the bytes that it has to move."""
    steps, itemsize = case.N * T, TYPES[case.dtype].itemsize
    operations = 2 * steps * (C + case.H) * 4 * case.H * (3 if case.training else 1)
    bytes_moved = (steps * (C + case.H) * (2 if case.training else 1) + (C + case.H) * 4 * case.H) * itemsize
    return operations, bytes_moved


def record(case: Case, times: dict[str, float], errors: dict[str, float], most: dict[str, float]) -> dict[str, Any]:
    """Return one line of the results."""
    operations, bytes_moved = work(case)
    return {
        "case": vars(case),
        "milliseconds": {name: round(ms, 4) for name, ms in times.items()},
        "microseconds_a_step": {name: round(ms / T * 1e3, 4) for name, ms in times.items()},
        "share_of_product": {name: round(operations / ms * 1e3 / most[case.dtype], 4) for name, ms in times.items()},
        "share_of_copy": {name: round(bytes_moved / ms * 1e3 / most["bytes"], 4) for name, ms in times.items()},
        "errors": {name: float(f"{error:.2e}") for name, error in errors.items()},
    }


def table(results: dict[str, Any]) -> None:
    """Print the time of a step at few sizes, cuDNN's time over it, and what unequal lengths cost the best of ours."""
    shown = Table(title=f"{results['device']}, T={T}: µs a step (cuDNN's time over it)")
    found = {Case(**one["case"]): one["microseconds_a_step"] for one in results["cases"]}
    names = sorted({name for times in found.values() for name in times})
    for column in ("H", "N", "type", "pass", *names, "unequal / equal"):
        shown.add_column(column)
    sizes = sorted({case.N for case in found})
    middle = min(sizes, key=lambda size: abs(size - 32), default=0)
    units = {case.H for case in found}
    for case, times in found.items():
        if middle != case.N or case.lengths or case.H not in (units & {*QUICK_UNITS, 512} or units):
            continue
        cells = [f"{times[name]:.2f} ({times[CUDNN] / times[name]:.2f})" if name in times else "-" for name in names]
        unequal = found.get(replace(case, lengths=True), {})
        ours = [{name: ms for name, ms in one.items() if name not in (CUDNN, EAGER)} for one in (unequal, times)]
        ratio = f"{min(ours[0].values()) / min(ours[1].values()):.2f}" if all(ours) else "-"
        shown.add_row(
            str(case.H), str(case.N), case.dtype, "both" if case.training else "forward", *cells, ratio
        )  # fmt: skip
    Console(width=140).print(shown)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the time of a step over the units, a picture for each type and pass, a line for each implementation."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    cases = [one for one in results["cases"] if one["case"]["N"] == 32 and not one["case"]["lengths"]]
    kinds = [name for name in TYPES if any(one["case"]["dtype"] == name for one in cases)]
    if not cases:
        return
    names = sorted({name for one in cases for name in one["microseconds_a_step"]})
    units = sorted({one["case"]["H"] for one in cases})
    figure, axes = plt.subplots(2, len(kinds), figsize=(4 * len(kinds), 7), squeeze=False, sharex=True)
    for row, training in enumerate((False, True)):
        for column, dtype in enumerate(kinds):
            axis = axes[row][column]
            alike = [one for one in cases if (one["case"]["dtype"], one["case"]["training"]) == (dtype, training)]
            for color, name in enumerate(names):
                points = sorted(
                    (one["case"]["H"], one["microseconds_a_step"][name])
                    for one in alike
                    if name in one["microseconds_a_step"]
                )
                x, y = zip(*points, strict=True) if points else ((), ())
                axis.plot(x, y, marker="o", label=name, color=f"C{color}")
            axis.set(xscale="log", yscale="log", title=f"{dtype}, {'forward and backward' if training else 'forward'}")
            axis.grid(alpha=0.3)
            axis.set_xticks(units, [str(one) for one in units], minor=False)
            axis.xaxis.minorticks_off()
            axis.set_xlabel("units H")
            axis.set_ylabel("µs a step, N=32")
    axes[0][0].legend()
    figure.suptitle(f"{results['device']}, T={T}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few sizes: about two minutes")
    parser.add_argument("--units", type=int, nargs="+")
    parser.add_argument("--cases", type=int, nargs="+")
    parser.add_argument("--dtypes", nargs="+", choices=TYPES, default=[*TYPES])
    parser.add_argument("--seconds", type=float, default=0.1, help="for each case and implementation")
    parser.add_argument("--no-eager", action="store_true", help="leave out torch's own operations, the slowest")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    refused = findings.why_not(findings.look())
    if refused:
        sys.exit(f"speed.py: no GPU is used: {refused}")
    run(asked, torch.device(asked.device), torch.cuda.get_device_name(asked.device))


def run(asked: argparse.Namespace, device: torch.device, name: str) -> None:
    """Measure the cases that are asked for on a device."""
    units = asked.units or (QUICK_UNITS if asked.quick else UNITS)
    cases = grid(units, asked.cases or (QUICK_CASES if asked.quick else CASES), asked.dtypes)
    before = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    versions = {"torch": torch.__version__, "CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    there = before.get("cases", []) if (before.get("device"), before.get("versions")) == (name, versions) else []
    most = ceilings(device) if device.type == "cuda" else ceilings(device, 0.01, 64)
    results = {
        "command": "python benchmarks/gpu/speed.py",
        "date": date.today().isoformat(),
        "device": name,
        "versions": versions,
        "ceilings": most,
        "cases": there,
    }
    done = [Case(**one["case"]) for one in there]
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("measuring", total=len(cases))
        for case in cases:
            progress.update(bar, description=str(case), advance=1)
            if case in done:
                continue
            found, errors, failed = measure(case, T, C, device, asked.seconds, eager=not asked.no_eager)
            for name, why in failed.items():
                progress.console.print(f"{case}: {name} failed: {why}")
            for name in errors.keys() - found.milliseconds.keys() - failed.keys():
                progress.console.print(f"{case}: {name} is off by {errors[name]:.1e}: not timed")
            results["cases"].append(record(case, dict(found.milliseconds), errors, most))
            asked.out.write_text(json.dumps(results, indent=1) + "\n")
    draw(results, asked.out.with_suffix(".png"))
    table(results)


if __name__ == "__main__":
    main()
