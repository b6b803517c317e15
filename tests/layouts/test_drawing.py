import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.layouts import LAYOUTS
from quadgate.layouts.drawing import SYMBOLS, WIDTH, draw
from sample_layers import USABLE, name_of, sizes_of

sizes = st.one_of(st.integers(1, 5), st.integers(1, 100_000))


@pytest.mark.parametrize("row", USABLE, ids=name_of)
@settings(max_examples=15)
@given(C=sizes, H=sizes)
def test_it_fits_its_lines_meet_and_every_block_is_named_once(row, C, H):
    for tensor in row.tensors:
        lines = draw(row, tensor, sizes_of(C, H)).splitlines()
        assert max(map(len, lines)) <= WIDTH
        frames = [[at for at, character in enumerate(line) if character in "│┌┬┐├┼┤└┴┘"] for line in lines]
        assert len({tuple(edges) for edges in frames if edges}) <= 1
        times = 2 if row.interleaved and H > 1 else 1  # the first unit and the last
        for part in tensor.parts:
            for gate in row.gates_of(part) or ("",):
                named = re.findall(rf"{SYMBOLS[part.array]}{gate}(?!\w)", "\n".join(lines))
                assert len(named) == times


def blocks(name, tensor, C=2, H=3):
    """The names in the picture, from the first line to the last and from left to right."""
    row = LAYOUTS[name]
    return re.findall(r"[Wbp]_\w*\*?", draw(row, row.tensors[tensor], sizes_of(C, H)))


@pytest.mark.parametrize(
    ("name", "tensor", "expected"),
    [
        ("tf1.BasicLSTMCell", 0, "W_xi W_xj W_xf W_xo W_hi W_hj W_hf W_ho"),
        ("keras.LSTM", 0, "W_xi W_xf W_xj W_xo"),
        ("keras.LSTM", 2, "b_xi b_xf b_xj b_xo"),
        ("keras.GRU", 2, "b_xz b_xr b_xn b_hz b_hr b_hn"),
        ("keras.CuDNNLSTM", 1, "W_hi* W_hf* W_hj* W_ho*"),
        ("onnx.LSTM", 2, "b_xi b_xo b_xf b_xj b_hi b_ho b_hf b_hj"),
        ("onnx.LSTM", 3, "p_i p_o p_f"),
        ("tflite.LSTM.basic", 0, "W_xi W_hi W_xj W_hj W_xf W_hf W_xo W_ho"),
        ("dl4j.GravesLSTM", 1, "W_hj W_hf W_ho W_hi p_f p_o p_i"),
        ("chainer.LSTM", 0, "W_xj W_xi W_xf W_xo W_xj W_xi W_xf W_xo"),
        ("tf1.GRUCell", 0, "W_xr W_xz W_hr W_hz"),
        ("tf1.GRUCell", 2, "W_xn W_hn"),
        ("tf1.CudnnLSTM", 0, "W_xi W_xf W_xj W_xo W_hi W_hf W_hj W_ho b_xi b_xf b_xj b_xo b_hi b_hf b_hj b_ho"),
    ],
)
def test_the_blocks_stand_in_the_order_of_memory(name, tensor, expected):
    assert blocks(name, tensor) == expected.split()


def test_the_ranges_of_the_seeds_kernel():
    row = LAYOUTS["tf1.BasicLSTMCell"]
    picture = draw(row, row.tensors[0], sizes_of(12, 64))
    for piece in ("0..63", "64..127", "128..191", "192..255", "x  0..11", "h  12..75", "12 x 64", "64 x 64"):
        assert piece in picture


def test_interleaved_gates_are_shown_unit_by_unit():
    row = LAYOUTS["chainer.LSTM"]
    picture = draw(row, row.tensors[0], sizes_of(2, 3))
    labels = re.findall(r"(unit \d: \w|and so on)  ([\d.]+)", picture)
    assert labels == [
        ("unit 0: j", "0"), ("unit 0: i", "1"), ("unit 0: f", "2"), ("unit 0: o", "3"), ("and so on", "4..7"),
        ("unit 2: j", "8"), ("unit 2: i", "9"), ("unit 2: f", "10"), ("unit 2: o", "11"),
    ]  # fmt: skip
