import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

import quadgate
from quadgate.data import make_sequences, read
from quadgate.formats import save
from quadgate.model import Model, Network


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model of three classes and two channels in `model`, and unlabelled series in `data.npz`."""
    rng = np.random.default_rng(1)
    network = Network(inputs=2, units=3, classes=3, bidirectional=True)
    variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    save(Model(network, variables, labels=("a", "b", "c, d")), tmp_path / "model")
    np.savez(tmp_path / "data.npz", X=np.stack(make_sequences(7, time=30, channels=2).series))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected():
    chances, _ = quadgate.load("model").run(np.load("data.npz")["X"], output="probabilities")
    return chances


def test_the_csv_goes_to_standard_output_alone(command, folder):
    code, out, err = command("predict", "model", "data.npz")
    assert (code, err) == (0, "all cases: 7 cases x 30 steps x 2 channels, no labels\n")
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["case", "class", "probability of a", "probability of b", "probability of c, d"]
    np.testing.assert_allclose(np.array([row[2:] for row in rows], float), expected(), rtol=1e-6)
    assert [row[1] for row in rows] == np.array(["a", "b", "c, d"])[expected().argmax(1)].tolist()


def test_the_csv_is_written_to_a_file(command, folder):
    code, out, err = command("predict", "model", "data.npz", "--output", "classes.csv")
    assert (code, out) == (0, "")
    assert err.endswith("7 predictions are in classes.csv\n")
    assert (folder / "classes.csv").read_text() == command("predict", "model", "data.npz")[1]


def test_series_of_few_steps_are_taken_as_the_model_reads_them(command, folder):
    np.save("short.npy", np.load("data.npz")["X"][:, :1])
    code, out, err = command("predict", "model", "--x", "short.npy")
    assert (code, err) == (0, "all cases: 7 cases x 1 step x 2 channels, no labels\n")
    assert len(out.splitlines()) == 8


def test_json_is_one_object(command, folder):
    code, out, _ = command("predict", "model", "data.npz", "--json", "--output", "classes.csv")
    found = json.loads(out)
    assert code == 0
    assert found["classes"] == ["a", "b", "c, d"]
    np.testing.assert_allclose(found["probabilities"], expected(), rtol=1e-6)
    assert (folder / "classes.csv").exists()


def test_another_number_of_channels_gets_one_line_and_writes_nothing(command, folder):
    np.savez("three.npz", X=np.zeros((4, 9, 3)))
    code, out, err = command("predict", "model", "three.npz", "--output", "classes.csv")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "error: three.npz: found 3 channels, expected 2 as in training"
    assert not (folder / "classes.csv").exists()


def test_channels_are_matched_by_name_and_not_by_place(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make_sequences(24, time=20, channels=3)
    rows = [
        pd.DataFrame({"case": k, "time": range(20), "label": label} | dict(zip("abc", one.T, strict=True)))
        for k, (one, label) in enumerate(zip(made.series, made.labels, strict=True))
    ]
    table = pd.concat(rows)
    table.to_csv("plain.csv", index=False)
    table[["c", "label", "a", "case", "b", "time"]].to_csv("mixed.csv", index=False)
    table.rename(columns={"b": "x"}).to_csv("other.csv", index=False)
    table.drop(columns="b").to_csv("fewer.csv", index=False)
    np.savez("numbered.npz", X=np.stack(made.series), y=made.labels)
    assert command("train", "plain.csv", "--units", "4", "--epochs", "2", "--out", "run")[0] == 0
    expected = command("predict", "run", "plain.csv")[1]
    for data in ("mixed.csv", "numbered.npz"):
        assert command("predict", "run", data)[1] == expected
    near = [command("predict", "run", data, "--neighbors", "1")[1] for data in ("plain.csv", "mixed.csv")]
    assert near[0] == near[1]
    measured = [json.loads(command("evaluate", "run", data, "--json")[1]) for data in ("plain.csv", "mixed.csv")]
    assert measured[0]["model"] == measured[1]["model"]
    for data, message in (
        (
            "other.csv",
            "error: other.csv: found the channels a, x, c, expected a, b, c as in training; rename the columns",
        ),
        ("fewer.csv", "error: fewer.csv: found 2 channels, expected 3 as in training"),
    ):
        for verb in ("predict", "evaluate"):
            code, _, err = command(verb, "run", data)
            assert code == 2
            assert err.splitlines()[-1].startswith(message)


def test_a_test_part_has_its_channels_matched_by_name(tmp_path):
    one = pd.DataFrame({"case": [0, 0, 1, 1], "label": [0, 0, 1, 1], "a": [1.0, 2, 3, 4], "b": [5.0, 6, 7, 8]})
    one.to_csv(tmp_path / "train.csv", index=False)
    one[["case", "b", "a", "label"]].to_csv(tmp_path / "test.csv", index=False)
    data = read(tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert data.test.channels == ("a", "b")
    assert all(map(np.array_equal, data.train.series, data.test.series))
