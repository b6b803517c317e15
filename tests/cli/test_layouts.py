import json
import subprocess
import sys

import pytest


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "quadgate", "layouts", *arguments], capture_output=True, text=True, encoding="utf-8"
    )


def test_all_are_listed():
    told = run()
    assert (told.returncode, told.stderr) == (0, "")
    assert "tf1.BasicLSTMCell" in told.stdout
    assert "torch.nn.LSTM" in told.stdout


def test_one_is_drawn():
    told = run("keras.LSTM", "--inputs", "3", "--units", "5")
    assert told.returncode == 0
    assert "kernel  [C, 4H] = [3, 20]" in told.stdout
    assert "W_xf" in told.stdout
    assert "keras-team/keras" in told.stdout


def test_json_is_one_object():
    everything = json.loads(run("--json").stdout)
    assert everything["onnx.LSTM"]["gates"] == ["i", "o", "f", "j"]
    one = json.loads(run("onnx.LSTM", "--json", "--units", "2").stdout)
    assert one["tensors"][2] == {
        "name": "B", "shape": "[1, 8H]", "example": [1, 16], "optional": True, "axis": 1,
        "parts": [
            {"array": "b_x", "axes": "1 (g u)", "gates": ["i", "o", "f", "j"], "reread": False},
            {"array": "b_h", "axes": "1 (g u)", "gates": ["i", "o", "f", "j"], "reread": False},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"), [(("keras.LTSM",), "did you mean 'keras.LSTM'"), (("keras.LSTM", "--units", "0"), "found 0")]
)
def test_what_cannot_be_told_is_one_line_and_exit_code_2(arguments, told):
    refused = run(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert told in refused.stderr
