import pytest

from quadgate.errors import FileFormatError
from quadgate.formats.tensorflow_checkpoint.graph import CellFacts, read_graph

BASIC = CellFacts(forget_bias=1.0, cell="tanh", output="tanh")


@pytest.mark.parametrize(
    ("name", "kernel", "projection", "expected"),
    [
        ("basic_small", "rnn/basic_lstm_cell/kernel", None, BASIC),
        ("basic_forget0", "rnn/basic_lstm_cell/kernel", None, CellFacts(0.0, "tanh", "tanh")),
        ("multi", "rnn/multi_rnn_cell/cell_1/basic_lstm_cell/kernel", None, BASIC),
        ("bidirectional", "bidirectional_rnn/bw/basic_lstm_cell/kernel", None, BASIC),
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
    assert graph.cell("elsewhere/kernel", None) == CellFacts()
    assert graph.cell("out/weights", None) == CellFacts()


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
