import json

import numpy as np

from quadgate.data import make_sequences


def test_a_set_is_trained_on_judged_and_predicted(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_sequences(200, time=25, channels=2, seed=1)
    np.savez("data.npz", X=np.stack(made.series), y=np.array(["no", "yes"])[made.labels])
    command("data", "pack", "data.npz", "set")
    options = ("--out", "run", "--units", "4", "--epochs", "2", "--seed", "3")
    code, out, _ = command("train", "set", *options)
    assert code == 0
    lines = out.splitlines()
    assert lines[:5] == [
        "200 cases x 25 steps x 2 channels, 2 classes",
        "set: a set of Parquet files (1 with 1 row groups)",
        "cases: column 'case'",
        "labels: column 'label'",
        "channels: 0, 1",
    ]
    assert lines[5] == "its files are streamed, epoch by epoch: memory does not grow with them"
    assert lines[6].startswith("no test part was given: ")
    assert lines[-1] == "next: quadgate predict run DATA --output classes"
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["data"]["fitted_cases"] + report["data"]["validation_cases"] + report["data"]["test_cases"] == 200
    assert command("predict", "run", "set", "--output", "classes")[0] == 0
    assert command("evaluate", "run", "set")[0] == 0
    code, _, err = command("train", "set", "--out", "other", "--class-weight", "balanced")
    assert (code, err) == (
        2,
        "error: --class-weight: found 'balanced' for Parquet files that are streamed, expected none\n",
    )
