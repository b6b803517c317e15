import sys

import numpy as np
import pytest

from quadgate.cli import main
from quadgate.data import make_sequences
from quadgate.formats import save
from quadgate.model import Model, Network


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command line in this process; return the exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["quadgate", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


@pytest.fixture(scope="session")
def train_in():
    """Run `quadgate train` in a folder, into its `run`."""

    def train(folder, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["quadgate", "train", *arguments, "--out", "run"])
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code

    return train


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model of two classes and four channels in `model`, and data for it in `data.npz`."""
    rng = np.random.default_rng(0)
    network = Network(inputs=4, units=3, classes=2, pool="mean")
    variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    save(Model(network, variables, labels=("no", "yes")), tmp_path / "model")
    made = make_sequences(30, time=25, channels=4)
    np.savez(tmp_path / "data.npz", X=np.stack(made.series), y=np.array(["no", "yes"])[made.labels])
    monkeypatch.chdir(tmp_path)
    return tmp_path
