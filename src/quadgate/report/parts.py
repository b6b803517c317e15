"""Which data a run learned from, and which cases it is judged by: as in its training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.data import Dataset, Sequences, read, split
from quadgate.data.columns import Columns
from quadgate.data.parquet import LeftOut, ParquetSet, Part, is_parquet_set, statistics_of
from quadgate.data.parquet.part import JUDGED, SHOWN
from quadgate.data.read import SAMPLE
from quadgate.errors import FileFormatError, InputError, QuadgateError
from quadgate.explain import TrainingCases
from quadgate.explain.neighbors import STATES
from quadgate.model import Ensemble, Model
from quadgate.report.record import REPORT


def data_of_run(run: Path, source: str | None = None) -> Dataset:
    """Read the data that a run was trained on once more, in the same way; or `source` in their place, in that way.

    Raises:
        InputError: the run does not say what it was trained on, or that is not there any more.
        FileFormatError: the run's report.json is damaged.
    """
    file = run / REPORT
    if not file.is_file():
        if source is None:
            raise InputError(f"{run}: found no {REPORT}, which says what it was trained on; expected DATA with it")
        return read(source)
    try:
        how: dict[str, Any] = dict(_document(file)["data"]["read"])
        if source is not None:
            how |= {"source": source, "x": None, "y": None, "test": None, "skip_damaged": False}
        return read(how.pop("source"), **how)
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{file}: damaged ({error!r}), expected what `quadgate train` writes") from error


def parts_of_run(run: Path, given: Dataset | None = None) -> tuple[Sequences | None, Sequences, str]:
    """Return the training part (None where nothing tells it), the part to judge, and what to say of them.

    Args:
        run: the run's folder, or a file.
        given: data in place of the run's own. Their test part is judged, or all of them where they have none; what
            the run learned from is still its own.

    Raises:
        InputError: nothing is given, and what the run was trained on is not known or not there any more.
        FileFormatError: the run's report.json is damaged.
    """
    try:
        own = data_of_run(run)
    except QuadgateError:
        if given is None:
            raise
        return _parts(run, given)
    if given is None or _same(own, given):
        return _parts(run, own)
    train, _, _ = _parts(run, own)
    known = "which of them is not known" if train is None else f"{len(train):,} of them"
    if train is not None and (kept := _kept(run)) is not None and kept.streamed:
        known = f"of which {len(train):,} are looked at"
    learned = f"; it learned from its own data, {known}"
    if given.test is not None:
        return train, given.test, f"the test part: {given.test.describe()}{learned}"
    return train, given.train, f"all cases: {given.train.describe()}{learned}"


def _truth(part: Sequences) -> Any:
    return part.values if part.labels is None else part.labels


def _same(own: Dataset, given: Dataset) -> bool:
    def same(one: Sequences | None, other: Sequences | None) -> bool:
        if one is None or other is None:
            return one is other
        if len(one) != len(other) or not np.array_equal(_truth(one), _truth(other)):
            return False
        return all(map(partial(np.array_equal, equal_nan=True), one.series, other.series))

    return same(own.train, given.train) and same(own.test, given.test)


def _parts(run: Path, data: Dataset) -> tuple[Sequences | None, Sequences, str]:
    judged, which = _whole(data)
    kept = _kept(run)
    if kept is None:
        return (
            data.train if data.test is not None else None,
            judged,
            (which if data.test is not None else f"{which}; which of them it learned from is not known"),
        )
    if kept.streamed:
        of_set = kept.find_in_set(data)
        if of_set is None:
            return None, judged, f"{which}; which of them it learned from is not known"
        learned, held = of_set
        return learned.sample(SHOWN)[0], *((judged, which) if held is None else _held_out(held))
    found = kept.find(data)
    if found is None:
        return None, judged, f"{which}; the run learned from other data, which are not among these"
    train, test = found
    return train, test, which if data.test is not None else f"the part that training held out: {test.describe()}"


def part_to_judge(
    data: Dataset, model: Model | Ensemble | None = None, run: Path | None = None
) -> tuple[Sequences, str]:
    """Return the test part, or where there is none all cases, and what to say of them before measuring `model`.

    Args:
        data: that the model is measured on.
        model: to say whether it may look better than it is.
        run: its folder, by which it is known what it learned from.

    Raises:
        FileFormatError: the run's report.json is damaged.
    """
    judged, which = _whole(data)
    kept = None if run is None else _kept(run)
    if kept is not None and kept.streamed:
        if data.test is None and (of_set := kept.find_in_set(data)) is not None:
            if of_set[1] is not None:
                return _held_out(of_set[1])
            which += "\nnote: it learned from these very cases; on them it looks better than it is"
        elif data.test is None:
            which += "\nnote: whether it learned from some of these is not known; on them it looks better than it is"
    elif kept is not None:
        if judged.fingerprint() == kept.training:
            which += "\nnote: it learned from these very cases; on them it looks better than it is"
        elif data.test is None and (found := kept.find(data)) is not None:
            which += f"\nnote: it learned from {len(found[0]):,} of these cases, and looks better on them than it is; "
            which += f"`quadgate report {run}` judges the {len(found[1]):,} others alone"
    elif data.test is None and model is not None and model.source == f"quadgate train on {data.train.source}":
        which += "\nnote: it was trained on data of this name; on cases that it learned from it looks better than it is"
    return judged, which


def learned_steps(run: Path) -> bool:
    """Tell whether a run learned a class at each step.

    Raises:
        FileFormatError: the run's report.json is damaged.
    """
    kept = _kept(run)
    return kept is not None and kept.at_steps


def _whole(data: Dataset) -> tuple[Sequences, str]:
    if data.test is not None:
        return data.test, f"the test part: {data.test.describe()}"
    return data.train, f"all cases: {data.train.describe()}"


@dataclass(frozen=True)
class _Kept:
    """What a run's report.json says of its data: fingerprints, how divided, where a class stands, what was left out."""

    training: str
    test_fraction: float
    seed: int
    at_steps: bool
    streamed: bool
    read: dict[str, Any]
    left_out: tuple[LeftOut, ...]

    def find(self, data: Dataset) -> tuple[Sequences, Sequences] | None:
        """Return the training part and the part that was not learned from, or None where these are other data."""
        parts = (data.train, data.test)
        if data.test is None:
            try:
                parts = split(data.train, self.test_fraction, self.seed)
            except InputError:  # they cannot even be divided as the run's own were
                return None
        train, test = parts
        return (train, test) if test is not None and train.fingerprint() == self.training else None

    def find_in_set(self, data: Dataset) -> tuple[Part, Part | None] | None:
        """Return the part of a set that was streamed, and what was held out of it, None where a test part was given.

        None where the set is no longer what it was, or `data` are not of it.
        """
        source = self.read["source"]
        columns = Columns(*(self.read.get(name) for name in ("case", "time", "label", "group")))
        try:
            if not isinstance(source, str) or not is_parquet_set(source):
                return None
            opened = ParquetSet.open(source, columns, skip_damaged=True)
            whole = Part.whole(opened, statistics_of(opened))
            given = self.read.get("test") is not None
            learned, held = (whole, None) if given else whole.split(self.test_fraction, self.seed)
            same = learned.fingerprint() == self.training
            same = same and whole.sample(SAMPLE)[0].fingerprint() == data.train.fingerprint()
        except QuadgateError:
            return None
        return (learned, held) if same else None


