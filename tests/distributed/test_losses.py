"""Several processes have the losses of one, whatever is trained: chance, batch normalisation, weights, odd shares."""

import json
from pathlib import Path

import pytest

from distributed.histories import WAYS, histories
from distributed.torchrun import run

SCRIPT = Path(__file__).with_name("histories.py")


@pytest.mark.parametrize(
    "processes", [pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.long)]
)
def test_the_losses_are_those_of_one_process(tmp_path, processes):
    ended = run(processes, SCRIPT, tmp_path / "told.json")
    assert ended.returncode == 0, ended.stderr
    told, alone = json.loads((tmp_path / "told.json").read_text()), histories()
    assert told.keys() == alone.keys() == {*WAYS, "quantity"}
    for name, epochs in alone.items():
        assert len(told[name]) == len(epochs)
        for number, (found, expected) in enumerate(zip(told[name], epochs, strict=True)):
            for what, value in expected.items():
                near = None if value is None else pytest.approx(value, rel=1e-5, abs=1e-7)
                assert found[what] == near, (name, number, what)
