"""Frozen graphs, SavedModels and object checkpoints of TensorFlow itself, with its outputs."""

from pathlib import Path

import numpy as np
import pytest

import quadgate
from quadgate.errors import FileFormatError

GOLDEN = Path(__file__).parents[2] / "golden" / "tensorflow"
FROZEN = ["dynamic", "static", "relu", "both", "gru", "block", "by_hand"]
FILES = [*(f"{name}.pb" for name in FROZEN), "saved_model_1", "saved_model_2", "object_checkpoint"]


@pytest.mark.parametrize("name", FILES)
def test_outputs_are_those_of_tensorflow(name):
    model = quadgate.load(GOLDEN / name)
    answers = "saved_model_2" if name == "object_checkpoint" else name.removesuffix(".pb")
    with np.load(GOLDEN / f"{answers}.npz") as told:
        compared = [key for key in told.files if key == "outputs" or (key == "logits" and model.head is not None)]
        assert compared
        for key in compared:
            ours, _ = model.run(told["x"], output=key)
            np.testing.assert_allclose(ours, told[key], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "forget_bias", "cell_clip", "projection_clip", "activation"),
    [
        ("dynamic.pb", 0.7, None, None, "tanh"),
        ("static.pb", 1.0, 0.6, 0.5, "tanh"),
        ("relu.pb", 0.0, None, None, "relu"),
        ("block.pb", 0.5, 0.8, None, "tanh"),
        ("saved_model_1", 0.7, None, None, "tanh"),
    ],
)
def test_the_graph_tells_how_a_cell_is_run(name, forget_bias, cell_clip, projection_clip, activation):
    model = quadgate.load(GOLDEN / name)
    assert not [one for one in model.assumptions if one.setting != "pool"]
    for layer in model.cells:
        for cell in layer:
            assert cell.forget_bias == pytest.approx(forget_bias)
            assert cell.cell_clip == (None if cell_clip is None else pytest.approx(cell_clip))
            assert cell.projection_clip == (None if projection_clip is None else pytest.approx(projection_clip))
            assert cell.activations.cell == activation


def test_a_cell_written_by_hand_is_found_by_its_data():
    model = quadgate.load(GOLDEN / "by_hand.pb")
    assert model.cells[0][0].layout == "keras.LSTM"
    assert set(model.variables) == {"u", "v", "b"}


def test_the_file_of_a_saved_model_stands_for_its_folder():
    assert quadgate.load(GOLDEN / "saved_model_1" / "saved_model.pb").inputs == 4


def test_variables_of_objects_have_the_names_that_tensorflow_gave_them():
    assert "lstm/lstm_cell/recurrent_kernel" in quadgate.load(GOLDEN / "object_checkpoint").variables


def outcome(path):
    """Read everything; the message of the refusal is one line."""
    try:
        list(quadgate.load(path).variables.values())
    except FileFormatError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["by_hand.pb", "block.pb"])
def test_damaged_graphs(tmp_path, name):
    data = (GOLDEN / name).read_bytes()
    path = tmp_path / name
    for end in range(0, len(data), 3):
        path.write_bytes(data[:end])
        assert "\n" not in outcome(path)
    rng = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(8 * len(data), size=rng.choice([1, 1, 5])):
            damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert "\n" not in outcome(path)


def test_an_operator_with_its_gates_in_another_order_is_refused_and_never_misread():
    with pytest.raises(FileFormatError, match=r"block_v2\.pb: found lstm_fused_cell/kernel.*BlockLSTMV2.*i, f, j, o"):
        quadgate.load(GOLDEN / "block_v2.pb")
