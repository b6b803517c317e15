import json
from math import exp, tanh

import numpy as np
import pytest
from rich.cells import cell_len

from quadgate.cell.lstm import lstm
from quadgate.explain import LANGUAGES, KernelShape, trace, trace_text

SIZES = [(C, H) for C in (1, 2, 3) for H in (1, 2, 3)]


def sigmoid(z):
    return 1 / (1 + exp(-z))


@pytest.mark.parametrize("sizes", SIZES)
def test_small_sizes_are_worked_as_asked(sizes):
    assert trace(KernelShape(*sizes)).kernel == KernelShape(*sizes)


@pytest.mark.parametrize("sizes", [(4, 3), (3, 4), (12, 64), (2, 3, 1)])
def test_larger_sizes_are_worked_small(sizes):
    assert trace(KernelShape(*sizes)).kernel == KernelShape(2, 3)


@pytest.mark.parametrize("sizes", SIZES)
def test_the_step_is_the_one_of_the_reference(sizes):
    t = trace(KernelShape(*sizes))
    outputs, (c, h) = lstm(t.x[None, None], t.parameters, (t.c[None], t.h[None]))
    np.testing.assert_array_equal(t.step.c, c)
    np.testing.assert_array_equal(t.step.h, h)
    np.testing.assert_array_equal(t.step.h, outputs[:, 0])


@pytest.mark.parametrize("sizes", SIZES)
def test_one_product_gives_what_eight_give(sizes):
    t = trace(KernelShape(*sizes))
    assert t.difference == np.abs(t.eight - t.one).max() <= 1e-15


@pytest.mark.parametrize("sizes", SIZES)
def test_every_gate_has_its_own_weights(sizes):
    blocks = [
        np.concatenate([x, h])
        for x, h in zip(
            trace(KernelShape(*sizes)).parameters.w_x, trace(KernelShape(*sizes)).parameters.w_h, strict=True
        )
    ]
    assert len({block.tobytes() for block in blocks}) == 4


def test_the_first_unit_by_hand():
    # x = 0.5, -1.0; h = 0.2, -0.4, 0.6; c of the first unit 0.3; the columns 0, 3, 6 and 9 of the printed kernel.
    i = 0.5 * -0.9 + -1.0 * -0.2 + 0.2 * 0.5 + -0.4 * -0.7 + 0.6 * 0.0 - 0.3
    j = 0.5 * 0.9 + -1.0 * -0.3 + 0.2 * 0.4 + -0.4 * -0.8 + 0.6 * -0.1 + 0.2
    f = 0.5 * 0.8 + -1.0 * -0.4 + 0.2 * 0.3 + -0.4 * -0.9 + 0.6 * -0.2 + 0.0
    o = 0.5 * 0.7 + -1.0 * -0.5 + 0.2 * 0.2 + -0.4 * 0.9 + 0.6 * -0.3 - 0.2
    c = sigmoid(f + 1.0) * 0.3 + sigmoid(i) * tanh(j)
    h = sigmoid(o) * tanh(c)
    t = trace(KernelShape(2, 3))
    np.testing.assert_allclose(t.one[:, 0], [i, j, f, o], atol=1e-15)
    assert t.step.c[0, 0] == pytest.approx(c, abs=1e-15)
    assert t.step.h[0, 0] == pytest.approx(h, abs=1e-15)
    assert f"{c:.4f}" == "0.6604"
    assert f"{h:.4f}" == "0.3110"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sizes", [*SIZES, (12, 64)])
def test_the_text_fits_a_terminal_and_prints_the_difference_as_it_is(sizes, language):
    text = trace_text(KernelShape(*sizes), language)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert str(trace(KernelShape(*sizes)).difference) in text
    assert ("76 x 256" in text) is (sizes == (12, 64))


def test_the_heads_stand_over_their_numbers_in_both_languages():
    for language in LANGUAGES:
        lines = trace_text(KernelShape(1, 1), language).splitlines()
        (head,) = [line for line in lines if "x @ W_x  " in line]
        rows = [
            line for line in lines if line.startswith(("  i  ", "  j  ", "  f  ", "  o  ")) and "sigmoid" not in line
        ]
        assert all(abs(cell_len(row) - cell_len(head)) <= 6 for row in rows[-4:])


def test_the_numbers_are_json():
    t = trace(KernelShape(2, 3))
    numbers = json.loads(json.dumps(t.as_json()))
    np.testing.assert_array_equal(numbers["kernel"], t.parameters.kernel)
    np.testing.assert_array_equal(numbers["one_product"], t.one)
    np.testing.assert_array_equal(numbers["h_next"], t.step.h[0])
    assert numbers["gates"].keys() == set("ijfo")
    assert numbers["largest_difference"] == t.difference
