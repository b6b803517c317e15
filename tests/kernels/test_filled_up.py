"""Units that only fill up a vector of the processor: what is not finite must not come back from them to the others."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernels.layers import PROBLEMS, backward, forward, judged_backward, judged_forward
from quadgate.kernels import cpu


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("H", [1, 3, 13, 16, 17])
@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinite_inputs_have_the_gradients_of_the_reference(kind, H, infinite, dtype):
    one = PROBLEMS[kind](5, 6, 3, H, dtype)
    x = one.x.copy()
    x[3, 2, 1] = infinite  # the gates saturate: all that follows is finite, but for the gradient of w_x
    ill = replace(one, x=x)
    tolerance = {"rtol": 0, "atol": 1e-4 if dtype == np.float32 else 1e-12}
    with np.errstate(invalid="ignore", over="ignore"):
        results, gradients = judged_forward(ill), judged_backward(ill)
        clean = [name for name, value in gradients.items() if np.isfinite(value).all()]
    assert {"x", "h", "w_h", "b_x"} <= set(clean)
    for mine, right in zip(forward(ill), results, strict=True):
        np.testing.assert_allclose(mine, right, **tolerance)
    found = backward(ill)
    for name in clean:
        np.testing.assert_allclose(found[name], gradients[name], err_msg=name, **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", cpu.instruction_sets())
def test_every_instruction_set_agrees_with_the_judge(instructions):
    """The instruction set is chosen once in a process, so each has its own."""
    here = Path(__file__).parent
    tests = [here / "test_filled_up.py", here / "test_cpu.py", here / "test_gru.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not long"]
    done = subprocess.run(
        [*command, *map(str, tests)],
        env={**os.environ, "QUADGATE_ISA": instructions},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
