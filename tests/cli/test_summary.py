import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from quadgate.cli.app import app
from quadgate.model import Ensemble, Member, Model, Network, Patches, save_ensemble


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["summary", *arguments], env={"COLUMNS": "80"}, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_seed_networks_table_and_arithmetic(oracle):
    printed = run(str(oracle("seed_network").folder / "model.ckpt"))
    for row in (
        ["Variable:0", "(64, 2)", "128"],
        ["Variable_1:0", "(2,)", "2"],
        ["rnn/basic_lstm_cell/kernel:0", "(76, 256)", "19456"],
        ["rnn/basic_lstm_cell/bias:0", "(256,)", "256"],
        ["total", "19842"],
    ):
        assert any(" ".join(row) == " ".join(line.split()) for line in printed.splitlines())
    assert "(12 inputs + 64 hidden) x (4 gates x 64 units) = 76 x 256 = 19,456" in printed
    assert "forget_bias=1.0 (assumed: a checkpoint does not hold it; forget_bias= settles" in printed


@pytest.mark.parametrize("name", ["multi", "bidirectional", "lstm_peephole_proj"])
def test_80_columns_hold_it_without_losing_a_name(oracle, name):
    case = oracle(name)
    printed = run(str(case.folder / "model.ckpt"))
    assert all(len(line) <= 80 for line in printed.splitlines())
    for one in case.settings["variables"]:
        assert one["name"] in printed


def test_options_of_a_cell_are_told(oracle):
    printed = " ".join(run(str(oracle("lstm_peephole_proj").folder / "model.ckpt")).split())
    assert "(5 inputs + 4 projected) x (4 gates x 6 units) = 9 x 24 = 216" in printed
    for option in ("with peepholes", "projected to 4", "cell state clipped at 3.0", "projection clipped at 1.0"):
        assert option in printed


def test_json_is_one_object(oracle):
    facts = json.loads(run(str(oracle("basic_forget0").folder / "model.ckpt"), "--json"))
    assert facts["total"] == 138
    assert facts["variables"][0] == {"name": "rnn/basic_lstm_cell/kernel:0", "shape": [7, 16], "count": 112}
    assert facts["layers"][0][0]["forget_bias"] == 0.0


def test_a_file_that_is_none_is_one_line_and_exit_code_2(tmp_path):
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"not a model")
    command = [sys.executable, "-m", "quadgate", "summary", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {path}: found a file of another kind")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("case", "told"),
    [("hard_sigmoid", "forget bias 0.0 added while running, gates hard_sigmoid"), ("sigmoid", "while running\n")],
)
def test_a_keras_file_tells_its_gates(oracle, case, told):
    pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    printed = run(str(oracle(f"keras_lstm/{case}").folder / "model.h5"))
    assert "lstm (keras2.LSTM)" in printed
    assert told in printed


def test_a_gru_tells_where_its_reset_is(tmp_path):
    torch = pytest.importorskip("torch", reason="needs quadgate[train]")
    torch.save(torch.nn.GRU(3, 5).state_dict(), tmp_path / "a.pt")
    printed = run(str(tmp_path / "a.pt"))
    assert "(3 inputs + 5 hidden) x (3 gates x 5 units) = 8 x 15 = 120" in printed
    assert "reset after the recurrent product" in printed
    assert "forget bias" not in printed


def test_networks_that_answer_together_and_read_in_patches(tmp_path):
    rng = np.random.default_rng(0)
    network = Network(inputs=8, units=3, classes=2)
    members = tuple(
        Member(Model(network, {name: rng.normal(size=shape).astype("f4") for name, shape in network.shapes.items()}))
        for _ in range(2)
    )
    save_ensemble(Ensemble(members, Patches(4, 2)), tmp_path / "model.safetensors")
    printed = " ".join(run(str(tmp_path)).split())
    assert "2 networks, whose probabilities are averaged" in printed
    assert "patches of 4 steps, one every 2: 8 inputs each" in printed
    assert printed.count("(8 inputs + 3 hidden) x (4 gates x 3 units) = 11 x 12 = 132") == 2
    facts = json.loads(run(str(tmp_path), "--json"))
    assert facts["total"] == 2 * (132 + 12 + 6 + 2)
    assert facts["patches"] == {"length": 4, "stride": 2}
    assert [len(layers) for layers in facts["members"]] == [1, 1]
