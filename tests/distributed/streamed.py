"""Trains on a set of Parquet files, alone or in the processes of `torchrun streamed.py SET OUT`; tells the losses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quadgate.data.parquet import part
from quadgate.training import Settings, of_torchrun, parts_on_disk, train, watched

SETTINGS = Settings(units=4, batch_size=8, batches=1, epochs=2, steps=0, least_valid=0, seed=5)


def losses(folder: str) -> list[tuple[float | None, ...]]:
    """Return the losses, accuracies and gradient norms of every epoch."""
    part.WINDOW = 5000  # a few row groups of the small set
    learn, judge, _ = parts_on_disk(folder, SETTINGS)
    assert len(judge) > 0
    run = train(learn, SETTINGS)
    return [(one.train_loss, one.valid_loss, one.valid_accuracy, one.gradient_norm) for one in run.history.epochs]


if __name__ == "__main__":
    with of_torchrun() as workers, watched(workers):
        told = losses(sys.argv[1])
    if workers.first:
        Path(sys.argv[2]).write_text(json.dumps(told))
