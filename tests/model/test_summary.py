from quadgate.model import Network, SummaryTable


def test_the_seed_networks_table():
    shapes = {"Variable:0": (64, 2), "Variable_1:0": (2,)} | {
        f"{name}:0": shape for name, shape in Network(12, 64, 2).shapes.items() if name.startswith("rnn")
    }
    table = SummaryTable.of(shapes)
    assert table.total == 19842
    assert str(table).splitlines() == [
        "Variable:0                    (64, 2)      128",
        "Variable_1:0                  (2,)           2",
        "rnn/basic_lstm_cell/kernel:0  (76, 256)  19456",
        "rnn/basic_lstm_cell/bias:0    (256,)       256",
        "total                                    19842",
    ]


def test_a_table_of_nothing():
    assert str(SummaryTable.of({})).split() == ["total", "0"]
