"""The page of a report, opened: what must be called out is, a case can be chosen, and it looks as it did."""

from pathlib import Path

import numpy as np
import pytest

from browser import WIDTHS, looks_as, opened
from networks import network
from quadgate.data import Sequences, make_sequences
from quadgate.explain import TrainingCases
from quadgate.report.findings import find
from quadgate.report.page import report_page

SEEN = Path(__file__).parent / "quality_390.png"


def honest():
    made = make_sequences(48, time=(20, 27), channels=3)
    return Sequences(made.series[:30], labels=made.labels[:30]), Sequences(made.series[30:], labels=made.labels[30:])


def leaky():
    train, test = honest()
    series = [*test.series[:12], *train.series[:4], *(one[5:] for one in train.series[4:6])]
    return train, Sequences(series, labels=[*test.labels[:12], *train.labels[:6]])


def shuffled():
    train, test = honest()
    return Sequences(train.series, labels=np.random.default_rng(1).permutation(train.labels)), test


def written(folder, parts, **options):
    train, test = parts
    model = network(classes=2, pool="mean")
    words = []
    found = find(model, train, test, [], lambda: TrainingCases.of(model, train), progress=words.append, **options)
    page = folder / "report.html"
    page.write_text(report_page(found), encoding="utf-8")
    assert page.stat().st_size < 5_000_000
    assert len(words) == 2 + len(found.cases)
    return page, found


@pytest.mark.slow
def test_a_case_can_be_chosen_every_plot_has_its_numbers_and_it_looks_as_it_did(tmp_path):
    page, found = written(tmp_path, honest(), draw=5)
    for width, scheme in zip(WIDTHS, ("dark", "light"), strict=True):
        with opened(page, width, scheme) as tab:
            assert tab.locator("section[data-case]:visible h2").all_inner_texts() == ["case 5: asked for"]
            second = tab.locator("#case option").nth(1).get_attribute("value")
            tab.locator("#case").focus()  # the keyboard reaches it
            tab.keyboard.press("ArrowDown")
            assert tab.locator("#case").input_value() == second
            assert tab.locator(f'section[data-case="{second}"] svg').count() == 6
            assert not tab.locator('section[data-case="case-5"]').is_visible()
            figures, tables = tab.locator("figure"), tab.locator("figure details table")
            # All but the neighbours', whose table is beside it.
            assert figures.count() - tables.count() == len(found.cases)
            assert all(figures.locator("[role=img]").evaluate_all("all => all.map((one) => one.ariaLabel)"))
    with opened(page, 390) as tab:
        looks_as(tab.locator("#quality figure").first, SEEN)


@pytest.mark.long
@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (leaky, ["4 of 18 test series are in the training part too", "2 of 18 test series share 8 or more steps"]),
        (shuffled, ["The labels look shuffled", "does not beat always answering"]),
    ],
)
def test_a_leak_and_shuffled_labels_are_called_out_above_all(tmp_path, parts, told):
    page, found = written(tmp_path, parts())
    assert {one.kind for one in found.doubts} >= ({"duplicates", "overlaps"} if parts is leaky else {"shuffled"})
    with opened(page, 390) as tab:
        for text in told:
            warning = tab.locator("#believe .warning", has_text=text)
            assert warning.bounding_box()["y"] < WIDTHS[390]
