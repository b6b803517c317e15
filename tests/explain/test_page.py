import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from quadgate.cell import LSTMParameters
from quadgate.errors import InputError
from quadgate.explain import (
    LANGUAGES,
    KernelShape,
    explain_kernel,
    explain_others,
    explain_reading,
    readings,
)

sizes = st.one_of(st.integers(1, 500), st.integers(1, 10**7))


@given(C=sizes, H=sizes, language=st.sampled_from(LANGUAGES))
def test_every_page_fits_a_terminal_and_counts_right(C, H, language):
    page = explain_kernel(KernelShape(C, H), language)
    assert max(map(cell_len, page.splitlines())) <= 80
    assert "{" not in page
    joined = " ".join(page.split())
    assert f"= {C + H} x {4 * H} = {(C + H) * 4 * H:,}" in joined
    assert f"{(C + H + 1) * 4 * H:,}" in joined


@given(rows=st.integers(1, 3000), columns=st.integers(1, 3000), language=st.sampled_from(LANGUAGES))
def test_every_reading_of_a_shape_fits_a_terminal(rows, columns, language):
    try:
        likeliest, *others = readings(rows, columns)
    except InputError:
        return
    for text in (
        explain_reading((rows, columns), likeliest, language),
        explain_others((rows, columns), tuple(others), language),
    ):
        assert all(cell_len(line) <= 80 for line in text.splitlines())
        assert "{" not in text
        assert text == "" or f"({rows}, {columns})" in text.replace("\n", " ")


def test_the_arithmetic_of_the_seed():
    assert "(12 inputs + 64 hidden) x (4 gates x 64 units) = 76 x 256 = 19,456" in explain_kernel(KernelShape(12, 64))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_slices_on_the_page_pick_the_forget_gate(language):
    page = explain_kernel(KernelShape(5, 3), language)
    kernel = np.random.default_rng(0).normal(size=(8, 12))
    parameters = LSTMParameters.from_kernel(kernel, np.zeros(12))
    shown = dict(re.findall(r"(W_[xh]f) = (kernel\[[^\]]*\])", page))
    assert len(shown) == 2
    np.testing.assert_array_equal(eval(shown["W_xf"]), parameters.w_x[2])  # noqa: S307
    np.testing.assert_array_equal(eval(shown["W_hf"]), parameters.w_h[2])  # noqa: S307


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((76, 256), ""),
        ((256, 76), "looks transposed"),
        ((12, 256), "`kernel`"),
        ((256, 12), "`weight_ih_l0`"),
        ((64, 256), "`recurrent_kernel`"),
        ((256, 64), "`weight_hh_l0`"),
    ],
)
def test_a_shape_is_told_what_it_looks_like(shape, told):
    text = explain_reading(shape, readings(*shape)[0])
    assert told in text
    assert bool(text) is bool(told)


def test_a_shape_with_one_reading_has_no_others():
    assert explain_others((255, 76), ()) == ""
