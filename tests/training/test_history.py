import json

import pytest

from quadgate.errors import FileFormatError
from quadgate.training import Epoch, History


def record(stage, epoch):
    return Epoch(stage, epoch, 0.5 / epoch, 0.25, 0.75, 1e-3, 2.0, 0.5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


def test_a_record_is_a_line_on_disk_at_once(path):
    history = History(path)
    history.append(record("search", 1))
    assert json.loads(path.read_text()) == {
        "stage": "search",
        "epoch": 1,
        "train_loss": 0.5,
        "valid_loss": 0.25,
        "valid_accuracy": 0.75,
        "learning_rate": 1e-3,
        "gradient_norm": 2.0,
        "seconds": 0.5,
    }


def test_reading_back_gives_the_same_records(path):
    history = History(path)
    for epoch in (1, 2, 3):
        history.append(record("search", epoch))
    history.append(record("refit", 1))
    assert History(path).epochs == history.epochs
    assert History(path).seconds() == 2.0


def test_cut_forgets_later_epochs_of_its_stage_alone(path):
    history = History(path)
    for stage, epoch in (("search", 1), ("search", 2), ("refit", 1), ("refit", 2)):
        history.append(record(stage, epoch))
    history.cut("refit", 1)
    assert [(r.stage, r.epoch) for r in History(path).epochs] == [("search", 1), ("search", 2), ("refit", 1)]


def test_a_last_line_that_was_cut_off_is_left_out(path):
    History(path).append(record("search", 1))
    with path.open("a") as file:
        file.write('{"stage": "search", "epo')
    history = History(path)
    assert history.epochs == [record("search", 1)]
    history.cut("search", 1)
    history.append(record("search", 2))
    assert History(path).epochs == [record("search", 1), record("search", 2)]


@pytest.mark.parametrize("line", ["{", "[]", '{"stage": "search"}', '{"stage": 1}'])
def test_a_damaged_line_is_named(path, line):
    History(path).append(record("search", 1))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(FileFormatError, match="line 2"):
        History(path)
