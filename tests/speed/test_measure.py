import json
from dataclasses import replace

import numpy as np
import pytest

from quadgate import speed
from quadgate.speed.contestants import Prepared

SMALL = speed.Case("infer", units=8, cases=2, threads=1, steps=5, channels=3)


@pytest.fixture(scope="module")
def contestants():
    return speed.installed()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["infer", "train"])
def test_all_contestants_agree_and_are_timed(contestants, task):
    taking_part = {one.name for one in contestants if task in one.tasks}
    assert {"quadgate", "torch"} <= taking_part
    measured = speed.measure(replace(SMALL, task=task), contestants, seconds=0.01)
    assert measured.milliseconds.keys() == measured.errors.keys() == taking_part
    assert all(value > 0 for value in measured.milliseconds.values())
    assert all(error < 1e-5 for error in measured.errors.values())
    assert measured.ratio("quadgate") == 1
    assert 0 < measured.share_of_peak("quadgate") < 1


def test_who_computes_something_else_is_not_timed():
    wrong = speed.Contestant(
        "wrong", "1", ("infer",), lambda case, numbers: Prepared(lambda: None, lambda: {"outputs": np.zeros((2, 5, 8))})
    )
    with pytest.raises(speed.DisagreementError, match=r"wrong: found 1.0e\+00 away from the float64 reference"):
        speed.agreement(SMALL, [wrong])


def test_who_answers_with_nan_does_not_agree():
    nan = np.full((2, 5, 8), np.nan)
    wrong = speed.Contestant("wrong", "1", ("infer",), lambda *_: Prepared(lambda: None, lambda: {"outputs": nan}))
    with pytest.raises(speed.DisagreementError, match="wrong: found nan"):
        speed.agreement(SMALL, [wrong])


def test_the_selections():
    assert {len(speed.selection(name)) for name in ("infer", "train")} == {32}
    assert set(speed.selection("quick")) < set(speed.selection("all"))


def test_an_unknown_selection_is_refused():
    with pytest.raises(ValueError, match="cases: found 'quik', did you mean 'quick'"):
        speed.selection("quik")


@pytest.mark.parametrize("wrong", ["H=64 N=1", "train H=64", "infer H=64 N=0", "infer H=64 N=x", "infer H=64 N=1 P=3"])
def test_a_case_that_is_written_wrong_is_refused(wrong):
    with pytest.raises(ValueError, match=r"cases: found .*, expected as in 'train H=64 N=32'"):
        speed.selection(wrong)


def test_who_takes_part():
    assert [one.name for one in speed.installed(["torch"])] == ["quadgate", "torch"]
    with pytest.raises(ValueError, match="against: found 'toch', did you mean 'torch'"):
        speed.installed(["toch"])


def test_report_and_plot(tmp_path, contestants):
    measured = speed.Measured(SMALL, {"quadgate": 1.0, "torch": 2.5}, {"quadgate": 1e-7, "torch": 2e-7}, 1e11)
    report = speed.report([measured], contestants, {"quadgate": 10})
    speed.write(report, tmp_path / "speed.json")
    (case,) = json.loads((tmp_path / "speed.json").read_text())["cases"]
    assert case["times_quadgate"]["torch"] == 2.5
    assert case["units"] == 8
    pytest.importorskip("matplotlib")
    speed.draw([measured], tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_peak_memory_counts_what_a_step_keeps():
    case = speed.Case("train", units=32, cases=16, threads=1, steps=400)
    used = speed.peak_memory(["quadgate", "torch"], case)
    if not used:
        pytest.skip("this system does not tell a process its peak")
    gates = 16 * 400 * 32 * 4 * 4
    assert all(size > gates for size in used.values())
