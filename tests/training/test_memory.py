"""What training takes is said beforehand, and long series train in little of it."""

import subprocess
import sys

import pytest

from quadgate.errors import InputError
from quadgate.modules import BasicLSTM
from quadgate.training import Settings, memory, train
from quadgate.training.blueprint import Blueprint
from small_training import QUICK, assert_same_bits

TRAIN = r"""
import pathlib, re, sys
import numpy as np
from quadgate.data import Sequences
from quadgate.training import preset, train
def line(name):
    return int(re.search(name + r":\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024
cases, steps = int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
series = tuple(rng.standard_normal((steps, 3), dtype=np.float32) for _ in range(cases))
settings = preset(sys.argv[1]).changed(epochs=1, batch_size=cases, valid_fraction=0.0, **eval(sys.argv[4]))
before, said = line("VmRSS"), []
pathlib.Path("/proc/self/clear_refs").write_text("5")  # ru_maxrss would begin with what the process before had
run = train(Sequences(series, np.arange(cases) % 2), settings, announce=said.append)
print(line("VmHWM"), line("VmHWM") - before, said[0].memory)
"""


def trained(name, cases, steps, options="{}"):
    """Return the greatest size of the process, what training took of it, and what was said."""
    script = [sys.executable, "-c", TRAIN, name, str(cases), str(steps), options]
    return [int(word) for word in subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()]


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its peak")


@needs_linux
@pytest.mark.long
def test_four_series_of_half_a_million_steps_train_in_two_gigabytes():
    peak, took, said = trained("seed", 4, 500_000)
    assert peak < 2e9
    assert 0.6 < took / said < 1.6


@needs_linux
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "cases", "steps", "options"),
    [
        ("stream", 4, 40_000, "{}"),
        ("default", 16, 5_000, "{'frames': 0, 'pool': 'mean', 'layers': 2}"),
        ("default", 32, 4_000, "{'frames': 0}"),
    ],
)
def test_what_is_said_is_about_what_it_takes(name, cases, steps, options):
    _, took, said = trained(name, cases, steps, options)
    assert 0.6 < took / said < 1.6


def test_computing_again_gives_the_same_bits(monkeypatch):
    from quadgate.data import make_sequences

    made = make_sequences(12, time=(20, 27), channels=3, seed=0)
    settings = QUICK.changed(frames=0)
    kept = train(made, settings)
    monkeypatch.setattr(memory, "KEPT_AT_MOST", 0)
    blueprint = Blueprint.of(made, settings)
    module = blueprint.build(settings, blueprint.examples(made))
    assert {one.recompute_every for one in module.modules() if isinstance(one, BasicLSTM)} == {memory.EVERY}
    again = train(made, settings)
    assert_same_bits(dict(kept.model.variables), dict(again.model.variables))


def test_too_much_is_refused_before_it_begins(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2_000_000_000)
    with pytest.raises(InputError) as refused:
        memory.check_memory(Settings(frames=0), 100_000, 12)
    text = str(refused.value)
    assert "batch_size: 32 cases of up to 100,000 steps take about" in text
    assert "and 2.0 GB are free; try --batch-size" in text
    smaller = int(text.split("--batch-size ")[1].split(",")[0])
    memory.check_memory(Settings(frames=0, batch_size=smaller), 100_000, 12)
    memory.check_memory(Settings(frames=0, accumulate=32), 100_000, 12)
    monkeypatch.setattr(memory.Workers, "here", lambda: memory.Workers(0, 32))  # on as many machines
    memory.check_memory(Settings(frames=0), 100_000, 12)
