import json
from functools import partial

import pytest
from typer.testing import CliRunner

from quadgate import speed
from quadgate.cli.app import app


@pytest.fixture
def one_small_case(monkeypatch):
    case = speed.Case("infer", units=8, cases=2, threads=1, steps=5, channels=3)
    monkeypatch.setattr(speed, "selection", lambda name: [case])


@pytest.mark.slow
@pytest.mark.usefixtures("one_small_case")
def test_a_table_and_a_file(tmp_path):
    run = CliRunner().invoke(app, ["bench", "--seconds", "0.01", "--out", str(tmp_path / "speed.json")])
    assert run.exit_code == 0, run.output
    assert "infer H=8 N=2 threads=1" in run.stdout
    assert json.loads((tmp_path / "speed.json").read_text())["cases"][0]["units"] == 8


@pytest.mark.slow
@pytest.mark.usefixtures("one_small_case")
def test_json_is_one_object_on_standard_output():
    run = CliRunner().invoke(app, ["bench", "--seconds", "0.01", "--json"])
    report = json.loads(run.stdout)
    assert {"machine", "versions", "cases"} <= report.keys()
    assert "infer H=8" in run.stderr


@pytest.mark.slow
def test_steps_of_a_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "measure_steps", partial(speed.measure_steps, units=8, channels=3))
    run = CliRunner().invoke(
        app, ["bench", "--stream", "--seconds", "0.01", "--json", "--out", str(tmp_path / "s.json")]
    )
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert report == json.loads((tmp_path / "s.json").read_text())
    assert report["model"] == {"units": 8, "channels": 3, "classes": 6}
    assert report["times_quadgate"]["quadgate"] == 1
    assert "streams at 1 kHz" in run.stderr
