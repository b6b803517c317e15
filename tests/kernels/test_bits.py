"""One answer everywhere: the same bits whatever the batch, the chunks, the threads and the instruction set."""

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kernels.layers import arrays_of, cases_of, problem
from quadgate.kernels import cpu

T = 23
SHAPES = [(12, 64), (3, 5), (7, 17), (40, 33)]


def same(found, expected):
    assert np.asarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()


def layer(C, H, N=129, **options):
    lengths = np.random.default_rng(1).integers(0, T + 1, N)
    lengths[:3] = [T, 0, 1]
    return problem(N, T, C, H, lengths=lengths, **options)


@pytest.fixture
def threads(monkeypatch):
    return lambda number: monkeypatch.setenv("QUADGATE_NUM_THREADS", str(number))


@pytest.mark.parametrize(("C", "H"), SHAPES)
@pytest.mark.parametrize("reverse", [False, True])
def test_alone_and_in_any_batch_at_any_place(C, H, reverse):
    whole = layer(C, H, reverse=reverse)
    outputs, (c, h) = cpu.lstm_forward(whole.x, whole.parameters, whole.state, whole.lengths)
    for size in (1, 2, 7, 32):
        for first in (0, 1, 5, 64, 129 - size):
            places = np.arange(first, first + size)[::-1]
            part = cases_of(whole, places)
            found, (found_c, found_h) = cpu.lstm_forward(part.x, part.parameters, part.state, part.lengths)
            same(found, outputs[places])
            same(found_c, c[places])
            same(found_h, h[places])


@pytest.mark.parametrize(("C", "H"), SHAPES)
def test_gradients_of_a_case_do_not_depend_on_its_batch(C, H):
    whole = layer(C, H)
    d_x, (d_c, d_h), _ = cpu.lstm_backward(
        whole.x, whole.parameters, whole.d_outputs, whole.d_state, whole.state, whole.lengths
    )
    for places in ([7], [128, 0], list(range(20, 52))):
        part = cases_of(whole, places)
        found, (found_c, found_h), _ = cpu.lstm_backward(
            part.x, part.parameters, part.d_outputs, part.d_state, part.state, part.lengths
        )
        same(found, d_x[places])
        same(found_c, d_c[places])
        same(found_h, d_h[places])


@pytest.mark.parametrize(("C", "H"), SHAPES)
@pytest.mark.parametrize("N", [1, 6])
def test_one_call_chunks_and_step_by_step(C, H, N):
    one = problem(N, T, C, H)
    outputs, final = cpu.lstm_forward(one.x, one.parameters, one.state)
    for cuts in (list(range(T + 1)), [0, 1, 9, 10, T], [0, 16, T]):
        state, found = one.state, []
        for begin, end in pairwise(cuts):
            part, state = cpu.lstm_forward(one.x[:, begin:end], one.parameters, state)
            found.append(part)
        same(np.concatenate(found, axis=1), outputs)
        same(state[0], final[0])
        same(state[1], final[1])


@pytest.mark.parametrize(("C", "H", "N"), [(12, 64, 129), (3, 5, 37), (7, 256, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads(threads, C, H, N, dtype):
    one = problem(N, T, C, H, dtype)
    arguments = one.x, one.parameters, one.d_outputs, one.d_state, one.state

    def results():
        outputs, state = cpu.lstm_forward(one.x, one.parameters, one.state)
        d_x, d_state, gradient = cpu.lstm_backward(*arguments)
        return outputs, *state, d_x, *d_state, *arrays_of(gradient).values()

    threads(1)
    expected = results()
    for number in (2, 3):
        threads(number)
        for found, right in zip(results(), expected, strict=True):
            same(found, right)


def test_strides_do_not_matter():
    one = layer(12, 64, N=9)
    expected, _ = cpu.lstm_forward(one.x, one.parameters, one.state, one.lengths)
    time_major = np.ascontiguousarray(one.x.swapaxes(0, 1)).swapaxes(0, 1)
    spread = np.repeat(one.x, 3, axis=2)[:, :, ::3]
    backwards = np.ascontiguousarray(one.x[::-1, ::-1])[::-1, ::-1]
    for x in (time_major, spread, backwards):
        same(cpu.lstm_forward(x, one.parameters, one.state, one.lengths)[0], expected)


DIGEST = """
from kernels.test_bits import digest
print(digest())
"""


def digest():
    total = hashlib.sha256()
    for C, H in SHAPES:
        for dtype in (np.float32, np.float64):
            one = layer(C, H, N=33, dtype=dtype)
            outputs, state = cpu.lstm_forward(one.x, one.parameters, one.state, one.lengths)
            for array in (outputs, *state):
                total.update(array.tobytes())
    return total.hexdigest()


def in_a_process(**environment):
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", DIGEST],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_every_instruction_set_with_fused_multiply_add():
    sets = [name for name in cpu.instruction_sets() if name != "x86-64"]
    if len(sets) < 2:
        pytest.skip(f"this processor has one instruction set with fused multiply-add: {', '.join(sets)}")
    digests = {name: in_a_process(QUADGATE_ISA=name) for name in sets}
    assert set(digests.values()) == {digest()}, digests
