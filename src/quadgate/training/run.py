"""A whole run: from a data set and settings to a folder with the model, the history and the checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, count
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quadgate.data import Dataset, Sequences, fit_scaling, split
from quadgate.errors import InputError, QuadgateError
from quadgate.formats import save
from quadgate.model import Model, Scaling
from quadgate.modules import SequenceClassifier
from quadgate.modules.exchange import to_model
from quadgate.training.checkpoint import Position
from quadgate.training.history import History
from quadgate.training.loop import Callback, Examples, Plan, fit
from quadgate.training.reach import Reach, measure_reach
from quadgate.training.settings import Settings

MODEL = "model.safetensors"
HISTORY = "history.jsonl"
CHECKPOINTS = "checkpoints"


class StoppedError(QuadgateError):
    """Training was interrupted from the keyboard; the text says what was saved, and a resume goes on from there."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run ended with.

    Attributes:
        folder: where it lies, or None.
        settings: how it was trained.
        model: the trained model, as it lies in the folder where there is one.
        history: every epoch.
        search: where the first fit ended, the one that was stopped by the validation part.
        reach_before, reach_after: how far back the gradient reaches in the untrained and the trained network.
        fitted_cases, validation_cases: how the training part was divided.
    """

    folder: Path | None
    settings: Settings
    model: Model
    history: History
    search: Position
    reach_before: Reach
    reach_after: Reach
    fitted_cases: int
    validation_cases: int

    @property
    def parameters(self) -> int:
        """The number of trained numbers."""
        return sum(prod(array.shape) for array in self.model.variables.values())


def hold_out(dataset: Dataset, settings: Settings) -> tuple[Sequences, Sequences, str | None]:
    """Return the training part and the test part; where the data have none it is held out, and a line says which.

    Raises:
        InputError: there are no labels, one class only, or too few cases to hold one out of each class.
    """
    dataset.train.check_trainable()
    if dataset.test is not None:
        return dataset.train, dataset.test, None
    train, test = split(dataset.train, settings.test_fraction, settings.seed)
    if test.groups is None:
        which = f"every class keeps its share, drawn with seed {settings.seed}"
    else:
        which = f"whole groups: {', '.join(map(str, np.unique(test.groups)))}"
    return train, test, f"no test part was given: {len(test):,} of {len(dataset.train):,} cases are held out ({which})"


def train(
    sequences: Sequences,
    settings: Settings,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    announce: Callable[[Reach], None] = lambda _: None,
) -> Run:
    """Train a classifier on `sequences`, and leave it in `folder` where one is given.

    A part is held out to stop by; with `settings.refit` the network is then trained anew on all cases, for the
    number of epochs after which that stopped, down the whole slope of the learning rate. Killed at any moment and
    called again with `resume`, it ends with the same bits.

    Args:
        sequences: the training part; nothing else is ever seen.
        settings: how.
        folder: new or empty, or with `resume` that of a run with the same data and settings; None to write nothing.
        resume: whether to go on with the run in it.
        callbacks: see every batch and epoch.
        announce: is told the reach before training begins.

    Raises:
        InputError: the data cannot be trained on, or the folder is in use, or holds something else than a run.
        StoppedError: interrupted from the keyboard; the best so far was saved.
        KeyboardInterrupt: the same where there is no folder to save it in.
    """
    sequences.check_trainable()
    if folder is not None:
        check_folder(folder, resume)
    scaling = fit_scaling(sequences)
    part, held = split(sequences, settings.valid_fraction, settings.seed)
    every, learned, valid = (examples(one, sequences.classes, scaling) for one in (sequences, part, held))
    module = build(settings, every, len(sequences.classes))
    reach_before = measure_reach(module, every)
    announce(reach_before)
    checkpoints = None if folder is None else folder / CHECKPOINTS
    if checkpoints is not None:
        checkpoints.mkdir(parents=True, exist_ok=True)
    history = History(None if folder is None else folder / HISTORY)

    def plan(stage: str, epochs: int) -> Plan:
        return Plan(stage, epochs, None if checkpoints is None else checkpoints / f"{stage}.safetensors")

    def keep() -> Model:
        model = to_model(
            module,
            labels=tuple(sequences.classes.tolist()),
            channels=sequences.channels,
            scaling=scaling,
            source=f"quadgate train on {sequences.source}",
        )
        if folder is not None:
            save(model, folder / MODEL)
        return model

    try:
        end = fit(module, learned, valid, settings, plan("search", settings.epochs), history, callbacks)
        if settings.refit:
            again = build(settings, every, len(sequences.classes))
            fit(again, every, None, settings, plan("refit", end.epoch), history, callbacks)
            module = again
    except KeyboardInterrupt:
        if folder is None:
            raise
        if not history.epochs:
            raise StoppedError(f"stopped before the first epoch was over; {folder} holds no model yet") from None
        keep()
        raise StoppedError(
            f"stopped after {len(history.epochs)} epochs; the best network so far is saved in {folder}"
        ) from None
    return Run(
        folder=folder,
        settings=settings,
        model=keep(),
        history=history,
        search=end,
        reach_before=reach_before,
        reach_after=measure_reach(module, every),
        fitted_cases=len(learned),
        validation_cases=len(valid),
    )


def new_folder(home: Path, name: str) -> Path:
    """Return a folder `home/DATE-NAME` that does not exist yet; a second one of a day gets a number."""
    plain = home / f"{date.today().isoformat()}-{name}"
    numbered = (plain.with_name(f"{plain.name}-{number}") for number in count(2))
    return next(folder for folder in chain([plain], numbered) if not folder.exists())


def check_folder(folder: Path, resume: bool) -> None:
    """Refuse a folder that is in use; with `resume` a run's own is welcome.

    A run that was killed before it began has left nothing or an empty folder, and is resumed from its beginning.

    Raises:
        InputError: says which option helps.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if resume and not (folder / CHECKPOINTS).is_dir():
        raise InputError(f"{folder}: found no run to resume, expected {folder / CHECKPOINTS}; give another --out")
    if not resume:
        raise InputError(f"{folder}: exists already; go on with --resume, or give another --out")


def examples(sequences: Sequences, classes: NDArray[Any], scaling: Scaling) -> Examples:
    """Scale labelled series, and number their classes."""
    targets = np.searchsorted(classes, np.asarray(sequences.labels)).astype(np.int64)
    return Examples(tuple(scaling.apply(one) for one in sequences.series), targets, sequences.weights)


def build(settings: Settings, data: Examples, classes: int) -> SequenceClassifier:
    """Make the untrained network; its weights are drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):  # the caller's generator stays as it is
        torch.manual_seed(settings.seed)
        return SequenceClassifier(
            inputs=data.series[0].shape[1],
            units=settings.units,
            classes=classes,
            layers=settings.layers,
            bidirectional=settings.bidirectional,
            pool=settings.pool,
            forget_bias=settings.forget_bias,
            dropout=settings.dropout,
            initializer=settings.initializer,
            longest=int(data.lengths.max()),
            head=settings.head,
        )
