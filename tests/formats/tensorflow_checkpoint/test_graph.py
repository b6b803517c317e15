import struct

import pytest

from checkpoint_files import fixed32, message
from quadgate.errors import FileFormatError
from quadgate.formats.tensorflow_checkpoint.graph import CellFacts, read_graph

BASIC = CellFacts(forget_bias=1.0, cell="tanh", output="tanh")


@pytest.mark.parametrize(
    ("name", "kernel", "projection", "expected"),
    [
        ("basic_small", "rnn/basic_lstm_cell/kernel", "", BASIC),
        ("basic_forget0", "rnn/basic_lstm_cell/kernel", "", CellFacts(0.0, "tanh", "tanh")),
        ("multi", "rnn/multi_rnn_cell/cell_1/basic_lstm_cell/kernel", "", BASIC),
        ("bidirectional", "bidirectional_rnn/bw/basic_lstm_cell/kernel", "", BASIC),
        (
            "lstm_peephole_proj",
            "rnn/lstm_cell/kernel",
            "rnn/lstm_cell/projection/kernel",
            CellFacts(1.0, "tanh", "tanh", cell_clip=3.0, projection_clip=1.0),
        ),
    ],
)
def test_facts_of_real_graphs(oracle, name, kernel, projection, expected):
    graph = read_graph(oracle(name).folder / "model.ckpt.meta")
    assert graph.cell(kernel, projection) == expected


def test_a_variable_that_the_graph_does_not_have_has_no_facts(oracle):
    graph = read_graph(oracle("basic_small").folder / "model.ckpt.meta")
    assert graph.cell("elsewhere/kernel", "") == CellFacts()
    assert graph.cell("out/weights", "") == CellFacts()


def test_trainable_variables_come_in_the_graphs_order(oracle):
    case = oracle("multi")
    graph = read_graph(case.folder / "model.ckpt.meta")
    assert [f"{name}:0" for name in graph.trainable] == [one["name"] for one in case.settings["variables"]]


@pytest.mark.parametrize("end", [0, 1, 100, 5000, 40000])
def test_a_graph_that_is_cut_off(oracle, tmp_path, end):
    data = (oracle("basic_small").folder / "model.ckpt.meta").read_bytes()
    path = tmp_path / "cut.meta"
    path.write_bytes(data[:end])
    with pytest.raises(FileFormatError, match=r"cut\.meta: "):
        read_graph(path)


def node(name: str, kind: str, inputs=(), attributes=()) -> bytes:
    parts = [message(1, name.encode()), message(2, kind.encode()), *(message(3, one.encode()) for one in inputs)]
    for key, value in attributes:
        parts.append(message(5, message(1, key.encode()) + message(2, fixed32(4, int.from_bytes(value, "little")))))
    return message(1, b"".join(parts))


@pytest.mark.parametrize("kind", ["LSTMBlockCell", "BlockLSTM"])
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, CellFacts(1.0, "tanh", "tanh", 3.0)),
        ({"forget_bias": 0.5, "cell_clip": -1.0}, CellFacts(0.5, "tanh", "tanh", None)),
        ({"forget_bias": 0.0, "cell_clip": 10.0}, CellFacts(0.0, "tanh", "tanh", 10.0)),
    ],
)
def test_block_operators_tell_in_their_attributes(tmp_path, kind, attributes, expected):
    packed = [(name, struct.pack("<f", value)) for name, value in attributes.items()]
    graph = (
        node("lstm_cell/kernel", "VariableV2")
        + node("lstm_cell/kernel/read", "Identity", ["lstm_cell/kernel"])
        + node("x", "Placeholder")
        + node("step", kind, ["x", "x", "x", "lstm_cell/kernel/read", "x"], packed)
    )
    (tmp_path / "a.meta").write_bytes(message(2, graph))
    assert read_graph(tmp_path / "a.meta").cell("lstm_cell/kernel", "") == expected
