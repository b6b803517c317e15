from dataclasses import fields

import pytest
import torch

from quadgate.errors import InputError
from quadgate.training import PRESETS, Settings, preset


def test_the_seed_preset_is_one_cell_read_at_its_last_step():
    seed = preset("seed")
    assert (seed.units, seed.layers, seed.bidirectional, seed.pool, seed.head) == (64, 1, False, "last", "normal")
    assert (seed.forget_bias, seed.initializer, seed.dropout, seed.noise) == (1.0, "glorot", 0.0, 0.0)
    assert preset("default") == Settings() == PRESETS["default"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"pool": "man"}, "pool: found 'man'; did you mean 'mean'?"),
        ({"initializer": "chorno"}, "initializer: found 'chorno'; did you mean 'chrono'?"),
        ({"optimizer": "sgd"}, "optimizer: found 'sgd'; known: adam, adamw"),
        ({"units": 0}, "units: found 0, expected at least 1"),
        ({"clip": 0.0}, "clip: found 0.0, expected more than 0"),
        ({"learning_rate": -1.0}, "learning_rate: found -1.0, expected more than 0"),
        ({"learning_rate": 4e38}, "learning_rate: found 4e+38, expected at most 3.4e+38, the largest of float32"),
        ({"weight_decay": float("inf")}, "weight_decay: found inf, expected at most 3.4e+38, the largest of float32"),
        ({"device": "gpu"}, "device: found 'gpu', expected cpu, cuda, or cuda:1 and so on"),
        ({"device": "mps"}, "device: found 'mps', expected cpu, cuda, or cuda:1 and so on"),
        ({"device": "cuda:x"}, "device: found 'cuda:x', expected cpu, cuda, or cuda:1 and so on"),
        ({"dropout": 1.0}, "dropout: found 1.0, expected 0 or more, below 1"),
        ({"valid_fraction": 1.0}, "valid_fraction: found 1.0, expected 0 or more, below 1"),
        (
            {"chunk": 5},
            "chunk: found with a network that reads both ways, expected one that reads forward: --no-bidirectional "
            "(in Python bidirectional=False), or the preset stream",
        ),
        ({"seed": -1}, "seed: found -1, expected 0 or more"),
        ({"learning_rte": 1.0}, "learning_rte: no such setting; did you mean 'learning_rate'?"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(given, text):
    with pytest.raises(InputError) as caught:
        Settings().changed(**given)
    assert str(caught.value) == text


def test_a_device_of_torch_is_its_name():
    given = [torch.device("cpu"), torch.device("cuda:1")]
    assert [Settings(device=one).device for one in given] == ["cpu", "cuda:1"]


def test_a_small_set_has_no_part_to_stop_by_unless_it_is_asked_for():
    assert preset("default").for_cases(249).valid_fraction == 0
    assert preset("default").for_cases(250).valid_fraction == 0.2
    assert preset("default").changed(valid_fraction=0.3).for_cases(20).valid_fraction == 0.3
    assert preset("seed").for_cases(20).valid_fraction == 0.2


def test_an_unknown_preset_is_refused():
    with pytest.raises(InputError, match=r"preset: found 'sed'; did you mean 'seed'\?"):
        preset("sed")


def test_resuming_with_another_setting_is_refused_by_its_name():
    Settings().check_same(Settings())
    with pytest.raises(InputError, match=r"learning_rate: found 0\.5, but the run was begun with"):
        Settings().check_same(Settings(learning_rate=0.5))


def test_every_setting_is_documented():
    for field in fields(Settings):
        assert f"{field.name}" in Settings.__doc__
