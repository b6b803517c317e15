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


def test_what_was_held_out_is_judged(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_sequences(200, time=25, channels=2, seed=1)
    np.savez("data.npz", X=np.stack(made.series), y=np.array(["no", "yes"])[made.labels])
    command("data", "pack", "data.npz", "set")
    assert command("train", "set", "--out", "run", "--units", "2", "--epochs", "1")[0] == 0
    held = json.loads((tmp_path / "run" / "report.json").read_text())["data"]["test_cases"]
    told = f"the part that training held out: {held} cases x 25 steps x 2 channels, 2 classes"
    code, out, _ = command("evaluate", "run", "set")
    assert (code, out.splitlines()[0]) == (0, told)
    from quadgate.report.parts import parts_of_run

    train, part, which = parts_of_run(tmp_path / "run")
    assert (len(train), len(part), which) == (200 - held, held, told)
    assert not set(train.names) & set(part.names)
    (tmp_path / "set" / "part-00000.parquet").rename(tmp_path / "set" / "other.parquet")
    assert "whether it learned from some of these is not known" in command("evaluate", "run", "set")[1]


def test_arrays_are_trained_on_beside_parquet_files(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_sequences(40, time=25, channels=2, seed=1)
    np.save("X.npy", np.stack(made.series))
    np.save("y.npy", made.labels)
    (tmp_path / "other.parquet").write_bytes(b"")
    arrays = ("--x", "X.npy", "--y", "y.npy")
    assert command("train", *arrays, "--out", "run", "--units", "2", "--epochs", "1")[0] == 0
    assert command("predict", "run", *arrays, "--output", "a.csv")[0] == 0
    for more in (("train",), ("predict", "run")):
        code, _, err = command(*more, ".", *arrays)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith("error: --x: found 'X.npy' for ")
