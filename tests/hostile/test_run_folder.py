"""Damaged and hostile run folders: one line that names the file and the key."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quadgate
from hostile.limits import refused
from quadgate.errors import FileFormatError
from quadgate.model import Model, Network, Scaling


def whole_model() -> Model:
    network = Network(2, 3, 2)
    return Model(
        network,
        {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()},
        labels=("no", "yes"),
        channels=("a", "b"),
        scaling=Scaling([0.0, 0.0], [1.0, 1.0]),
    )


@pytest.fixture
def path(tmp_path):
    quadgate.save(whole_model(), tmp_path)
    return tmp_path / "model.safetensors"


def rewrite(path, change) -> None:
    """Change the JSON of a safetensors file in place: the tensors' table, whose `__metadata__` holds the model's."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + size])
    record = json.loads(table["__metadata__"]["quadgate"])
    change(table, record)
    if "quadgate" in table.get("__metadata__", {}):
        table["__metadata__"]["quadgate"] = json.dumps(record)
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def test_a_file_cut_off_at_every_byte(path):
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(FileFormatError, match="damaged or not a safetensors file"):
            quadgate.load(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("run")
    quadgate.save(whole_model(), folder)
    path = folder / "model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        list(quadgate.load(path).variables.values())
    except FileFormatError as error:
        message = str(error)
        assert str(path) in message


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("format_version", 3, "found format_version 3, this quadgate reads 2; upgrade it: pip install"),
        ("format_version", 1, "found format_version 1, this quadgate reads 2; train or convert again"),
        ("format_version", 0, "found format_version 0, expected 2"),
        ("format_version", "1", "found format_version '1', expected 2"),
        ("format_version", True, "found format_version True"),
        ("network", None, "neither of 'network' and 'cells'"),
        ("network", [], r"quadgate\.network: found \[\], expected an object"),
        ("network", {}, r"quadgate\.network: the key 'inputs' is missing"),
        ("network", {"inputs": 2, "units": 3, "classes": 2, "layer": 1}, "the key 'layer' is not known, did you mean"),
        ("network", {"inputs": "2", "units": 3, "classes": 2}, r"network\.inputs: found '2', expected int"),
        ("network", {"inputs": True, "units": 3, "classes": 2}, r"network\.inputs: found True, expected int"),
        ("network", {"inputs": 2, "units": -3, "classes": 2}, "network: units: found -3"),
        ("network", {"inputs": 2, "units": 4, "classes": 2}, r"found shape \(5, 12\), expected \(6, 16\)"),
        ("network", {"inputs": 2, "units": 3, "classes": 2, "layers": 2}, "cell_0/basic_lstm_cell/.*: not found"),
        ("network", {"inputs": 2, "units": 3, "classes": 2, "pool": "meen"}, "did you mean 'mean'"),
        ("labels", "yes", "labels: found 'yes', expected a list"),
        ("labels", [None, "yes"], r"labels\[0\]: found None, expected str"),
        ("labels", ["yes"], "labels: found 1, expected 2"),
        ("scaling", {"mean": [0, 0], "scale": [1, 0]}, "scale that is not above zero"),
        ("scaling", {"mean": [0], "scale": [1]}, "scaling: found 1, expected 2"),
        ("scaling", {"mean": [0, 0]}, "'scale' is missing"),
        ("variables", ["rnn/basic_lstm_cell/kernel", "other"], "tensor other is missing"),
        ("variables", ["rnn/basic_lstm_cell/kernel"], "rnn/basic_lstm_cell/bias: not found"),
        ("surprise", 1, "the key 'surprise' is not known"),
    ],
)
def test_metadata_that_does_not_fit(path, key, value, match):
    rewrite(path, lambda table, record: record.update({key: value}))
    refused(path, match)


@pytest.mark.parametrize("size", [1 << 27, 1 << 40])
def test_a_network_too_large_for_its_file_takes_no_memory(path, size):
    rewrite(path, lambda table, record: record["network"].update(units=size))
    refused(path, "found shape")


def test_more_layers_than_any_file_holds(path):
    rewrite(path, lambda table, record: record["network"].update(layers=1 << 40))
    refused(path, "layers")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda table, record: table.pop("__metadata__"), "found no LSTM or GRU among its 4 arrays"),
        (lambda table, record: table.update(__metadata__={"format": "pt"}), "found no LSTM or GRU among its 4 arrays"),
        (lambda table, record: table["out/biases"].update(data_offsets=[4, 12]), "damaged or not"),
        (lambda table, record: table["out/biases"].update(shape=[1 << 40]), "damaged or not"),
        (lambda table, record: table["out/biases"].update(dtype="F7"), "damaged or not"),
        (lambda table, record: table["out/biases"].update(dtype="F8_E5M2", shape=[8]), "F8_E5M2, expected one of"),
    ],
)
def test_tables_of_tensors_that_do_not_fit(path, change, match):
    rewrite(path, change)
    refused(path, match)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", "[" * 100000, '{"format_version": 2}', "NaN"])
def test_metadata_that_is_no_object(path, text):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + size])
    table["__metadata__"]["quadgate"] = text
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])
    refused(path, "metadata quadgate")


def test_folders_without_a_model(tmp_path):
    refused(tmp_path, "found a folder with nothing in it, expected a run folder")
    for name in "abcdefg":
        (tmp_path / name).touch()
    refused(tmp_path, "found a folder with a, b, c, d, e, ..., expected")
    refused(tmp_path / "nowhere", "not found, expected")
