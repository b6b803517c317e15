import numpy as np
import pytest

from quadgate.model import Patches
from quadgate.training import Epoch, Preview, Reach, Settings
from quadgate.training.progress import ShowProgress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr("quadgate.training.progress.monotonic", lambda: now[0])
    return now


def record(stage, epoch, valid_loss=0.25):
    return Epoch(stage, epoch, 0.5, valid_loss, None if valid_loss is None else 0.75, 1e-3, 1.0, 1.0)


def test_where_nobody_watches_a_line_comes_every_few_seconds(clock, capsys):
    with ShowProgress() as progress:
        for epoch in (1, 2, 3):
            progress.on_batch("search", epoch, 10)
            clock[0] += 3.0
            progress.on_epoch(record("search", epoch))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "search epoch 2: loss 0.5000, validation 0.2500 (75.0% right), at most 24 s left\n"


def test_a_resumed_fit_reckons_with_its_own_speed(clock, capsys):
    with ShowProgress() as progress:
        progress.on_batch("refit", 91, 100)
        clock[0] += 10.0
        progress.on_epoch(record("refit", 46, valid_loss=None))
    assert capsys.readouterr().err == "refit epoch 46: loss 0.5000, at most 90 s left\n"


def test_a_terminal_gets_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with ShowProgress() as progress:
        progress.on_batch("search", 1, 10)
        progress.on_epoch(record("search", 1))
        progress.on_batch("refit", 1, 10)
    err = capsys.readouterr().err
    assert "\x1b[" in err
    assert "left" in err


def test_a_short_reach_is_warned_of(capsys):
    progress = ShowProgress()
    for shares, warned in ((np.ones(9), False), (np.array([0.0] * 8 + [1.0]), True)):
        progress.on_preview(Preview(306, 130.0, True, Patches(), 2_345_000_000, Reach(shares), Settings(frames=0)))
        told = capsys.readouterr().err
        assert "306 numbers, at most about 2 min\nthe result can stream" in told
        assert "it takes about 2.3 GB beside the data: batches of 32 cases of up to 9 steps\n" in told
        assert ("--pool mean" in told) == warned
