"""The kernels in a child after fork(), in workers that load data, and in several threads at once."""

import os
import threading

import numpy as np
import pytest
import torch

from kernels.layers import problem
from quadgate.kernels import cpu

ONE = problem(40, 30, 12, 64)

# Python warns of any fork in a process that has threads; ours survive it, and that is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.setenv("QUADGATE_NUM_THREADS", "3")


def work() -> bytes:
    outputs, _ = cpu.lstm_forward(ONE.x, ONE.parameters, ONE.state)
    d_x, _, gradient = cpu.lstm_backward(ONE.x, ONE.parameters, ONE.d_outputs, ONE.d_state, ONE.state)
    return outputs.tobytes() + d_x.tobytes() + gradient.kernel.tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_after_fork():
    expected = work()
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0 if work() == expected else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert work() == expected


class Outputs(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        outputs, _ = cpu.lstm_forward(ONE.x[index : index + 5], ONE.parameters)
        return outputs


def test_workers_that_load_data():
    work()
    alone = [Outputs()[index] for index in range(4)]
    loader = torch.utils.data.DataLoader(
        Outputs(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    for found, expected in zip(loader, alone, strict=True):
        assert np.array_equal(found, expected)


def test_several_threads_at_once():
    expected = work()
    found = []

    def call():
        found.extend(work() for _ in range(5))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 20
