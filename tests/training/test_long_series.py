"""The seed network's own size, 820 steps of 12 channels and 64 units, on series whose answer is known."""

import pytest

from quadgate.data import make_sequences
from quadgate.report import evaluate
from quadgate.training import preset, train


def answer(folder, name, kind, place, cases, epochs):
    """Train a preset and return the run and its accuracy on 100 new series."""
    settings = preset(name).changed(epochs=epochs, patience=epochs)
    run = train(make_sequences(cases, kind=kind, evidence=place, seed=1), settings, folder)
    return run, evaluate(run.model, make_sequences(100, kind=kind, evidence=place, seed=2)).model.accuracy


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), [("seed", "all"), ("default", "all"), ("default", "early")])
def test_evidence_within_reach_is_learned(tmp_path, name, place):
    run, accuracy = answer(tmp_path, name, "phase", place, cases=160, epochs=4)
    assert accuracy >= 0.95
    assert run.reach_before.is_short == (name == "seed")


@pytest.mark.slow
def test_evidence_out_of_reach_is_not_learned_and_the_warning_says_so(tmp_path):
    run, accuracy = answer(tmp_path, "seed", "phase", "early", cases=80, epochs=4)
    assert 0.3 < accuracy < 0.7
    assert run.reach_before.shares[0] == 0.0
    assert "cure: --pool mean" in run.reach_before.warning()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["phase", "order"])
@pytest.mark.parametrize("place", ["all", "late", "early", "middle"])
@pytest.mark.parametrize("name", ["seed", "default"])
def test_where_the_evidence_is_decides_what_the_seed_network_learns(tmp_path, name, kind, place):
    run, accuracy = answer(tmp_path, name, kind, place, cases=320, epochs=12)
    if name == "seed" and place in ("early", "middle"):
        assert 0.35 < accuracy < 0.65
        assert run.reach_before.warning()
    else:
        assert accuracy >= 0.95
    if name == "default":
        assert run.reach_before.warning() is None
