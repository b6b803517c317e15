from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from quadgate.explain.terminal import cells, centre, flow, left, right, wrap

# What explain writes: Latin text, Chinese text and punctuation, lines and arrows.
texts = st.text(st.sampled_from("abc xyz0123 (),.:+=@[]' 遗忘门在运行时，。；（）、│─┘┌"))


@given(texts)
def test_a_width_is_that_of_a_terminal(text):
    assert cells(text) == cell_len(text)


@given(texts, st.integers(60, 80))
def test_filling_reaches_the_width(text, width):
    for fill in (left, right, centre):
        assert cells(fill(text, width)) == max(width, cells(text))
        assert fill(text, width).strip() == text.strip()


@given(texts, st.integers(4, 80))
def test_wrapping_loses_nothing_and_keeps_the_width(text, width):
    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for line in lines:
        assert cells(line) <= width or " " not in line.strip()


def test_a_chinese_line_neither_ends_in_an_opening_mark_nor_begins_with_a_closing_one():
    for width in range(6, 40):
        for line in wrap("每一步，这一层读入两个向量：输入（十二个数）和输出（六十四个数）。", width):
            assert line[-1] not in "（"
            assert line[0] not in "，：）。"


def test_paragraphs_flow_and_indented_lines_stand():
    assert flow("one\nproduct\n\n  z = a\n  b\nnot\neight\n") == "one product\n\n  z = a\n  b\nnot eight"


def test_chinese_lines_join_without_a_space_and_latin_words_with_one():
    assert flow("一次\n乘法，\nkernel\n核\n(4, 8)") == "一次乘法，kernel 核 (4, 8)"


def test_an_indented_line_that_is_too_long_keeps_its_indent():
    assert flow("  one product, not eight", 14) == "  one product,\n  not eight"
