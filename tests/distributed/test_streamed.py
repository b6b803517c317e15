"""Several processes on a set of Parquet files have the losses of one."""

import json
from pathlib import Path

import pytest

from distributed.streamed import losses
from distributed.torchrun import run
from quadgate.data import make_sequences
from quadgate.data.parquet import pack, packing, part
from quadgate.data.parquet.sources import Held

SCRIPT = Path(__file__).with_name("streamed.py")


@pytest.mark.slow
def test_the_losses_are_those_of_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "GROUP", 1200)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 300)
    monkeypatch.setattr(part, "WINDOW", part.WINDOW)  # what `losses` sets is put back
    pack(Held(make_sequences(61, time=(20, 30), channels=3, seed=2)), tmp_path / "set", "x")
    ended = run(2, SCRIPT, tmp_path / "set", tmp_path / "told.json")
    assert ended.returncode == 0, ended.stderr
    told, alone = json.loads((tmp_path / "told.json").read_text()), losses(str(tmp_path / "set"))
    assert len(told) == len(alone) >= 4
    for found, expected in zip(told, alone, strict=True):
        assert found == [pytest.approx(value, rel=1e-5, abs=1e-7) if value is not None else None for value in expected]
