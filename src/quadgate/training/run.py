"""A whole run: from a data set and settings to a folder with the model, the history and the checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import chain, count
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike

from quadgate.data import Dataset, Sequences, split
from quadgate.data.parquet import Part
from quadgate.errors import InputError, QuadgateError
from quadgate.explain import TrainingCases
from quadgate.formats import save
from quadgate.model import Ensemble, Model
from quadgate.model.atomic import remove_unfinished
from quadgate.modules import LSTMFCN, SequenceClassifier
from quadgate.training.blueprint import Blueprint, Start
from quadgate.training.checkpoint import Position
from quadgate.training.disk import shown
from quadgate.training.examples import Examples
from quadgate.training.history import History
from quadgate.training.loop import Callback, Plan, fit
from quadgate.training.memory import check_memory
from quadgate.training.preview import Preview
from quadgate.training.reach import Reach, measure_reach, measured
from quadgate.training.settings import Settings
from quadgate.training.streamed import Streamed
from quadgate.training.threads import recorded_threads
from quadgate.training.worker_log import WorkerLog
from quadgate.training.workers import Workers, lost_workers

MODEL = "model.safetensors"
HISTORY = "history.jsonl"
CHECKPOINTS = "checkpoints"
MEMBERS_APART = 1_000_003  # between the seeds of an ensemble's members, so that two runs share none


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
        search: where the first fit of the first member ended, the one that was stopped by the validation part where
            there is one.
        further: what a later run goes on with.
        data: the fingerprint of the training part.
        reach_before, reach_after: how far back the gradient reaches in the untrained and the trained network.
        parameters: the number of trained numbers, of all members together; those of a normalisation, which are folded
            into convolutions when the model is saved, among them.
        fitted_cases, validation_cases: how the training part was divided.
    """

    folder: Path | None
    settings: Settings
    model: Model | Ensemble
    history: History
    search: Position
    further: Start
    data: str
    reach_before: Reach
    reach_after: Reach
    fitted_cases: int
    validation_cases: int
    parameters: int


def hold_out(dataset: Dataset, settings: Settings) -> tuple[Sequences, Sequences, str | None]:
    """Return the training part and the test part; where the data have none it is held out, and a line says which.

    Raises:
        InputError: there are no labels, one class only, or too few cases to hold one out of each class.
    """
    dataset.train.check_trainable(settings.every_step)
    if dataset.test is not None:
        return dataset.train, dataset.test, None
    train, test = split(dataset.train, settings.test_fraction, settings.seed)
    if test.groups is None:
        which = "" if test.step_labels is not None else "every class keeps its share, "
        which += f"drawn with seed {settings.seed}"
    else:
        which = f"whole groups: {', '.join(map(str, np.unique(test.groups)))}"
    return train, test, f"no test part was given: {len(test):,} of {len(dataset.train):,} cases are held out ({which})"


