import json

import pytest
import torch

from quadgate.data import make_sequences
from quadgate.errors import FileFormatError
from quadgate.training import Callback, Settings, StoppedError, train

SETTINGS = Settings(units=3, epochs=3, steps=0, batch_size=8, valid_fraction=0.0, seed=1)


class Watch(Callback):
    def __init__(self, stop=False):
        self.threads, self.stop = set(), stop

    def on_epoch(self, *_):
        self.threads.add(torch.get_num_threads())
        if self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_run_goes_on_with_the_threads_it_was_begun_with(tmp_path, threads):
    made = make_sequences(16, time=24, channels=2)
    threads(1)
    with pytest.raises(StoppedError):
        train(made, SETTINGS, tmp_path / "run", callbacks=[Watch(stop=True)])
    threads(2)
    watch = Watch()
    train(made, SETTINGS, tmp_path / "run", resume=True, callbacks=[watch])
    assert watch.threads == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"threads": 0}), json.dumps({"threads": "two"})])
def test_a_damaged_record_of_threads_is_refused(tmp_path, text):
    made = make_sequences(16, time=24, channels=2)
    with pytest.raises(StoppedError):
        train(made, SETTINGS, tmp_path / "run", callbacks=[Watch(stop=True)])
    (record,) = (tmp_path / "run").rglob("threads.json")
    record.write_text(text)
    with pytest.raises(FileFormatError, match=r"threads.json: found .*, expected .*another --out to begin anew"):
        train(made, SETTINGS, tmp_path / "run", resume=True)
