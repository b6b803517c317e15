"""A training step on 82,000 steps in one piece, within the memory that is promised."""

import subprocess
import sys

import pytest

STEP = """
import resource, torch, quadgate
kernel, bias = (torch.empty(shape).uniform_(-0.1, 0.1).requires_grad_() for shape in ((76, 256), (256,)))
x = torch.randn(4, 82_000, 12)
outputs, _ = quadgate.lstm(x, kernel, bias, recompute_every=256)
outputs.backward(torch.full_like(outputs, 1e-3))
assert bool(kernel.grad.isfinite().all()) and bool((kernel.grad != 0).any())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_a_long_series_trains_within_600_megabytes():
    run = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 600
