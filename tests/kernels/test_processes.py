"""The kernels in a child after fork(), in workers that load data, and in several threads at once."""

import os
import threading

import numpy as np
import pytest
import torch

from kernels.layers import PROBLEMS, backward, cases_of, forward

LAYERS = {kind: make(40, 30, 12, 64) for kind, make in PROBLEMS.items()}

# Python warns of any fork in a process that has threads; ours survive it, and that is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.setenv("QUADGATE_NUM_THREADS", "3")


@pytest.fixture(params=LAYERS)
def one(request):
    return LAYERS[request.param]


def work(one) -> bytes:
    results = [*forward(one), *backward(one).values()]
    return b"".join(np.ascontiguousarray(result).tobytes() for result in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_after_fork(one):
    expected = work(one)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0 if work(one) == expected else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert work(one) == expected


class Outputs(torch.utils.data.Dataset):
    def __init__(self, one):
        self.one = one

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return forward(cases_of(self.one, np.arange(index, index + 5)))[0]


def test_workers_that_load_data(one):
    work(one)
    alone = [Outputs(one)[index] for index in range(4)]
    loader = torch.utils.data.DataLoader(
        Outputs(one), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    for found, expected in zip(loader, alone, strict=True):
        assert np.array_equal(found, expected)


def test_several_threads_at_once(one):
    expected = work(one)
    found = []

    def call():
        found.extend(work(one) for _ in range(5))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 20
