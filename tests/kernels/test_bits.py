"""One answer everywhere: the same bits whatever the batch, the chunks, the threads and the instruction set."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kernels.layers import PROBLEMS, backward, cases_of, forward
from quadgate.kernels import cpu

T = 23
SHAPES = [(12, 64), (3, 5), (7, 17), (40, 33)]

pytestmark = pytest.mark.parametrize("kind", PROBLEMS)


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert np.asarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


def layer(kind, C, H, N=129, **options):
    lengths = np.random.default_rng(1).integers(0, T + 1, N)
    lengths[:3] = [T, 0, 1]
    return PROBLEMS[kind](N, T, C, H, lengths=lengths, **options)


@pytest.fixture
def threads(monkeypatch):
    return lambda number: monkeypatch.setenv("QUADGATE_NUM_THREADS", str(number))


@pytest.mark.parametrize(("C", "H"), SHAPES)
@pytest.mark.parametrize("reverse", [False, True])
def test_alone_and_in_any_batch_at_any_place(kind, C, H, reverse):
    whole = layer(kind, C, H, reverse=reverse)
    expected = forward(whole)
    for size in (1, 2, 7, 32):
        for first in (0, 1, 5, 64, 129 - size):
            places = np.arange(first, first + size)[::-1]
            same(forward(cases_of(whole, places)), [result[places] for result in expected])


@pytest.mark.parametrize(("C", "H"), SHAPES)
def test_gradients_of_a_case_do_not_depend_on_its_batch(kind, C, H):
    whole = layer(kind, C, H)
    expected = backward(whole)
    for places in ([7], [128, 0], list(range(20, 52))):
        found = backward(cases_of(whole, places))
        for name in ("x", "h", "c"):
            if name in expected:
                same([found[name]], [expected[name][places]])


@pytest.mark.parametrize(("C", "H"), SHAPES)
@pytest.mark.parametrize("N", [1, 6])
def test_one_call_chunks_and_step_by_step(kind, C, H, N):
    one = PROBLEMS[kind](N, T, C, H)
    outputs, *final = forward(one)
    for cuts in (list(range(T + 1)), [0, 1, 9, 10, T], [0, 16, T]):
        state, found = one.state, []
        for begin, end in pairwise(cuts):
            part, *state = forward(replace(one, x=one.x[:, begin:end], state=tuple(state)))
            found.append(part)
        same([np.concatenate(found, axis=1), *state], [outputs, *final])


@pytest.mark.parametrize(("C", "H", "N"), [(12, 64, 129), (3, 5, 37), (7, 256, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads(kind, threads, C, H, N, dtype):
    one = PROBLEMS[kind](N, T, C, H, dtype)
    threads(1)
    expected = [*forward(one), *backward(one).values()]
    for number in (2, 3):
        threads(number)
        same([*forward(one), *backward(one).values()], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("C", "H", "N"), [(12, 64, 3), (3, 5, 37)])
def test_gradients_where_they_are_computed_again(kind, C, H, N, reverse):
    lengths = np.random.default_rng(1).integers(0, 301, N)
    one = PROBLEMS[kind](N, 300, C, H, lengths=lengths, reverse=reverse)
    expected = backward(one)
    for every in (1, 7, 100, 1000):
        same(backward(one, recompute_every=every).values(), expected.values())


def test_strides_do_not_matter(kind):
    one = layer(kind, 12, 64, N=9)
    expected = forward(one)
    time_major = np.ascontiguousarray(one.x.swapaxes(0, 1)).swapaxes(0, 1)
    spread = np.repeat(one.x, 3, axis=2)[:, :, ::3]
    backwards = np.ascontiguousarray(one.x[::-1, ::-1])[::-1, ::-1]
    for x in (time_major, spread, backwards):
        same(forward(replace(one, x=x)), expected)


DIGEST = """
import sys
from kernels.test_bits import digest
print(digest(sys.argv[1]))
"""


def digest(kind):
    total = hashlib.sha256()
    for C, H in SHAPES:
        for dtype in (np.float32, np.float64):
            for array in forward(layer(kind, C, H, N=33, dtype=dtype)):
                total.update(array.tobytes())
    return total.hexdigest()


def in_a_process(kind, **environment):
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", DIGEST, kind],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_every_instruction_set_with_fused_multiply_add(kind):
    sets = [name for name in cpu.instruction_sets() if name != "x86-64"]
    if len(sets) < 2:
        pytest.skip(f"this processor has one instruction set with fused multiply-add: {', '.join(sets)}")
    digests = {name: in_a_process(kind, QUADGATE_ISA=name) for name in sets}
    assert set(digests.values()) == {digest(kind)}, digests
