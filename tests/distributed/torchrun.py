"""Runs a command under torchrun, on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def command(processes: int, *arguments: object, options: tuple[str, ...] = ()) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*launcher, *options, *map(str, arguments)]


def run(processes: int, *arguments: object, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(processes, *arguments, options=options), env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )


def begin(processes: int, *arguments: object, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(processes, *arguments, options=options),
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
