import json

import pytest
import torch
from safetensors.torch import save_file

from quadgate.errors import FileFormatError, InputError
from quadgate.training import Plan, Settings, fit
from quadgate.training.checkpoint import HEADER, Position, State, read_checkpoint, write_checkpoint
from quadgate.training.loop import make_optimizer
from small_training import QUICK, assert_same_bits, small_examples, small_network, weights


def state_after(settings, steps):
    module = small_network(settings)
    optimizer = make_optimizer(module, settings)
    x, lengths, targets = small_examples().batch(range(7))
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x, lengths), targets).backward()
        optimizer.step()
    best = {name: tensor + 1 for name, tensor in module.state_dict().items()}
    return State(module, optimizer, Position(steps, 1, 0.1), best)


@pytest.mark.parametrize("settings", [QUICK, QUICK.changed(optimizer="adam", pool="attention", layers=2)])
def test_what_is_read_is_what_was_written(tmp_path, settings):
    written, found = state_after(settings, 3), state_after(settings, 0)
    write_checkpoint(tmp_path / "c.safetensors", written, settings, "data")
    read_checkpoint(tmp_path / "c.safetensors", found, settings, "data")
    assert_same_bits(weights(written.module), weights(found.module))
    assert found.position == written.position
    for name, tensor in written.best.items():
        assert torch.equal(found.best[name], tensor)
    one, other = written.optimizer.state_dict(), found.optimizer.state_dict()
    assert one["param_groups"] == other["param_groups"]
    for number, moments in one["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(other["state"][number][name], tensor), (number, name)


def test_other_settings_and_other_data_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, state_after(QUICK, 1), QUICK, "data")
    with pytest.raises(InputError, match=r"clip: found 9\.0, but the run was begun with 1.0"):
        read_checkpoint(path, state_after(QUICK, 0), QUICK.changed(clip=9.0), "data")
    with pytest.raises(InputError, match="other training data"):
        read_checkpoint(path, state_after(QUICK, 0), QUICK, "others")


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, state_after(QUICK, 1), QUICK, "data")
    whole = path.read_bytes()
    for content in (b"", whole[:7], whole[:100], whole[:-1], b"\x80\x04" + whole):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"c\.safetensors"):
            read_checkpoint(path, state_after(QUICK, 0), QUICK, "data")
    for header in ("null", "{", "[]", json.dumps({"format_version": 99}), json.dumps({"format_version": 1})):
        save_file({"module/x": torch.zeros(1)}, path, {HEADER: header})
        with pytest.raises(FileFormatError, match=r"c\.safetensors"):
            read_checkpoint(path, state_after(QUICK, 0), QUICK, "data")


def test_the_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, state_after(QUICK, 1), QUICK, "data")
    with pytest.raises(FileFormatError, match="another network"):
        read_checkpoint(path, state_after(Settings(units=6), 0), QUICK, "data")


def test_a_checkpoint_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, state_after(QUICK, 1), QUICK, "data")
    before = path.read_bytes()

    def half(tensors, file, metadata):
        file.write_bytes(before[:50])
        raise KeyboardInterrupt

    monkeypatch.setattr("quadgate.training.checkpoint.save_file", half)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, state_after(QUICK, 2), QUICK, "data")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_fit_writes_one_after_every_epoch(tmp_path):
    path = tmp_path / "c.safetensors"
    examples = small_examples()
    fit(small_network(), examples, None, QUICK, Plan("refit", 2, path))
    state = state_after(QUICK, 0)
    read_checkpoint(path, state, QUICK, examples.fingerprint())
    assert state.position.epoch == 2
