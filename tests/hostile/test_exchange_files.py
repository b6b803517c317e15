"""Damaged and hostile ONNX and TensorFlow Lite files: a line that names the file, soon, and no memory for nothing."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("tflite", reason="tflite is not installed")

import quadgate
from hostile.limits import limits, refused
from onnx_files import node, numpy_helper, onnx, save, save_node, value, weights
from quadgate.errors import FileFormatError

GOLDEN = Path(__file__).parents[1] / "golden" / "tflite"


def read_all(path):
    model = quadgate.load(path)
    return [np.asarray(array) for array in model.variables.values()], model.layers


def outcome(path):
    """Read everything; return the message of the refusal, or None where there was none."""
    try:
        with limits(path.name):
            read_all(path)
    except FileFormatError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


@pytest.fixture
def small(tmp_path):
    arrays = weights(np.random.default_rng(0), "LSTM", 2, 1, 1, peepholes=True)
    return save_node(tmp_path / "a.onnx", "LSTM", arrays, direction="bidirectional")


@pytest.fixture(params=["onnx", "classifier.tflite"])
def file(request, small, tmp_path):
    if request.param == "onnx":
        return small
    path = tmp_path / request.param
    path.write_bytes((GOLDEN / request.param).read_bytes())
    return path


def test_cut_off_at_every_byte(file):
    data = file.read_bytes()
    for end in range(len(data)):
        file.write_bytes(data[:end])
        message = outcome(file)
        # what stands after the graph, and numbers that are not used, may be missing
        assert message is not None or end > len(data) // 2


def test_flipped_bits_are_found_or_harmless(file):
    data = file.read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(400):
        damaged = bytearray(data)
        for place in rng.integers(8 * len(data), size=rng.choice([1, 1, 1, 3, 20])):
            damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        outcome(file)


def one_lstm(tmp_path, nodes, tensors, W="W"):
    arrays = weights(np.random.default_rng(0), "LSTM", 1, 3, 4) | tensors
    one = node("LSTM", ["x", W, "R", "B"], ["Y"], hidden_size=4)
    return save(tmp_path / "a.onnx", [*nodes, one], arrays, [value("x", ["T", "N", 3])], [value("Y", None)])


def test_a_shape_of_billions(tmp_path):
    path = one_lstm(tmp_path, [], {})
    model = onnx.load(path)
    model.graph.initializer[0].dims[:] = [1, 2**40, 2**20]
    path.write_bytes(model.SerializeToString())
    refused(path, "expected .* for shape")


def test_a_shape_of_billions_without_numbers(tmp_path):
    shape = numpy_helper.from_array(np.array([1, 2**31, 2**20], np.int64))
    nodes = [node("Constant", [], ["shape"], value=shape), node("ConstantOfShape", ["shape"], ["big"])]
    refused(one_lstm(tmp_path, nodes, {}, "big"), "far larger than the file")


def test_a_tower_of_concatenations(tmp_path):
    nodes = [node("Concat", [f"v{k}", f"v{k}"], [f"v{k + 1}"], axis=2) for k in range(60)]
    refused(one_lstm(tmp_path, nodes, {"v0": np.ones((1, 16, 3), np.float32)}, "v60"), "far larger than the file")


def test_a_value_made_of_itself(tmp_path):
    nodes = [node("Add", ["a", "b"], ["b"]), node("Add", ["b", "a"], ["a"])]
    refused(one_lstm(tmp_path, nodes, {}, "a"), "depends on itself")


def test_a_long_chain_of_nodes(tmp_path):
    nodes = [node("Unsqueeze" if k == 0 else "Identity", [f"v{k}"], [f"v{k + 1}"]) for k in range(10_000)]
    nodes[0] = node("Identity", ["W"], ["v1"])
    path = one_lstm(tmp_path, nodes, {}, "v10000")
    assert outcome(path) is None


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "a/../../b", "C:\\b", ""])
def test_numbers_in_a_file_outside_the_folder(tmp_path, location):
    (tmp_path.parent / "secret.bin").write_bytes(b"0" * 1000)
    path = one_lstm(tmp_path, [], {})
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    refused(path, "expected a file in its own folder")


def test_a_link_out_of_the_folder(tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"0" * 1000)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "numbers.bin").symlink_to(tmp_path / "secret.bin")
    path = one_lstm(folder, [], {})
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="numbers.bin")
    path.write_bytes(model.SerializeToString())
    refused(path, "not found, expected the file that holds its numbers")


def test_metadata_that_is_not_what_quadgate_writes(tmp_path):
    path = one_lstm(tmp_path, [], {})
    for text in ("[" * 100_000, "[]", '{"head": 3}', '{"scaling": {"mean": [1], "scale": [0]}}', '{"labels": ["a"]}'):
        model = onnx.load(path)
        del model.metadata_props[:]
        model.metadata_props.add(key="quadgate", value=text)
        path.write_bytes(model.SerializeToString())
        refused(path, "metadata quadgate")
