import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from quadgate.data import make_sequences
from quadgate.data.parquet import LeftOut
from quadgate.errors import InputError
from quadgate.report.page import _data_card
from quadgate.report.parts import data_of_run, left_out_of_run, parts_of_run


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
        "set: a set of Parquet files (1 file with 1 row group)",
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
    train, part, which = parts_of_run(tmp_path / "run")
    assert (len(train), len(part), which) == (200 - held, held, told)
    assert not set(train.names) & set(part.names)
    (tmp_path / "set" / "part-00000.parquet").rename(tmp_path / "set" / "other.parquet")
    assert "whether it learned from some of these is not known" in command("evaluate", "run", "set")[1]


def test_what_is_damaged_and_left_out_stands_in_the_report(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_sequences(120, time=25, channels=2, seed=1)
    np.savez("data.npz", X=np.stack(made.series), y=np.array(["no", "yes"])[made.labels])
    command("data", "pack", "data.npz", "set")
    table = pq.read_table("set/part-00000.parquet")
    pq.write_table(table.slice(0, 25 * 30).drop_columns(["1"]), "set/part-00001.parquet")
    (tmp_path / "set" / "part-00002.parquet").write_bytes(b"PAR1")
    options = ("--out", "run", "--units", "2", "--epochs", "1")
    code, _, err = command("train", "set", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert "(1 more like it); --skip-damaged goes on with the rest, 1 row groups" in err
    code, out, _ = command("train", "set", *options, "--skip-damaged")
    assert code == 0
    why = "part-00001.parquet: found no column '1', expected it as in the other files (1)"
    assert f"left out: {why} (30 cases)" in out.splitlines()
    lost = json.loads((tmp_path / "run" / "report.json").read_text())["data"]["left_out"]
    assert lost[1] == {"what": why, "cases": 30}
    assert lost[0]["what"].startswith("part-00002.parquet: damaged, or no Parquet: ")
    assert (len(lost), lost[0]["cases"]) == (2, None)
    kept = left_out_of_run(tmp_path / "run")
    assert [(one.what, one.cases) for one in kept] == [(one["what"], one["cases"]) for one in lost]
    _, judged, which = parts_of_run(tmp_path / "run")  # damaged as it is, the set is read again as it was
    assert which.startswith("the part that training held out: ")
    note, table = _data_card(SimpleNamespace(parts={"judged": judged}), kept)[1:3]
    assert note.text == "Left out, since it is damaged, and not read: at least 30 cases."
    assert list(table.rows) == [[lost[0]["what"], "not known"], [why, 30]]
    for known, told in (((0, 0), "no case"), ((None, None), "how many cases is not known"), ((1, 0), "1 case")):
        some = [LeftOut("a.parquet: damaged", one) for one in known]
        told_of = _data_card(SimpleNamespace(parts={"judged": judged}), some)[1].text
        assert told_of == f"Left out, since it is damaged, and not read: {told}."
    pages = []
    monkeypatch.setattr("quadgate.report.page.report_page", lambda _, left_out: pages.append(left_out) or "")
    found = SimpleNamespace(as_json=dict, doubts=[])
    monkeypatch.setattr("quadgate.report.findings.find", lambda *_: found)
    assert command("report", "run", "--json")[0] == 0
    assert command("report", "run", "data.npz", "--json")[0] == 0
    assert pages == [kept, ()]  # what the run lacked says nothing of other data
    with pytest.raises(InputError, match=r"^part-00002\.parquet: damaged"):
        data_of_run(tmp_path / "run", "set")  # leaving out was asked for in training, not of these data


def test_predictions_that_an_earlier_version_began_are_refused_with_what_to_do(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_sequences(40, time=25, channels=2, seed=1)
    np.savez("data.npz", X=np.stack(made.series), y=np.array(["no", "yes"])[made.labels])
    command("data", "pack", "data.npz", "set")
    assert command("train", "set", "--out", "run", "--units", "2", "--epochs", "1")[0] == 0
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "predictions.json").write_text("{}")
    code, _, err = command("predict", "run", "set", "--output", "old")
    told = (
        "error: old: found predictions that an earlier version of quadgate began; remove old to predict anew, or give "
    )
    assert (code, err.splitlines()[-1]) == (2, told + "another --output")


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
