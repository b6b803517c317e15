import json
import shutil
from pathlib import Path

import numpy as np
import pytest

ORACLE = Path(__file__).parents[1] / "golden" / "oracle"

CHECKPOINT = str(ORACLE / "seed_network" / "trained.ckpt")


def test_the_verdict_is_the_last_line_and_the_exit_code(command, tmp_path):
    code, out, _ = command("convert", CHECKPOINT, tmp_path / "m.pt")
    assert code == 3
    assert out.splitlines()[-1] == "proved given forget_bias=1.0, activations=sigmoid tanh"
    code, out, _err = command(
        "convert", CHECKPOINT, tmp_path / "m.pt", "--forget-bias", "1", "--activations", "sigmoid tanh"
    )
    assert (code, out.splitlines()[-1]) == (0, "proved")


def test_a_forget_bias_of_each_layer(command, tmp_path):
    oracle = ORACLE / "multi"
    for file in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        shutil.copy(oracle / file, tmp_path)
    told = ["--forget-bias", "rnn/multi_rnn_cell/cell_1=0", "--activations", "sigmoid tanh"]
    code, out, _ = command("convert", tmp_path / "model.ckpt", tmp_path / "m.pt", *told)
    assert (code, out.splitlines()[-1]) == (3, "proved given forget_bias=1.0")
    code, out, _ = command("convert", tmp_path / "model.ckpt", tmp_path / "m.pt", *told, "--forget-bias", "1")
    assert (code, out.splitlines()[-1]) == (0, "proved")
    code, out, _ = command("verify", tmp_path / "model.ckpt", tmp_path / "m.pt", *told, "--forget-bias", "1")
    assert (code, out.splitlines()[-1]) == (0, "proved")
    code, out, _ = command("verify", tmp_path / "model.ckpt", tmp_path / "m.pt", "--forget-bias", "1")
    assert "B equals A if a forget bias of 1.0 is taken away" in out
    for wrong, says in (("one", "expected a number or LAYER=NUMBER"), ("cell=0", "settings for a layer 'cell'")):
        code, _, error = command("convert", tmp_path / "model.ckpt", tmp_path / "m.pt", "--forget-bias", wrong)
        assert code == 2
        assert says in error


def test_the_printed_lines_load_the_result(command, tmp_path):
    _code, out, _err = command("convert", CHECKPOINT, tmp_path / "m.pt")
    block = out.partition("\nto load it\n\n")[2].partition("\n\nproved")[0]
    space = {}
    exec("\n".join(line.removeprefix("    ") for line in block.splitlines()), space)
    assert tuple(space["logits"].shape) == (1, 2)


def test_json_is_one_object(command, tmp_path):
    code, out, _err = command("convert", CHECKPOINT, tmp_path / "m.safetensors", "--to", "safetensors", "--json")
    told = json.loads(out)
    assert (told["exit_code"], code) == (3, 3)
    assert told["layers"][0]["outputs"] < 1e-6
    assert {"tensor", "use"} == told["ledger"][0].keys()


def test_against_settles_what_was_assumed(command, tmp_path):
    case = ORACLE / "basic_forget0"
    for file in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        shutil.copy(case / file, tmp_path)
    code, out, _err = command("convert", tmp_path / "model.ckpt", tmp_path / "m.pt", "--against", case / "data.npz")
    assert code == 0
    assert "settled: forget_bias=0.0 fits" in out


def test_verify_says_why(command, tmp_path):
    import quadgate as package
    from quadgate.model import Model

    model = package.load(CHECKPOINT)
    kernel = model.cells[0][0].name + "/kernel"
    blocks = np.split(np.array(model.variables[kernel]), 4, axis=1)
    exchanged = {**model.variables, kernel: np.concatenate([blocks[k] for k in (0, 2, 1, 3)], axis=1)}
    bias = np.split(np.array(model.variables[model.cells[0][0].name + "/bias"]), 4)
    exchanged[model.cells[0][0].name + "/bias"] = np.concatenate([bias[k] for k in (0, 2, 1, 3)])
    wrong = Model(None, exchanged, cells=model.cells, head=model.head)
    package.save(wrong, tmp_path / "wrong")
    code, out, _err = command("verify", CHECKPOINT, tmp_path / "wrong")
    assert code == 1
    assert "B equals A if gates j and f are exchanged" in out
    assert out.splitlines()[-1] == "not proved"
    assert command("verify", CHECKPOINT, CHECKPOINT)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "torhc"), "did you mean 'torch'"),
        (("--activations", "sigmoid"), "expected two or three"),
        (("--cell-clip", "much"), "expected a number or none"),
    ],
)
def test_a_mistake_is_one_line(command, tmp_path, arguments, says):
    code, _out, err = command("convert", CHECKPOINT, tmp_path / "m.pt", *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_the_printed_lines_run_the_onnx_model(command, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra peers)")
    _, out, _ = command("convert", CHECKPOINT, tmp_path / "m.onnx")
    block = out.partition("\nto load it\n\n")[2].partition("\n\nproved")[0]
    space = {}
    exec("\n".join(line.removeprefix("    ") for line in block.splitlines()), space)
    assert space["logits"].shape == (1, 2)
