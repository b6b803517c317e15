"""What a process says when it is over is the last that it says."""

import time
from threading import Thread

from quadgate.training.watch import OVER, _Watch
from quadgate.training.workers import Workers


class Slow:
    """A store that takes its time."""

    def __init__(self):
        self.kept = {}

    def set(self, key, value):
        time.sleep(0.01)
        self.kept[key] = value

    def get(self, key):
        return self.kept.get(key, "0").encode()


def test_no_sign_of_life_comes_after_the_end(monkeypatch):
    monkeypatch.setattr("quadgate.training.watch.BEAT", 0.005)
    said = []
    for _ in range(10):
        store = Slow()
        watch = _Watch(Workers(1, 2), store, lambda *why: said.append(why))
        beat = Thread(target=watch.beat, daemon=True)
        beat.start()
        time.sleep(0.02)
        watch.end(beat)
        time.sleep(0.02)
        assert store.kept[watch.key(1)] == OVER
        assert not said


def test_counting_begins_when_all_are_there(monkeypatch):
    watch = _Watch(Workers(0, 3), Slow(), lambda *_: None)
    watch.asked -= 100
    watch.begin()
    assert time.monotonic() - watch.asked < 5
    assert watch.seen.keys() == {1, 2}
