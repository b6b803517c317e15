"""A class at each step on the command line: learned by `--preset stream`, measured and written after each step."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

import quadgate

QUICK = ["--preset", "stream", "--units", "6", "--epochs", "12", "--batch-size", "8", "--learning-rate", "0.03"]


def changing(cases, seed):
    """Rows of series whose first channel rises above 0 at some step: `off` before, `on` from then."""
    rng, rows = np.random.default_rng(seed), []
    for case, T in enumerate(rng.integers(12, 20, cases)):
        on = np.arange(T) >= rng.integers(2, 20)
        a, b = 2.0 * on - 1 + 0.3 * rng.normal(size=T), rng.normal(size=T)
        rows.append(pd.DataFrame({"case": case, "time": range(T), "a": a, "b": b, "label": np.where(on, "on", "off")}))
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, train_in):
    """A folder with `steps.csv`, `more.csv` and a run that learned from the first."""
    folder = tmp_path_factory.mktemp("steps")
    changing(40, 0).to_csv(folder / "steps.csv", index=False)
    changing(9, 1).to_csv(folder / "more.csv", index=False)
    train_in(folder, "steps.csv", *QUICK)
    return folder


@pytest.fixture
def inside(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_training_learns_and_measures_each_step(inside):
    kept = json.loads((inside / "run/report.json").read_text())
    assert kept["data"]["a_class_at"] == "each step"
    assert "labels change within a case: a class at each step" in kept["data"]["how"]
    assert kept["data"]["how"][-1] == "no test part was given: 10 of 40 cases are held out (drawn with seed 0)"
    assert kept["test"]["cases"] == 10
    assert kept["test"]["steps"] == sum(map(sum, kept["test"]["confusion"]))
    assert kept["test"]["model"]["accuracy"] > 0.9


def test_new_data_are_measured_and_answered_at_each_step(command, inside):
    code, out, _ = command("evaluate", "run", "more.csv")
    table = pd.read_csv("more.csv", float_precision="round_trip")
    assert code == 0
    assert f"{len(table)} steps of 9 cases" in out
    code, out, err = command("predict", "run", "more.csv")
    header, *rows = csv.reader(io.StringIO(out))
    assert (code, header) == (0, ["case", "step", "class", "probability of off", "probability of on"])
    assert [(int(row[0]), int(row[1])) for row in rows] == list(zip(table["case"], table["time"], strict=True))
    assert np.mean(np.array([row[2] for row in rows]) == table["label"]) > 0.9
    series = [one[["a", "b"]].to_numpy(np.float32) for _, one in table.groupby("case")]
    model = quadgate.load("run")
    last = [rows[k] for k in np.cumsum([len(one) for one in series]) - 1]
    chances = model.run(series, output="probabilities")[0]
    np.testing.assert_array_equal(np.array([row[3:] for row in last], np.float32), chances)
    ends = list(csv.reader(io.StringIO(command("predict", "run", "more.csv", "--no-steps")[1])))[1:]
    assert [row[1:] for row in ends] == [row[2:] for row in last]
    code, _, err = command("predict", "run", "more.csv", "--neighbors", "2")
    assert code == 2
    assert err.splitlines()[-1].startswith("error: --neighbors: found with a class after each step")


def test_a_case_with_one_class_has_it_at_each_of_its_steps(command, inside):
    table = pd.read_csv("more.csv")
    table[table["label"] == "on"].to_csv("on.csv", index=False)
    code, out, _ = command("evaluate", "run", "on.csv", "--json")
    assert code == 0
    assert json.loads(out)["steps"] == (table["label"] == "on").sum()


def test_an_npz_of_cases_by_time_is_the_same(command, inside, tmp_path):
    table = pd.read_csv("steps.csv")
    cases = [one for _, one in table.groupby("case")]
    X, y = np.zeros((40, 25, 2)), np.full((40, 25), "")
    y = y.astype("U3")
    for row, labels, one in zip(X, y, cases, strict=True):
        row[: len(one)] = one[["a", "b"]]
        labels[: len(one)] = one["label"]
    np.savez("steps.npz", X=X, y=y, lengths=[len(one) for one in cases])
    assert command("train", "steps.npz", "--out", tmp_path / "run", *QUICK)[0] == 0
    one, other = (quadgate.load(folder).variables for folder in ("run", tmp_path / "run"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_what_cannot_answer_at_each_step_says_so_in_one_line(command, inside):
    for arguments, message in (
        (
            ("train", "steps.csv", "--out", "no"),
            "found the labels 'off', 'on', expected one for each case, or --preset",
        ),
        (("train", "steps.csv", "--preset", "best", "--out", "no"), "which learns a class at each step"),
    ):
        code, _, err = command(*arguments)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
        assert not (inside / "no").exists()


@pytest.mark.slow
def test_a_report_judges_the_last_step_and_says_so(command, inside):
    code, out, err = command("report", "run", "--out", "page.html")
    assert code == 0
    assert "judged by the answer after the last step" in err
    assert "10 cases" in out