def _held_out(part: Part) -> tuple[Sequences, str]:
    test, told = part.sample(JUDGED)
    return test, f"the part that training held out: {test.describe()}{'' if told is None else f', {told}'}"


def _kept(run: Path) -> _Kept | None:
    """Read it, where the run has a report."""
    file = run / REPORT
    if not file.is_file():
        return None
    document = _document(file)
    try:
        data, settings = document["data"], document["settings"]
        return _Kept(
            training=str(data["fingerprint"]["training"]),
            test_fraction=float(settings["test_fraction"]),
            seed=int(settings["seed"]),
            at_steps=data["a_class_at"] == "each step",
            streamed=bool(data.get("streamed", False)),
            read=dict(data["read"]),
            left_out=tuple(LeftOut(**one) for one in data.get("left_out", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{file}: damaged ({error!r}), expected what `quadgate train` writes") from error


def left_out_of_run(run: Path) -> tuple[LeftOut, ...]:
    """Return what of a run's data was damaged and left out of its training.

    Raises:
        FileFormatError: the run's report.json is damaged.
    """
    kept = _kept(run)
    return () if kept is None else kept.left_out


def trained_of_run(
    run: Path, model: Model | Ensemble, train: Sequences | None, progress: Callable[[str], None]
) -> TrainingCases | None:
    """Return the training cases as the model sees them: the states that training left, or computed; None of None."""
    if train is None:
        return None
    if (run / STATES).is_file():
        kept = TrainingCases.load(run)
        labels = None if train.labels is None else tuple(train.labels.tolist())
        if len(kept.states) == len(train) and kept.labels == labels:
            return replace(kept, series=train.series)
    progress(f"running the model over {len(train):,} training cases")
    return TrainingCases.of(model, train)


def find_case(part: Sequences, which: str, option: str) -> int:
    """Return the place of a case that is named by its number, from 0, or by its name.

    Raises:
        InputError: there is no such case.

    >>> find_case(Sequences([[[1.0]], [[2.0]]], names=["a.csv", "b.csv"]), "b.csv", "--case")
    1
    """
    if part.names is not None and which in part.names:
        return part.names.index(which)
    if not which.isdecimal() or int(which) >= len(part):
        names = "" if part.names is None else f", or a name such as {part.names[0]!r}"
        raise InputError(f"{option}: found {which!r}, expected a number from 0 to {len(part) - 1}{names}")
    return int(which)


def _document(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{file}: damaged ({error!r}), expected what `quadgate train` writes") from error
    return document
