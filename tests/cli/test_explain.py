import json
import subprocess
import sys

import numpy as np
import pytest
from rich.cells import cell_len

from quadgate.formats import save
from quadgate.model import Model, Network


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "quadgate", "explain", *arguments], capture_output=True, text=True, encoding="utf-8"
    )


@pytest.mark.parametrize(
    "arguments", [("--inputs", "12", "--units", "64"), ("--shape", "76x256"), ("--shape", "(76, 256)")]
)
def test_the_arithmetic_of_the_seed(arguments):
    told = run(*arguments)
    assert (told.returncode, told.stderr) == (0, "")
    assert "(12 inputs + 64 hidden) x (4 gates x 64 units) = 76 x 256 = 19,456" in told.stdout


def test_only_a_bare_shape_is_told_what_else_it_could_be():
    assert "COULD BE" in run("--shape", "76x256").stdout
    assert "COULD BE" not in run("--inputs", "12", "--units", "64").stdout


def test_the_trace_is_told_on_request():
    told = run("--inputs", "2", "--units", "3", "--trace")
    assert "largest difference between eight products and one" in told.stdout
    assert "largest difference" not in run("--inputs", "2", "--units", "3").stdout


def test_chinese():
    told = run("--shape", "12x256", "--trace", "--lang", "zh")
    assert told.returncode == 0
    assert "(12 个输入 + 64 个隐藏值) x (4 个门 x 64 个单元) = 76 x 256 = 19,456" in told.stdout
    assert "遗忘门" in told.stdout
    assert max(map(cell_len, told.stdout.splitlines())) <= 80


def test_json_is_one_object():
    answer = json.loads(run("--shape", "256x12", "--trace", "--json").stdout)
    assert answer["kernel"] == [76, 256]
    assert answer["bias"] == [256]
    assert answer["numbers"] == {"kernel": 19456, "bias": 256, "total": 19712}
    assert answer["rows"] == {"x": [0, 12], "h": [12, 76]}
    assert answer["columns"] == {"i": [0, 64], "j": [64, 128], "f": [128, 192], "o": [192, 256]}
    assert answer["readings"][0] == {"arrangement": "input_transposed", "inputs": 12, "units": 64}
    assert answer["trace"]["largest_difference"] < 1e-15


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to explain"),
        (("--inputs", "12"), "nothing to explain"),
        (("--inputs", "12", "--shape", "76x256"), "nothing to explain"),
        (("76x256",), "no such file; for a shape, quadgate explain --shape 76x256"),
        (("gone.safetensors",), "gone.safetensors: not found"),
        (("gone.safetensors", "--shape", "76x256"), "nothing to explain"),
        (("--inputs", "0", "--units", "64"), "inputs: found 0"),
        (("--shape", "76x255"), "found 255 columns, expected a multiple of 4"),
        (("--shape", "seventy"), "such as 76x256"),
        (("--shape", "76x256", "--lang", "cn"), "language 'cn'"),
    ],
)
def test_what_cannot_be_explained_is_one_line_and_exit_code_2(arguments, told):
    refused = run(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert told in refused.stderr


def test_the_layers_of_a_file_are_drawn(tmp_path):
    network = Network(inputs=12, units=8, classes=3, layers=2, bidirectional=True)
    zeros = {name: np.zeros(shape, np.float32) for name, shape in network.shapes.items()}
    save(Model(network, zeros), tmp_path)
    told = run(str(tmp_path))
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.count("(12 inputs + 8 hidden) x (4 gates x 8 units) = 20 x 32 = 640") == 2
    assert told.stdout.count("(16 inputs + 8 hidden) x (4 gates x 8 units) = 24 x 32 = 768") == 2
    for cell in (cell for layer in network.cells for cell in layer):
        assert f"{cell.name}\n" in told.stdout
    answer = json.loads(run(str(tmp_path), "--json").stdout)
    assert [cell["kernel"] for cell in answer["cells"]] == [[20, 32], [20, 32], [24, 32], [24, 32]]
    assert {cell["forget_bias"] for cell in answer["cells"]} == {1.0}