def train(
    sequences: Sequences | Part,
    settings: Settings,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    announce: Callable[[Preview], None] = lambda _: None,
    classes: ArrayLike | None = None,
    start: Start | None = None,
) -> Run:
    """Train a network on `sequences`, and leave it in `folder` where one is given.

    It tells classes apart, or predicts a quantity where the cases have `values`. A part is held out to stop by; with
    `settings.refit` the network is then trained anew on all cases, for the number of epochs after which that stopped,
    down the whole slope of the learning rate. `settings.members` networks are trained so, one after the other. Killed
    at any moment and called again with `resume`, it ends with the same bits, on as many threads as it was begun with.

    Where a process group is there (torchrun's, Ray's, or the caller's own), its processes train together, each called
    with the same arguments: the first writes the folder, and all return the trained network.

    Args:
        sequences: the training part, in memory or of a set on the disk; nothing else is ever seen.
        settings: how.
        folder: new or empty, or with `resume` that of a run with the same data and settings; None to write nothing.
        resume: whether to go on with the run in it.
        callbacks: see every batch and epoch.
        announce: is told what is about to be trained before it begins.
        classes: what to tell apart, where the cases at hand may lack some; those of the cases by default.
        start: a trained network to go on with, in place of weights drawn anew.

    Raises:
        InputError: the data cannot be trained on, the folder is in use, or holds something else than a run, or `start`
            is another network than the settings ask for.
        DivergedError: the loss became infinite or NaN.
        LostWorkerError: another process of several has ended.
        StoppedError: interrupted from the keyboard; the best so far was saved.
        KeyboardInterrupt: the same where there is no folder to save it in.
    """
    if classes is None:
        sequences.check_trainable(settings.every_step)
    workers = Workers.here()
    if folder is not None:
        workers.told(partial(_checked, folder, resume))
    settings = settings.for_cases(len(sequences))
    plan = Blueprint.of(sequences, settings, classes, start)
    every, some = plan.data(sequences), shown(sequences)
    few = every if isinstance(every, Examples) else plan.examples(some)
    of_batch = replace(settings, batch_size=min(settings.batch_size, len(every)))
    check_memory(of_batch, plan.longest, few.series[0].shape[1])
    untrained = plan.build(settings, few)
    begin = perf_counter()
    reach_before = measure_reach(untrained, few)
    seconds = (perf_counter() - begin) / len(measured(few)) / workers.size
    preview = Preview.of(untrained, of_batch, plan.patches, reach_before, seconds, len(every))
    announce(preview)
    log = None if folder is None or workers.size == 1 else WorkerLog(folder, workers)
    callbacks = callbacks if log is None else [*callbacks, log]
    if not workers.first:
        folder = None  # it is the first one's to write
    checkpoints = None
    if folder is not None:
        remove_unfinished(folder)
        checkpoints = folder / CHECKPOINTS
        checkpoints.mkdir(parents=True, exist_ok=True)
    history = History(None if folder is None else folder / HISTORY)
    members: list[_Network] = []
    counts, first = (len(every), 0), Position()
    ends: list[Position] = []

    def trained() -> list[SequenceClassifier | LSTMFCN]:
        return [module for member in members if (module := member.best) is not None]

    def keep() -> Model | Ensemble:
        model = plan.model(trained(), sequences)
        if folder is not None:
            save(model, folder / MODEL)
        return model

    def train_member(number: int) -> list[Position]:
        """Train one network; return where its fits ended."""
        nonlocal counts
        own = settings.changed(seed=settings.seed + MEMBERS_APART * number)
        member = _Network(plan, number, own, few, history, callbacks, checkpoints)
        members.append(member)
        ends = []
        for search in range(own.searches if own.valid_fraction else 0):
            learned, valid = map(plan.data, _split(sequences, own.valid_fraction, own.seed + search))
            counts = len(learned), len(valid)
            stage = "search" if search == 0 else f"search {search + 1}"
            ends.append(member.fit(learned, valid, stage, own.epochs))
        epochs = own.epochs if not ends else int(median(end.epoch for end in ends))
        if own.refit or not ends:
            ends.append(member.fit(every, None, "refit", epochs))
        return ends

    try:
        with recorded_threads(checkpoints), lost_workers(), log or nullcontext():
            for number in range(settings.members):
                ends = train_member(number)
                first = ends[0] if number == 0 else first
    except KeyboardInterrupt:
        if folder is None and workers.first:
            raise
        if not workers.first:
            raise StoppedError("stopped") from None
        if not trained():
            raise StoppedError(f"stopped before the first epoch was over; {folder} holds no model yet") from None
        keep()
        epochs = len(history.epochs)
        raise StoppedError(
            f"stopped after {epochs} epoch{'s' * (epochs > 1)}; the best network so far is saved in {folder}"
        ) from None
    model = keep()
    if folder is not None:
        TrainingCases.of(model, some).save(folder)
    return Run(
        folder=folder,
        settings=settings,
        model=model,
        history=history,
        search=first,
        further=Start(model, (0 if start is None else start.epochs) + ends[-1].epoch, plan.mean, plan.scale),
        data=sequences.fingerprint(),
        reach_before=reach_before,
        reach_after=measure_reach(trained()[0], few),
        fitted_cases=counts[0],
        validation_cases=counts[1],
        parameters=preview.parameters,
    )


def _checked(folder: Path, resume: bool) -> bytes:
    check_folder(folder, resume)
    return b""


def _split(cases: Sequences | Part, fraction: float, seed: int) -> tuple[Sequences | Part, Sequences | Part]:
    return cases.split(fraction, seed) if isinstance(cases, Part) else split(cases, fraction, seed)


@dataclass
class _Network:
    """One network of the run, which is fitted anew once or several times."""

    plan: Blueprint
    number: int
    settings: Settings
    few: Examples
    history: History
    callbacks: Sequence[Callback]
    checkpoints: Path | None
    fitted: SequenceClassifier | LSTMFCN | None = None
    at_work: tuple[str, SequenceClassifier | LSTMFCN] | None = None

    def fit(self, learned: Examples | Streamed, valid: Examples | Streamed | None, stage: str, epochs: int) -> Position:
        """Fit it from its beginning under the stage's name, with a checkpoint file of its own."""
        name = stage if self.number == 0 else f"network {self.number + 1} {stage}"
        file = None if self.checkpoints is None else self.checkpoints / f"{name.replace(' ', '-')}.safetensors"
        before = 0 if self.plan.start is None else self.plan.start.epochs
        module = self.plan.build(self.settings, self.few, self.number)
        self.at_work = name, module
        plan = Plan(name, epochs, file, before)
        end = fit(module, learned, valid, self.settings, plan, self.history, self.callbacks)
        self.fitted = module
        return end

    @property
    def best(self) -> SequenceClassifier | LSTMFCN | None:
        """The network of the last fit that is over, or that of the first once it has an epoch."""
        if self.fitted is None and self.at_work is not None:
            stage, module = self.at_work
            return module if any(one.stage == stage for one in self.history.epochs) else None
        return self.fitted


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
