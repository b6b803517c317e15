import copy
import sys

import pytest

from quadgate.errors import MissingDependencyError
from quadgate.training import Epoch, TensorBoard


def record(epoch, valid_loss=0.25):
    return Epoch("search", epoch, 1 / epoch, valid_loss, None if valid_loss is None else 0.75, 1e-3, 1.0, 1.0)


def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = copy.deepcopy(TensorBoard(tmp_path))
    for epoch in (1, 2, 4):
        callback.on_epoch(record(epoch))
    assert copy.deepcopy(callback)._writer is None  # a file is not copied
    callback.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    losses = [(event.step, event.value) for event in found.Scalars("search/train_loss")]
    assert losses == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert [event.value for event in found.Scalars("search/valid_accuracy")] == [0.75] * 3


def test_without_a_validation_part_its_numbers_are_left_out(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = TensorBoard(tmp_path)
    callback.on_epoch(record(1, None))
    callback.close()
    assert "search/valid_loss" not in EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"]


def test_where_tensorboard_is_missing_its_pip_line_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'quadgate\[tensorboard\]'$"):
        TensorBoard(tmp_path)
