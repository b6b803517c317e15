"""`report`, `explain --case` and `predict --neighbors` on runs that were trained here."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import quadgate
from browser import opened
from quadgate.data import Dataset, Sequences, make_sequences
from quadgate.explain import TrainingCases, neighbors_of
from quadgate.report.parts import parts_of_run
from quadgate.report.suspicion import duplicates


@pytest.fixture(scope="module")
def trained(tmp_path_factory, train_in):
    """A folder with `data.npz`, and a run that was trained on it; long enough to be read in patches."""
    folder = tmp_path_factory.mktemp("trained")
    made = make_sequences(40, time=130, channels=3, seed=1)
    np.savez(folder / "data.npz", X=np.stack(made.series), y=np.array(["no", "yes"])[made.labels])
    train_in(folder, "data.npz", "--epochs", "2", "--units", "4")
    return folder


@pytest.fixture
def inside(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


@pytest.mark.slow
def test_the_report_is_written_from_the_run_alone_and_all_its_numbers_are_kept(command, inside):
    code, out, err = command("report", "run", "--draw", "4", "--json")
    assert code == 0
    assert "the part that training held out: 10 cases" in err
    printed = json.loads(out)
    kept = json.loads(Path("run/report.json").read_text(encoding="utf-8"))["report"]
    assert kept == {key: value for key, value in printed.items() if key not in ("run", "page")}
    assert kept["scores"]["cases"] == 10
    model = quadgate.load("run")
    assert len(kept["variables"]) == len(model.variables)
    assert sum(one["cases"] for one in kept["calibration"]["bins"]) == 10
    assert sum(one["cases"] for one in kept["accuracy_by_length"]) == 10
    wrong = sum(map(sum, kept["scores"]["confusion"])) - sum(
        row[k] for k, row in enumerate(kept["scores"]["confusion"])
    )
    assert len(kept["mistakes"]) == wrong
    assert {one["class"] for one in kept["roc"]} == {"no", "yes"}
    assert [one["cases"] for one in kept["data"]["training"]["classes"]] == [15, 15]
    assert len(kept["history"]) == len(Path("run/history.jsonl").read_text().splitlines())
    asked = kept["cases"][0]
    assert (asked["why"], asked["case"], len(asked["neighbors"])) == ("asked for", "case 4", 5)
    assert np.shape(asked["integrated_gradients"]) == (130, 3)
    with opened(Path("run/report.html").resolve(), 1280) as tab:
        assert "case 4: asked for" in tab.locator("section[data-case]:visible h2").inner_text()
        assert "network 0: 0" not in tab.content()
        assert "A column is a patch of 4 steps, one every 2." in tab.content()


@pytest.mark.slow
def test_other_data_are_judged_as_a_whole_and_beside_what_the_run_learned_from(inside):
    run, own = Path("run"), quadgate.data.read("data.npz")
    train, part, told = parts_of_run(run, own)
    assert (len(train), len(part)) == (30, 10)
    assert told.startswith("the part that training held out: 10 cases")
    leaky = Sequences([*make_sequences(38, time=130, channels=3, seed=2).series, *train.series[:2]])
    learned, judged, told = parts_of_run(run, Dataset(leaky))  # as many cases as the run's own, and not split for it
    assert len(judged) == 40
    assert told.endswith("; it learned from its own data, 30 of them")
    renamed = replace(own.train, labels=own.train.labels[::-1])
    assert parts_of_run(run, Dataset(renamed))[1].labels.tolist() == renamed.labels.tolist()  # judged by what was given
    assert all(map(np.array_equal, learned.series, train.series))
    assert duplicates(learned, judged) == {38: 0, 39: 1}
    Path("data.npz").rename("away.npz")
    try:
        assert parts_of_run(run, Dataset(leaky.take(range(7))))[0] is None
        assert len(parts_of_run(run, own)[0]) == 30
        moved = own.train.series[0] + np.float32(1e-3)
        for other in (  # as many cases, the same labels, one number of one case apart
            renamed,
            replace(own.train, series=(moved, *own.train.series[1:])),
            replace(own.train, series=own.train.series[1:] + own.train.series[:1]),
        ):
            nothing, judged, told = parts_of_run(run, Dataset(other))
            assert nothing is None
            assert len(judged) == 40
            assert told.endswith("; the run learned from other data, which are not among these")
    finally:
        Path("away.npz").rename("data.npz")


@pytest.mark.slow
def test_data_that_took_the_place_of_the_run_s_own_are_not_taken_for_them(command, inside):
    kept = dict(np.load("data.npz"))
    code, out, _ = command("evaluate", "run", "data.npz")
    assert code == 0
    assert "note: it learned from 30 of these cases" in out
    assert "`quadgate report run` judges the 10 others alone" in out
    train, _, _ = parts_of_run(Path("run"))
    np.savez("learned.npz", X=np.stack(train.series), y=train.labels)
    assert "note: it learned from these very cases" in command("evaluate", "run", "learned.npz")[1]
    try:
        np.savez("data.npz", X=kept["X"] + 1, y=kept["y"])
        train, judged, told = parts_of_run(Path("run"))
        assert (train, len(judged)) == (None, 40)
        assert told.endswith("the run learned from other data, which are not among these")
        assert "note" not in command("evaluate", "run", "data.npz")[1]
        code, _, err = command("report", "run", "--out", "other.html", "--json")
        assert code == 0
        assert "the run learned from other data" in err
    finally:
        np.savez("data.npz", **kept)


@pytest.mark.slow
def test_one_prediction_is_explained(command, inside):
    code, out, err = command("explain", "run", "--case", "3", "--html", "case.html", "--png", "case.png")
    assert code == 0
    assert out.startswith("case 3: 130 steps x 3 channels\nAnswered ")
    assert "written: case.html" in err
    assert Path("case.png").stat().st_size > 10_000
    told = json.loads(command("explain", "run", "--case", "3", "--json")[1])
    assert (told["case"], len(told["neighbors"])) == ("case 3", 5)
    assert json.loads(command("explain", "run", "data.npz", "--case", "3", "--json")[1]) == told
    for arguments, says in (
        (("--case", "10"), "--case: found '10', expected a number from 0 to 9"),
        (("--case", "x"), "--case: found 'x', expected a number"),
        (("--case", "1", "--units", "3"), "--case: expected a RUN and nothing else"),
        (("data.npz",), "DATA: found data.npz, expected it with --case alone"),
        (("gone.npz", "--case", "1"), "gone.npz: found no such file"),
    ):
        code, out, err = command("explain", "run", *arguments)
        assert (code, out) == (2, "")
        assert says in err.splitlines()[-1]


def test_a_model_without_a_run_needs_its_data_named(command, folder):
    code, out, err = command("explain", "model", "--case", "1")
    assert (code, out) == (2, "")
    assert err == "error: model: found no report.json, which says what it was trained on; expected DATA with it\n"
    code, out, err = command("explain", "model", "data.npz", "--case", "1", "--lang", "zh")
    assert code == 0
    assert "which of them it learned from is not known" in err
    assert "不知道最近的训练样本" in out
    code, _, err = command("predict", "model", "data.npz", "--neighbors", "2")
    assert code == 2
    assert "training_states.safetensors: not found" in err


@pytest.mark.slow
def test_predictions_name_their_neighbours(command, inside):
    code, out, _ = command("predict", "run", "data.npz", "--neighbors", "2")
    assert code == 0
    header, *rows = csv.reader(out.splitlines())
    names = ["neighbor", "class of neighbor", "distance of neighbor"]
    assert header[4:] == [f"{name} {k}" for k in (1, 2) for name in names]
    series = list(np.load("data.npz")["X"].astype("f4"))
    expected = neighbors_of(quadgate.load("run"), series, TrainingCases.load("run"), 2)
    assert [row[4] for row in rows] == [near[0].name for near in expected]
    told = json.loads(command("predict", "run", "data.npz", "--neighbors", "2", "--json")[1])
    assert told["neighbors"][7][1] == expected[7][1].as_json()
    assert "neighbors" not in json.loads(command("predict", "run", "data.npz", "--json")[1])
    code, _, err = command("predict", "run", "data.npz", "--neighbors", "31")
    assert code == 2
    assert "neighbors: found 31, expected 1 to 30, the number of training cases" in err
