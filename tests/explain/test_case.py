"""One prediction taken apart: the numbers, the text, the page and the picture."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from browser import WIDTHS, looks_as, opened
from networks import ensemble, network
from quadgate.data import make_sequences
from quadgate.errors import FileFormatError, InputError
from quadgate.explain import LANGUAGES, TrainingCases, explain_case, final_states
from quadgate.explain.activity import activities
from quadgate.explain.case_page import case_page
from quadgate.explain.case_text import case_picture, case_text

SEEN = Path(__file__).parent / "case_390.png"
MADE = make_sequences(12, time=(20, 25), channels=3, seed=2)


def trained(model):
    return TrainingCases.of(model, MADE)


def a_case(model=None):
    model = model or network(layers=2, bidirectional=True, pool="mean", classes=2)
    series = make_sequences(2, time=21, channels=3, seed=9).series[0]
    return model, series, explain_case(model, series, "case 7", ("left", "right", "up"), 1, trained(model))


@pytest.mark.parametrize("make", [network, lambda: ensemble(2, 4, 3, inputs=3, pool="mean")])
def test_a_case_says_what_the_model_says_and_its_neighbours_are_the_nearest(make):
    model = make()
    model, series, case = a_case(model)
    np.testing.assert_array_equal(case.probabilities, model.run([series], output="probabilities")[0][0])
    assert case.answer == case.probabilities.argmax()
    states = final_states(model, list(MADE.series))
    distances = np.linalg.norm(states - final_states(model, [series]), axis=1)
    order = np.argsort(distances)[:5]
    assert [one.name for one in case.neighbors] == [MADE.name(k) for k in order]
    assert [one.label for one in case.neighbors] == MADE.labels[order].tolist()
    np.testing.assert_allclose([one.distance for one in case.neighbors], distances[order], rtol=1e-5)
    told = json.loads(json.dumps(case.as_json()))
    total = np.sum(told["integrated_gradients"]) + told["missing_from_their_sum"]
    assert total == pytest.approx(told["log_odds"] - told["log_odds_of_baseline"])
    assert len(told["first_step_of_each_patch"]) == len(told["mean_over_units"]["f"])


def test_the_gates_are_those_of_the_top_layer_and_of_an_ensembles_first_network():
    model, series, case = a_case()
    top = activities(model, series[None])[-1][0]
    assert case.activity.name == top.name
    np.testing.assert_array_equal(case.activity.values["f"], top.values["f"])
    model, series, case = a_case(ensemble(2, 4, 3, inputs=3))
    first = activities(model.members[0].model, model.cut([series])[0][None])[-1][0]
    assert case.activity.name == f"network 0: {first.name}"
    np.testing.assert_array_equal(case.activity.values["c"], first.values["c"])
    assert case.starts.tolist() == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_fits_a_terminal(language):
    _, _, case = a_case()
    text = case_text(case, language)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "{" not in text
    assert text.startswith("case 7: 21 ")
    assert f"{case.contribution.channels[0]:+8.3f}" in text
    assert f"{case.neighbors[0].distance:.4g}" in text
    alone = explain_case(network(), np.zeros((1, 3)))
    assert case_text(alone, language).count("\n") > 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_picture_has_every_glyph(tmp_path, language):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        case_picture(a_case()[2], tmp_path / "case.png", language)
    with Image.open(tmp_path / "case.png") as picture:
        assert picture.size == (2200, 1700)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_opens_and_shows_numbers_behind_each_plot(tmp_path, width, language):
    page = tmp_path / "case.html"
    page.write_text(case_page(a_case()[2], "a model </script>", language), encoding="utf-8")
    assert page.stat().st_size < 5_000_000
    with opened(page, width, "dark" if width == 390 else "light") as tab:
        assert tab.locator("figure svg").count() == 6
        assert all(tab.locator("figure > div").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))"))
        tab.locator("summary").nth(1).click()  # of the gradients
        assert tab.locator("details[open] table").inner_text().count("\n") >= 3
        assert "case " in tab.locator("table").last.inner_text()


@pytest.mark.slow
def test_the_map_of_contributions_looks_as_it_did(tmp_path):
    page = tmp_path / "case.html"
    page.write_text(case_page(a_case()[2], "a model"), encoding="utf-8")
    with opened(page, 390) as tab:
        looks_as(tab.locator("figure").nth(1), SEEN)


def test_training_cases_come_back_from_their_file_and_damage_is_named(tmp_path):
    kept = trained(network())
    kept.save(tmp_path)
    again = TrainingCases.load(tmp_path)
    np.testing.assert_array_equal(again.states, kept.states)
    assert (again.names, again.labels, again.series) == (kept.names, kept.labels, None)
    file = tmp_path / "training_states.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:50], whole.replace(b"labels", b"lapels"), whole.replace(b"case 11", b'case 1"'), b""):
        file.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"training_states\.safetensors") as caught:
            TrainingCases.load(tmp_path)
        assert "\n" not in str(caught.value)
    file.unlink()
    with pytest.raises(FileFormatError, match="not found, expected the states that training leaves; train again"):
        TrainingCases.load(tmp_path)
    with pytest.raises(InputError, match="are another model's"):
        explain_case(network(units=7), np.zeros((4, 3)), trained=kept)
