import os
import subprocess
import sys

import numpy as np
import pytest

from kernels.layers import problem
from quadgate import cell, kernels
from quadgate.kernels import choice

PROGRAM = """
import numpy as np
from quadgate.cell import LSTMParameters
from quadgate.kernels import lstm
for _ in range(3):
    lstm(np.ones((1, 2, 1)), LSTMParameters.from_kernel(np.ones((2, 4), np.float32), None))
"""


@pytest.fixture
def not_built(monkeypatch):
    monkeypatch.setattr(choice, "compiled_is_built", lambda: False)
    choice._compiled.cache_clear()
    yield
    choice._compiled.cache_clear()


def test_the_compiled_kernels_run_where_they_were_built():
    assert kernels.explain_choice().implementation == "compiled"
    assert [one.implementation for one in kernels.implementations()] == ["compiled", "NumPy"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_implementations_agree(dtype, request):
    one = problem(5, 6, 3, 7, dtype, lengths=[6, 0, 3, 1, 5], peepholes=True)
    arguments = one.x, one.parameters, one.state, one.lengths
    compiled, state = kernels.lstm(*arguments)
    request.getfixturevalue("not_built")
    assert kernels.explain_choice().implementation == "NumPy"
    plain, plain_state = kernels.lstm(*arguments)
    expected, _ = cell.lstm(*arguments)
    assert compiled.dtype == plain.dtype == dtype
    tolerance = {"rtol": 0, "atol": 3e-6 if dtype == np.float32 else 1e-13}
    np.testing.assert_allclose(compiled, expected, **tolerance)
    np.testing.assert_allclose(plain, expected, **tolerance)
    for mine, right in zip(state, plain_state, strict=True):
        np.testing.assert_allclose(mine, right, **tolerance)


def test_without_a_build_the_reason_is_told(not_built):
    assert not kernels.implementations()[0].usable
    assert "no C++ compiler" in kernels.implementations()[0].reason


def logged(**environment):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return run.stderr.splitlines()


def test_the_log_tells_the_choice_once_when_asked():
    assert logged(QUADGATE_LOG="") == []
    (line,) = logged(QUADGATE_LOG="1")
    assert line.startswith("quadgate: lstm runs on compiled: built, instruction set ")


def test_an_instruction_set_that_is_not_there_is_refused():
    program = "import quadgate.kernels.cpu as cpu; print(cpu.instruction_set())"
    run = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"QUADGATE_ISA": "mmx"}, capture_output=True, text=True
    )
    assert run.returncode != 0
    assert "InputError: QUADGATE_ISA: found 'mmx', expected one of this processor's: " in run.stderr
