"""How much memory a training step takes at its peak, on top of what stood there before it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from quadgate.errors import InputError
from quadgate.speed.cases import Case, problem

STEP = Case("train", units=64, cases=32, threads=1)


def peak_memory(names: list[str], case: Case = STEP) -> dict[str, int]:
    """Return the bytes that a step of each contestant that trains takes, each measured in a process of its own.

    Empty on a system that does not tell a process its peak (all but Linux).
    """
    if sys.platform != "linux":
        return {}
    return {name: _in_a_process(name, case) for name in names if name in ("quadgate", "recomputing", "torch")}


def _in_a_process(name: str, case: Case) -> int:
    program = f"from quadgate.speed.memory import measure_here; print(measure_here({name!r}, {case!r}))"
    program = f"from quadgate.speed.cases import Case; {program}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    return int(run.stdout)


def measure_here(name: str, case: Case) -> int:
    """Take one step in this process and return its peak; a short step before it loads what is loaded once.

    Raises:
        InputError: no contestant of this name is installed.
    """
    from quadgate.speed.contestants import installed

    for one in installed():
        if one.name == name:
            one.prepare(replace(case, steps=4), problem(replace(case, steps=4))).run()
            prepared = one.prepare(case, problem(case))
            prepared.settle()
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            before = _status("VmRSS")
            prepared.run()
            return _status("VmHWM") - before
    raise InputError(f"contestant: found {name!r}, which is not installed")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise InputError(f"/proc/self/status: found no {field}, expected a Linux that tells it")
