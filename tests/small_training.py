"""A small network and small data that the tests of training share."""

from __future__ import annotations

import numpy as np
import torch

from quadgate.data import make_sequences
from quadgate.modules import SequenceClassifier
from quadgate.training import Examples, Settings

QUICK = Settings(units=5, batch_size=4, epochs=4, patience=4, least_valid=0, seed=3)


def small_examples(cases: int = 13, seed: int = 0) -> Examples:
    """Series of unequal length in three channels, two classes."""
    made = make_sequences(cases, time=(20, 27), channels=3, low=-2, high=2, seed=seed)
    return Examples(made.series, made.labels)


def small_network(settings: Settings = QUICK, seed: int = 0) -> SequenceClassifier:
    torch.manual_seed(seed)
    return SequenceClassifier(
        3,
        settings.units,
        2,
        layers=settings.layers,
        bidirectional=settings.bidirectional,
        pool=settings.pool,
        dropout=settings.dropout,
        head=settings.head,
    )


def weights(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}


def assert_same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array.view(np.uint32), other[name].view(np.uint32), err_msg=name)
