import subprocess
import sys

import pytest
import threadpoolctl
import torch

from quadgate.errors import InputError
from quadgate.kernels.threads import decide, number_of_threads


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("QUADGATE_NUM_THREADS", raising=False)


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_torch_decides_where_nothing_else_does(torch_threads):
    for number in (1, 3):
        torch_threads(number)
        assert number_of_threads() == number
    assert decide().decided_by == "torch.get_num_threads()"


def test_a_limit_of_threadpoolctl_rules_and_ends(torch_threads):
    torch_threads(3)
    with threadpoolctl.threadpool_limits(limits=1):
        assert number_of_threads() == 1
        assert decide().decided_by == "threadpoolctl"
        torch_threads(2)
        with threadpoolctl.threadpool_limits(limits={"quadgate": 5}):
            assert number_of_threads() == 5
        assert number_of_threads() == 1
    assert "quadgate" in {library["user_api"] for library in threadpoolctl.threadpool_info()}


def test_after_a_limit_the_number_follows_torch_again(torch_threads):
    torch_threads(3)
    with threadpoolctl.threadpool_limits(limits=1, user_api="quadgate"):
        pass
    torch_threads(2)
    assert number_of_threads() == 2


def test_the_environment_rules_over_all(monkeypatch, torch_threads):
    monkeypatch.setenv("QUADGATE_NUM_THREADS", "7")
    with threadpoolctl.threadpool_limits(limits=1):
        assert number_of_threads() == 7


@pytest.mark.parametrize("wrong", ["", "0", "-1", "two", "1.5", "²"])
def test_a_wrong_environment_is_refused(monkeypatch, wrong):
    monkeypatch.setenv("QUADGATE_NUM_THREADS", wrong)
    with pytest.raises(InputError, match=r"QUADGATE_NUM_THREADS: found .*, expected a number from 1"):
        number_of_threads()


def test_without_torch_the_processors_decide():
    text = (
        "import sys; sys.modules['torch'] = None; del sys.modules['torch']\n"
        "import os; from quadgate.kernels.threads import number_of_threads\n"
        "assert 'torch' not in sys.modules\n"
        "print(number_of_threads() == len(os.sched_getaffinity(0)))"
    )
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"
