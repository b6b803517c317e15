import json
import subprocess
import sys

import numpy as np
import pytest

WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not here")

sys.meta_path.insert(0, NoTorch())
from quadgate.cli import main
main()
"""


def test_it_prints_the_measures_of_all_cases(command, folder):
    code, out, err = command("evaluate", "model", "data.npz")
    assert (code, err) == (0, "")
    assert out.startswith("all cases: 30 cases x 25 steps x 4 channels, 2 classes\n30 cases ")
    assert "always no" in out


def test_json_is_one_object_on_standard_output(command, folder):
    code, out, err = command("evaluate", "model", "data.npz", "--json")
    assert (code, err) == (0, "all cases: 30 cases x 25 steps x 4 channels, 2 classes\n")
    found = json.loads(out)
    assert (found["run"], found["cases"], found["classes"]) == ("model", 30, ["no", "yes"])
    confusion = np.array(found["confusion"])
    assert found["model"]["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())


def test_unknown_labels_are_refused_or_counted_apart(command, folder):
    data = dict(np.load("data.npz"))
    data["y"][:3] = "?"
    np.savez("odd.npz", **data)
    code, _, err = command("evaluate", "model", "odd.npz")
    assert code == 2
    assert "found 3 cases with labels that training never saw: '?' (3); expected 'no', 'yes'" in err
    assert err.count("\n") == 1
    code, out, _ = command("evaluate", "model", "odd.npz", "--unknown-labels", "ignore")
    assert code == 0
    assert "left out: 3 cases of the unknown label '?'" in out


def test_series_and_files_that_do_not_fit_get_one_line(command, folder):
    np.savez("five.npz", X=np.zeros((6, 25, 5)), y=["no", "yes"] * 3)
    np.savez("unlabelled.npz", X=np.zeros((6, 25, 4)))
    for arguments, text in (
        (["model", "five.npz"], "error: five.npz: found 5 channels, expected 4 as in training\n"),
        (["model", "unlabelled.npz"], "found no labels, expected one for each case; use `quadgate predict`\n"),
        (["nothing", "data.npz"], "nothing: not found"),
    ):
        code, _, err = command("evaluate", *arguments)
        assert code == 2
        assert text in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_torch_is_not_needed(folder, verb):
    arguments = [sys.executable, "-c", WITHOUT_TORCH, verb, "model", "data.npz", "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["classes"]) == 2
