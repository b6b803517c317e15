import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import quadgate
from quadgate.data import make_sequences

QUICK = ["--units", "4", "--epochs", "3", "--batch-size", "8", "--seed", "2", "--valid-fraction", "0.2"]


@pytest.fixture
def arrays(tmp_path):
    """X.npy and y.npy: 40 cases of 25 steps and 4 channels, two classes."""
    made = make_sequences(40, time=25, channels=4)
    np.save(tmp_path / "X.npy", np.stack(made.series))
    np.save(tmp_path / "y.npy", np.array(["no", "yes"])[made.labels])
    return ["--x", str(tmp_path / "X.npy"), "--y", str(tmp_path / "y.npy")]


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    """The command line, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return command


def variables(folder):
    return {name: np.asarray(array) for name, array in quadgate.load(folder).variables.items()}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array.view(np.uint32), other[name].view(np.uint32), err_msg=name)


def test_a_run_says_what_was_read_what_came_of_it_and_what_is_next(run, arrays, tmp_path):
    code, out, _ = run("train", *arrays, *QUICK)  # progress, if it takes a while, is on standard error
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "40 cases x 25 steps x 4 channels, 2 classes"
    held = "no test part was given: 10 of 40 cases are held out (every class keeps its share, drawn with seed 2)"
    assert held in lines
    assert re.search(r"^accuracy +\d\.\d{4} +\d\.\d{4} to \d\.\d{4} +0\.5000$", out, re.MULTILINE)
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-X", folder.name)
    assert lines[-2:] == [
        f"the run is in runs/{folder.name}",
        f"next: quadgate predict runs/{folder.name} DATA --output classes.csv",
    ]
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "history.jsonl",
        "report.json",
        "training_states.safetensors",
        "checkpoints",
    }


def test_the_report_describes_the_run(run, arrays):
    code, out, err = run("train", *arrays, *QUICK, "--out", "here", "--json", "--pool", "attention")
    assert code == 0
    assert "40 cases x 25 steps" in err
    told = json.loads(out)
    written = json.loads(Path("here/report.json").read_text(encoding="utf-8"))
    assert told == {"run": "here"} | written
    assert written["format_version"] == 1
    assert written["settings"]["pool"] == "attention"
    assert written["settings"]["seed"] == 2
    assert written["reach"]["before"]["reached"] == 25
    assert written["test"]["cases"] == 10
    assert written["versions"]["quadgate"] == quadgate.__version__
    assert written["training"]["epochs"] == 3


def test_the_same_seed_gives_the_same_bits(run, arrays):
    for out in ("a", "b"):
        assert run("train", *arrays, *QUICK, "--out", out)[0] == 0
    assert_same_bits(variables("a"), variables("b"))


def test_the_seed_preset_on_long_series_warns_and_names_the_cure(run, tmp_path):
    made = make_sequences(12, time=300, channels=2)
    np.savez(tmp_path / "long.npz", X=np.stack(made.series), y=made.labels)
    quick = ["--units", "4", "--epochs", "1", "--valid-fraction", "0.3"]
    code, _, err = run("train", "long.npz", "--preset", "seed", *quick, "--out", "seed")
    assert code == 0
    what, streams, warning, cure = err.splitlines()
    assert re.fullmatch(
        r"training one network: 1 x 4 units reading forward, pool last; 122 numbers, at most about \d+ s", what
    )
    assert streams == "the result can stream: it answers after every sample"
    assert re.match(r"warning: before training, the gradient of the loss reaches \d+ of 300 steps", warning)
    assert cure == "cure: --pool mean, --pool attention or --initializer chrono"
    code, _, err = run("train", "long.npz", *quick, "--out", "default")
    assert code == 0
    assert "reading both directions, in patches of 8 steps every 4, pool " in err
    assert err.splitlines()[1:] == ["the result cannot stream: it answers at the end"]


def test_a_network_that_streams_is_judged_by_the_samples_seen(run, arrays, tmp_path):
    code, out, err = run("train", *arrays, *QUICK, "--preset", "stream", "--tensorboard", "events", "--out", "here")
    assert code == 0
    assert "the result can stream" in err
    line = r"^right after 10 % of the samples \d\.\d{4}, after 25 % .*, after 100 % (\d\.\d{4})$"
    accuracy = re.search(r"^accuracy +(\d\.\d{4})", out, re.MULTILINE)[1]
    assert re.search(line, out, re.MULTILINE)[1] == accuracy
    assert next((tmp_path / "events").iterdir()).name.startswith("events.out.tfevents")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere.csv"], "nowhere.csv: found no such file or folder"),
        (["--pool", "man"], "pool: found 'man'; did you mean 'mean'?"),
        (["--preset", "sed"], "preset: found 'sed'; did you mean 'seed'?"),
        (["--units", "0"], "units: found 0, expected at least 1"),
        (["--class-weight", "rare"], "--class-weight: found 'rare', expected 'balanced'"),
        (
            ["--precision", "mixed"],
            "precision: found 'mixed' on the cpu, where it is slower; expected it with device cuda",
        ),
        (["--accumulate", "0"], "accumulate: found 0, expected at least 1"),
        (["--resume"], "--resume: expected --out RUN with it, the folder of the run to go on with"),
        (["--resume", "--out", "."], ".: found no run to resume, expected checkpoints; give another --out"),
        (["--learning-rate", "4e38"], "learning_rate: found 4e+38, expected at most 3.4e+38, the largest of float32"),
        (["--device", "gpu"], "device: found 'gpu', expected cpu, cuda, or cuda:1 and so on"),
        (["--out", "."], ".: exists already; go on with --resume, or give another --out"),
    ],
)
def test_bad_input_gets_one_line_and_code_2(run, arrays, arguments, text):
    data = [] if arguments[0].endswith(".csv") else arrays
    code, _, err = run("train", *data, *arguments)
    assert (code, err) == (2, f"error: {text}\n")


def test_a_folder_that_cannot_be_made_gets_one_line(run, arrays):
    code, _, err = run("train", *arrays, *QUICK, "--out", "X.npy/run")
    assert code == 2
    assert err.endswith("\nerror: X.npy/run/checkpoints: not a directory; give a path that can be used\n")


def test_one_class_and_unknown_test_labels_are_refused_before_training(run, arrays, tmp_path):
    np.save(tmp_path / "one.npy", np.array(["yes"] * 40))
    code, _, err = run("train", *arrays[:3], tmp_path / "one.npy", *QUICK)
    assert code == 2
    assert "found one class only" in err
    np.savez(tmp_path / "train.npz", X=np.load("X.npy"), y=np.load("y.npy"))
    np.savez(tmp_path / "test.npz", X=np.load("X.npy"), y=np.array(["yes", "perhaps"] * 20))
    code, _, err = run("train", "train.npz", "--test", "test.npz", *QUICK)
    assert code == 2
    assert "20 cases with labels that training never saw: 'perhaps' (20)" in err
    assert not (tmp_path / "runs").exists()


def test_a_rare_class_counts_as_much_where_it_is_asked_for(run, tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(60) % 6 == 0, "rare", "common")
    np.savez(tmp_path / "rare.npz", X=rng.normal(size=(60, 9, 2)), y=y)  # nothing to learn but the shares
    said = {}
    for name, more in (("plain", []), ("heavy", ["--class-weight", "balanced"])):
        code, out, _ = run("train", "rare.npz", *QUICK, "--epochs", "20", "--out", name, *more, "--accumulate", "2")
        assert code == 0
        assert ("counts as much as any other" in out) == bool(more)
        said[name] = quadgate.load(name).run(np.load("rare.npz")["X"], output="probabilities")[0][:, 1].mean()
    assert said["plain"] < 0.35 < said["heavy"]
    assert run("train", "rare.npz", *QUICK, "--epochs", "20", "--out", "heavy", "--resume", "--accumulate", "2")[0] == 2


def test_training_in_float64_and_on_a_device_is_asked_for(run, arrays):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    assert run("train", *arrays, *QUICK, "--out", "double", "--precision", "float64")[0] == 0
    assert run("train", *arrays, *QUICK, "--out", "single")[0] == 0
    one, other = variables("double"), variables("single")
    assert all(one[name].dtype == np.float32 for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)
    code, _, err = run("train", *arrays, *QUICK, "--out", "gpu", "--device", "cuda", "--precision", "mixed")
    assert code == 2
    assert err.startswith("error: device: found 'cuda', but no GPU is usable here")


def test_a_damaged_checkpoint_is_refused(run, arrays, tmp_path):
    assert run("train", *arrays, *QUICK, "--out", "here")[0] == 0
    checkpoint = tmp_path / "here" / "checkpoints" / "search.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    code, _, err = run("train", *arrays, *QUICK, "--out", "here", "--resume")
    assert code == 2
    *_, last = err.splitlines()
    assert last.startswith("error: here/checkpoints/search.safetensors: found a damaged file")


def begin(arguments, folder, epochs):
    """Start a training in a process of its own, and return it when some epochs are over."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "quadgate", "train", *arguments, "--out", str(folder)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    history = folder / "history.jsonl"
    deadline = time.monotonic() + 60
    while not history.exists() or history.read_text().count("\n") < epochs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


LONG = ["--units", "4", "--epochs", "40", "--patience", "40", "--seed", "2", "--valid-fraction", "0.2"]


@pytest.mark.slow
def test_ctrl_c_saves_the_best_and_says_how_to_go_on(run, arrays, tmp_path):
    folder = tmp_path / "stopped"
    process = begin([*arrays, *LONG], folder, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped, go_on = err.splitlines()[-2:]
    assert re.match(r"stopped after \d+ epochs?; the best network so far is saved in ", stopped)
    assert quadgate.load(folder).labels == ("no", "yes")
    assert not list(folder.rglob("*.part"))
    command = shlex.split(go_on.removeprefix("go on with: "))
    assert command[0] == "quadgate"
    assert run(*command[1:])[0] == 0
    assert run("train", *arrays, *LONG, "--out", "whole")[0] == 0
    assert_same_bits(variables(folder), variables("whole"))
