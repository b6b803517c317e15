import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from quadgate.errors import InputError
from quadgate.explain import LANGUAGES, KernelShape, draw

sizes = st.one_of(st.integers(1, 2000), st.integers(1, 10**7))


@given(C=sizes, H=sizes, language=st.sampled_from(LANGUAGES))
def test_it_fits_a_terminal_and_its_lines_meet(C, H, language):
    lines = draw(KernelShape(C, H), language).splitlines()
    assert max(map(cell_len, lines)) <= 80

    def edges(line):
        """Where the vertical lines are, in cells."""
        return [cell_len(line[:at]) for at, character in enumerate(line) if character in "│┌┬┐├┼┤└┴┘"]

    framed = [edges(line) for line in lines if edges(line)][:-1]
    assert all(line == framed[0] for line in framed)
    assert len(framed[0]) == 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_seed_network_names_every_range_and_block(language):
    picture = draw(KernelShape(12, 64), language)
    for piece in ("0..63", "64..127", "128..191", "192..255", "0..11", "12..75", "12 x 64", "64 x 64", "(256,)"):
        assert piece in picture
    for source in "xh":
        for gate in "ijfo":
            assert f"W_{source}{gate}" in picture


def test_the_forget_bias_points_at_the_block_of_the_forget_gate():
    lines = draw(KernelShape(12, 64)).splitlines()
    (bias,) = [line for line in lines if "b_f" in line]
    assert bias.index("b_f") <= lines[-1].index("┘") < bias.index("b_f") + len("b_f")


def test_heights_are_in_proportion():
    def heights(C, H):
        lines = draw(KernelShape(C, H)).splitlines()
        top, middle, bottom = (next(at for at, line in enumerate(lines) if mark in line) for mark in "┌├└")
        return middle - top - 1, bottom - middle - 1

    assert heights(64, 64) == (5, 5)
    assert heights(12, 64) == (2, 8)
    assert heights(3000, 50) == (10, 2)
    assert heights(1, 2) == (3, 7)


def test_a_language_it_does_not_speak_is_refused():
    with pytest.raises(InputError, match="language 'de': known: en, zh"):
        draw(KernelShape(12, 64), "de")
