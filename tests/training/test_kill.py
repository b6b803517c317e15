"""A run that is killed at any moment, in the middle of writing a checkpoint too, ends with the same bits.

Each kill is a SIGKILL to a process that runs `quadgate train`, which is then begun again with `--resume`. Half of them
come at a random moment of a random epoch, half as soon as a checkpoint is being written beside its place.
"""

import json
import multiprocessing
import signal
import sys
import time

import numpy as np
import pytest

import quadgate
import quadgate.cli
from quadgate.data import make_sequences

EPOCH = 0.03  # seconds that a random moment is spread over, about an epoch


@pytest.fixture(scope="module")
def processes():
    """What starts processes that have the imports of `quadgate train` behind them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["quadgate.cli.app", "quadgate.training", "quadgate.report", "sklearn.metrics"])
    return context


class Runs:
    """Runs of one command line in processes of their own, into folders of `home`."""

    def __init__(self, processes, home, epochs, monkeypatch):
        made = make_sequences(40, time=(20, 30), channels=3, seed=1)
        longest = int(made.lengths.max())
        padded = np.stack([np.pad(one, ((0, longest - len(one)), (0, 0))) for one in made.series])
        np.savez(home / "data.npz", X=padded, y=made.labels, lengths=made.lengths)
        self.home, self.processes, self.patch = home, processes, monkeypatch
        self.settings = ["--units", "4", "--epochs", epochs, "--patience", epochs, "--batch-size", "8", "--seed", "2"]
        self.settings += ["--valid-fraction", "0.2"]

    def start(self, name):
        data, out = self.home / "data.npz", self.home / name
        typed = ["quadgate", "train", data, *self.settings, "--out", out, "--resume"]
        self.patch.setattr(sys, "argv", list(map(str, typed)))  # which the process gets
        process = self.processes.Process(target=quadgate.cli.main)
        process.start()
        return process

    def finish(self, name):
        process = self.start(name)
        process.join(300)
        assert process.exitcode == 0

    def lines(self, name):
        history = self.home / name / "history.jsonl"
        return history.read_text(encoding="utf-8").count("\n") if history.exists() else 0

    def is_writing(self, name):
        checkpoints = self.home / name / "checkpoints"
        return checkpoints.is_dir() and any(path.name.endswith(".part") for path in checkpoints.iterdir())

    def kill(self, name, rng, writing):
        """Run until a random moment and kill; return whether a file was left half written, None where it was over."""
        process = self.start(name)
        begun, epochs = self.lines(name), int(rng.integers(1, 6))
        alive = wait(process, lambda: self.lines(name) >= begun + epochs)
        if alive and writing:
            alive = wait(process, lambda: self.is_writing(name))
            time.sleep(rng.uniform(0, 0.002))
        elif alive:
            time.sleep(rng.uniform(0, EPOCH))
        process.kill()
        process.join(60)
        if process.exitcode == 0:
            return None
        assert process.exitcode == -signal.SIGKILL
        return self.is_writing(name)

    def history(self, name):
        read = (self.home / name / "history.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) | {"seconds": 0} for line in read]

    def kill_and_compare(self, kills):
        """Return how many of the kills left a file half written."""
        rng = np.random.default_rng(0)
        torn = [self.kill("killed", rng, writing=number % 2 == 1) for number in range(kills)]
        assert None not in torn, "the run was over before all kills were done"
        self.finish("killed")
        self.finish("whole")
        expected, found = (quadgate.load(self.home / name).variables for name in ("whole", "killed"))
        assert list(expected) == list(found)
        for name in expected:
            assert np.asarray(expected[name]).tobytes() == np.asarray(found[name]).tobytes(), name
        assert self.history("whole") == self.history("killed")
        assert not [path for path in (self.home / "killed").rglob("*") if path.name.endswith(".part")]
        return sum(torn)


def wait(process, holds):
    """Wait until something holds, or the process is over; tell which."""
    deadline = time.monotonic() + 120
    while process.is_alive():
        if holds():
            return True
        assert time.monotonic() < deadline
        time.sleep(0.0002)
    return False


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(processes, tmp_path, monkeypatch):
    Runs(processes, tmp_path, 14, monkeypatch).kill_and_compare(3)


@pytest.mark.long
def test_fifty_kills(processes, tmp_path, monkeypatch, capsys):
    torn = Runs(processes, tmp_path, 160, monkeypatch).kill_and_compare(50)
    with capsys.disabled():
        print(f"\n50 kills, {torn} of them with a checkpoint half written; the same bits")
    assert torn >= 10
