"""A training step on 82,000 steps in one piece, within the memory that is promised."""

import subprocess
import sys

import pytest

STEP = r"""
import pathlib, re, torch, quadgate
kernel, bias = (torch.empty(shape).uniform_(-0.1, 0.1).requires_grad_() for shape in ((76, 256), (256,)))
x = torch.randn(4, 82_000, 12)
outputs, _ = quadgate.lstm(x, kernel, bias, recompute_every=256)
outputs.backward(torch.full_like(outputs, 1e-3))
assert bool(kernel.grad.isfinite().all()) and bool((kernel.grad != 0).any())
# ru_maxrss would begin with what the process that started this one had.
print(int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its peak")
def test_a_long_series_trains_within_600_megabytes():
    run = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 600
