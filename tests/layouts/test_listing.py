import json

import pytest

from quadgate.errors import InputError
from quadgate.layouts import LAYOUTS
from quadgate.layouts.listing import as_json, describe, table
from sample_layers import USABLE, name_of


def test_the_table_has_every_row_and_fits():
    lines = table().splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines[2 : 2 + len(LAYOUTS)]] == list(LAYOUTS)


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=name_of)
def test_a_description_fits_names_its_tensors_and_cites_its_source(row):
    text = describe(row)
    assert max(map(len, text.splitlines())) <= 100
    together = " ".join(text.split())
    assert row.source in together
    for note in (*row.notes, *row.unverified):
        assert note in together
    for tensor in row.tensors:
        assert f"{tensor.name}  [" in text
    assert ("\nrefused " in text) == bool(row.refusal)


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=name_of)
def test_json_holds_plain_values(row):
    answer = json.loads(json.dumps(as_json(row)))
    assert answer["gates"] == list(row.gates)
    assert answer["evidence"] == row.evidence
    assert [tensor["name"] for tensor in answer["tensors"]] == [tensor.name for tensor in row.tensors]


@pytest.mark.parametrize("row", USABLE, ids=name_of)
def test_the_example_has_the_sizes_that_were_asked_for(row):
    assert "A layer of C=5 inputs and H=7 units" in describe(row, 5, 7)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tf1.BasicLSTMCell", "added while running, stored in no tensor; default 1"),
        ("keras.LSTM", "stored: a new layer has 1 in bias"),
        ("torch.nn.LSTM", "none: nothing is added while running"),
        ("haiku.LSTM", "1 is always added while running"),
        ("coreml.LSTM", "a flag adds 1 while running"),
        ("caffe2.LSTM", "no default"),
        ("tf1.GRUCell", "a new layer has 1 in gates/bias"),
        ("keras.CuDNNLSTM", "each block is the memory of its transpose"),
        ("keras2.LSTM", "tf.keras of TensorFlow 1: gates hard_sigmoid"),
        ("coreml.LSTM", "cell state (cell_clip), default 50"),
        ("onnx.LSTM", "pre-activations (input_clip)"),
        ("chainer.LSTM", "interleaved: the gates of unit 0"),
        ("torch.nn.LSTM", "'_reverse' backwards"),
        ("onnx.GRU", "before or after the recurrent product"),
        ("tf1.GRUCell", "before the recurrent product"),
    ],
)
def test_what_a_person_asks_is_told(name, told):
    assert told in " ".join(describe(name).split())


@pytest.mark.parametrize(("inputs", "units"), [(0, 1), (1, 0), (100_001, 1)])
def test_a_size_that_cannot_be_drawn_is_refused(inputs, units):
    with pytest.raises(InputError, match="expected a number from 1 to 100,000"):
        describe("keras.LSTM", inputs, units)
