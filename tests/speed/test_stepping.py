from dataclasses import replace

import numpy as np
import pytest

from quadgate import speed
from quadgate.kernels import explain_choice
from quadgate.speed.steppers import Stepper


@pytest.mark.slow
def test_all_contestants_agree_and_are_timed(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    contestants = speed.stepping()
    names = {one.name for one in contestants}
    assert names == {"quadgate", "onnxruntime", "onnxruntime, bound", "torch LSTMCell", "torch scripted"}
    stepped = speed.measure_steps(contestants, 0.01, units=9, channels=3, classes=2)
    assert stepped.errors.keys() == stepped.together.keys() == names
    assert all(error < 1e-5 for error in stepped.errors.values())
    compiled = explain_choice().implementation == "compiled"
    assert stepped.latency.keys() - names == ({"quadgate, in C++"} if compiled else set())
    assert all(0 < one.p50 <= one.p99 <= one.most for one in stepped.latency.values())
    assert set(stepped.quiet) == ({"silent", "subnormal", "decaying"} if compiled else set())
    assert stepped.ratio("quadgate") == 1
    assert speed.report_steps(stepped, contestants)["step_microseconds"]["torch scripted"]["steps"] >= 1000
    pytest.importorskip("matplotlib")
    speed.draw_steps(stepped, tmp_path / "steps.png")
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("value", [0.25, np.nan])
def test_who_computes_something_else_is_not_timed(value):
    def prepare(model, streams):
        return Stepper(list, lambda x: np.full((streams, 2), value), lambda answer: answer)

    (mine, *_) = speed.stepping()
    wrong = replace(mine, name="wrong", prepare=prepare)
    with pytest.raises(speed.DisagreementError, match=r"wrong: found .* away from the float64 reference"):
        speed.measure_steps([wrong], 0.01, 4, 3, 2)


def test_a_state_that_is_not_carried_is_noticed():
    (mine, *_) = speed.stepping()

    def forgetful(model, streams):
        stepper = mine.prepare(model, streams)
        return replace(stepper, step=lambda x: mine.prepare(model, streams).step(x))

    with pytest.raises(speed.DisagreementError, match="forgets"):
        speed.measure_steps([replace(mine, name="forgets", prepare=forgetful)], 0.01, 4, 3, 2)


def test_what_a_latency_is():
    one = speed.Latency.of([1000] * 99 + [5000])
    assert (one.p50, one.most, one.steps) == (1, 5, 100)
