"""A process that dies, stops answering, or is given something else: the run ends soon, in order, and goes on."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import quadgate
from distributed.torchrun import begin, run
from quadgate.data import make_sequences
from small_training import assert_same_bits

OPTIONS = ("--units", "8", "--epochs", "12", "--batch-size", "16", "--seed", "3")
CHANCE = np.random.default_rng(7)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = make_sequences(120, time=60, channels=3, seed=1)
    path = tmp_path_factory.mktemp("data") / "made.npz"
    np.savez(path, X=np.array(made.series), y=made.labels)
    return path


def train(processes, data, folder, *more, options=()):
    return run(processes, "-m", "quadgate", "train", data, *OPTIONS, "--out", folder, *more, options=options)


def weights(folder):
    return {name: np.asarray(array) for name, array in quadgate.load(folder).variables.items()}


def epochs(folder):
    file = folder / "history.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def process(folder, rank):
    """Return the number of the process that last had this rank."""
    return int(re.findall(r"pid (\d+)", (folder / "logs" / f"worker-{rank}.log").read_text())[-1])


def after_epochs(folder, number, running, seconds=120):
    deadline = time.monotonic() + seconds
    while epochs(folder) < number:
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("whole") / "run"
    ended = train(2, data, folder)
    assert ended.returncode == 0, ended.stderr
    return weights(folder)


def killed(data, folder, rank, epoch, *more):
    """Begin a run of two processes, kill one of them after an epoch; return what was printed and how long it took."""
    running = begin(2, "-m", "quadgate", "train", data, *OPTIONS, "--out", folder, *more)
    after_epochs(folder, epoch, running)
    time.sleep(CHANCE.uniform(0, 0.1))
    os.kill(process(folder, rank), signal.SIGKILL)
    begun = time.monotonic()
    said, _ = running.communicate(timeout=60)
    return running.returncode, said, time.monotonic() - begun


@pytest.mark.long
def test_a_dead_process_ends_the_run_and_it_goes_on_to_the_same_bits(tmp_path, data, whole):
    folder = tmp_path / "killed"
    code, said, seconds = killed(data, folder, 1, 2)
    assert code != 0
    assert seconds < 30
    assert re.search(r"error: (process 0 of 2 .* stops: told to|another process of the run has ended)", said), said
    assert "--resume" in said or "another process" in said
    assert not list(folder.rglob("*.part"))
    for _ in range(2):  # a run that is complete, too
        ended = train(2, data, folder, "--resume")
        assert ended.returncode == 0, ended.stderr
        assert_same_bits(weights(folder), whole)


@pytest.mark.long
def test_torchrun_starts_the_processes_again_and_the_run_goes_on(tmp_path, data, whole):
    folder = tmp_path / "elastic"
    running = begin(2, "-m", "quadgate", "train", data, *OPTIONS, "--out", folder, options=("--max-restarts", "2"))
    after_epochs(folder, 2, running)
    os.kill(process(folder, 0), signal.SIGKILL)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert "restarted 1 times" in (folder / "logs" / "worker-1.log").read_text()
    assert_same_bits(weights(folder), whole)


@pytest.mark.long
def test_a_run_goes_on_with_another_number_of_processes(tmp_path, data, whole):
    folder = tmp_path / "changing"
    code, *_ = killed(data, folder, 0, 1)
    assert code != 0
    alone = begin(1, "-m", "quadgate", "train", data, *OPTIONS, "--out", folder, "--resume")
    after_epochs(folder, 4, alone)
    alone.send_signal(signal.SIGTERM)
    alone.communicate(timeout=60)
    assert 4 <= epochs(folder) < 12
    ended = train(3, data, folder, "--resume")
    assert ended.returncode == 0, ended.stderr
    assert epochs(folder) == 12
    for name, array in weights(folder).items():
        np.testing.assert_allclose(array, whole[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.long
def test_a_process_that_gives_no_sign_of_life_ends_the_run(tmp_path, data):
    folder = tmp_path / "silent"
    running = begin(2, "-m", "quadgate", "train", data, *OPTIONS, "--epochs", "4000", "--out", folder)
    after_epochs(folder, 2, running)
    silent = process(folder, 1)
    os.kill(silent, signal.SIGSTOP)
    begun = time.monotonic()
    while Path(f"/proc/{process(folder, 0)}/fd").exists() and time.monotonic() - begun < 60:
        time.sleep(0.1)
    seconds = time.monotonic() - begun
    os.kill(silent, signal.SIGCONT)
    said, _ = running.communicate(timeout=60)
    assert "process 1 has given no sign of life for 15 s" in said
    assert seconds < 30
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
def test_a_process_that_was_given_other_data_is_told_so(tmp_path, data):
    other = tmp_path / "other.npz"
    made = make_sequences(120, time=60, channels=3, seed=9)
    np.savez(other, X=np.array(made.series), y=made.labels)
    script = tmp_path / "differ.py"
    script.write_text(
        "import os, sys\nfrom quadgate.cli import main\n"
        f"sys.argv = ['quadgate', 'train', [{str(data)!r}, {str(other)!r}][int(os.environ['RANK'])], "
        f"*{OPTIONS!r}, '--out', {str(tmp_path / 'run')!r}]\nmain()\n"
    )
    ended = run(2, script)
    assert ended.returncode != 0
    assert "error: training data: process 1 has others than the first; give all processes the same" in ended.stderr


@pytest.mark.long
def test_processes_killed_at_random_moments_in_ten_runs(tmp_path, data, whole):
    for number in range(10):
        folder = tmp_path / f"run{number}"
        code, _, seconds = killed(data, folder, CHANCE.integers(2), CHANCE.integers(1, 11))
        assert code != 0
        assert seconds < 30
        ended = train(2, data, folder, "--resume")
        assert ended.returncode == 0, ended.stderr
        assert not list(folder.rglob("*.part"))  # of a process that was killed while it wrote
        assert_same_bits(weights(folder), whole)


def test_the_command_to_go_on_with_is_torchrun_s(monkeypatch):
    from quadgate.cli.train import _again
    from quadgate.training import Workers

    monkeypatch.setattr(sys, "argv", ["quadgate", "train", "a b.npz"])
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    told = _again(Path("runs/x"), Workers(0, 2))
    assert told == "torchrun --nproc-per-node 2 -m quadgate train 'a b.npz' --out runs/x --resume"
