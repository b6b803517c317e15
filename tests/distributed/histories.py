"""Trains in several ways and writes what each epoch gave: alone, or in the processes of `torchrun histories.py OUT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from quadgate import LSTMClassifier
from quadgate.data import Sequences, make_sequences
from quadgate.training import Settings, Workers, of_torchrun, train, watched

SMALL = Settings(units=4, batch_size=8, batches=1, epochs=3, steps=0, patience=9, least_valid=0, seed=5)
WAYS = {
    "default": SMALL,
    "layers": SMALL.changed(layers=2, dropout=0.4, bidirectional=False, pool="mean"),
    "chance": SMALL.changed(warp=0.3, scale=0.2, average=0.9, label_smoothing=0.1, precision="float64"),
    "parts": SMALL.changed(accumulate=3, pool="attention", optimizer="adam"),
    "convolutions": SMALL.changed(filters=5, members=2, pool="last", precision="float64"),
    "steps": SMALL.changed(bidirectional=False, frames=0, every_step=True),
    "searches": SMALL.changed(searches=2, valid_fraction=0.3, batch_size=7, refit=False),
}


def cases(kind: str) -> Sequences:
    """29 cases, so that the last batch is of fewer cases than others; of weights that differ, or of a quantity."""
    made = make_sequences(29, time=(20, 31), channels=3, seed=2)
    if kind == "quantity":
        return Sequences(made.series, values=np.linspace(-3, 9, 29))
    weights = np.linspace(0.5, 2, 29) if kind == "chance" else None
    return Sequences(made.series, np.array(["b", "a"])[made.labels], weights=weights)


def histories() -> dict[str, list[dict[str, float | None]]]:
    """Return the losses, accuracies and gradient norms of every epoch."""
    found = {}
    for name, settings in (WAYS | {"quantity": SMALL}).items():
        run = train(cases(name), settings)
        found[name] = [
            {what: getattr(epoch, what) for what in ("train_loss", "valid_loss", "valid_accuracy", "gradient_norm")}
            for epoch in run.history.epochs
        ]
    return found


if __name__ == "__main__":
    with of_torchrun() as workers, watched(workers):
        told = histories()
        assert Workers.here() == workers
        some = cases("default")
        LSTMClassifier(units=2, epochs=1).fit(list(some.series), some.labels)  # one seed is drawn for all
    if workers.first:
        Path(sys.argv[1]).write_text(json.dumps(told))
