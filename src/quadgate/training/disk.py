"""What a run learns from and is judged by, where its data are a set of Parquet files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from quadgate.data import Sequences, read
from quadgate.data.columns import Columns
from quadgate.data.parquet import LeftOut, ParquetSet, Part, Statistics, is_parquet_set, statistics_of
from quadgate.data.parquet.part import JUDGED, SHOWN
from quadgate.errors import InputError, QuadgateError
from quadgate.training.settings import Settings
from quadgate.training.workers import Workers

PATIENCE = timedelta(days=7)  # that processes wait for the first one's pass over a set


class PartsOnDisk(NamedTuple):
    """What a run learns from and is judged by.

    Attributes:
        learn: the training part, which stays on the disk.
        judge: cases to judge by.
        how: lines that tell what they are.
        left_out: what is damaged and left out, of the test part too.
    """

    learn: Part
    judge: Sequences
    how: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def parts_on_disk(
    source: str,
    settings: Settings,
    columns: Columns | None = None,
    test: str | Path | None = None,
    skip_damaged: bool = False,
    tell: Callable[[int, int], None] = lambda _, __: None,
) -> PartsOnDisk:
    """Find out what a run learns from and is judged by; of several processes the first measures the set.

    Args:
        source: the folder or URL of the set.
        settings: how much is held out, and by which seed.
        columns: those that are no channels.
        test: another set, or a source of another form, to judge by; a part of the set is held out without it.
        skip_damaged: whether damaged parts of the set are left out.
        tell: is told how many row groups of how many were measured.

    Raises:
        InputError: the set is damaged, nothing can be learned from it, or the test part has other channels.
        LostWorkerError: another process does not answer.
    """
    whole = _measured(source, columns, skip_damaged, tell)
    data, left_out = whole.data, whole.data.left_out
    whole.check_trainable(settings.every_step)
    how = [whole.describe(), *data.how, "its files are streamed, epoch by epoch: memory does not grow with them"]
    if test is None:
        learn, held = whole.split(settings.test_fraction, settings.seed)
        by = "their names" if data.roles.group is None else "their groups"
        how.append(
            f"no test part was given: {len(held):,} of {len(whole):,} cases are held out (by a hash of {by}, "
            f"drawn with seed {settings.seed})"
        )
        judge, told = held.sample(JUDGED)
    elif is_parquet_set(str(test)):
        other = _measured(str(test), columns, skip_damaged, tell)
        how += [f"the test part: {line}" for line in other.data.how if line.startswith("left out: ")]
        left_out += other.data.left_out
        learn = whole
        judge, told = other.sample(JUDGED)
    else:
        found = read(test, **vars(columns or Columns()))
        learn, judge, told = whole, found.train, None
    if len(judge.channels) != len(learn.channels):
        raise InputError(
            f"{judge.source}: found {len(judge.channels)} channels in the test part, expected {len(learn.channels)} as "
            "in the training part"
        )
    how.append(f"judged by {told or f'{len(judge):,} cases'}")
    return PartsOnDisk(learn, judge, tuple(how), left_out)


def _measured(source: str, columns: Columns | None, skip_damaged: bool, tell: Callable[[int, int], None]) -> Part:
    """Open and measure a set; of several processes the first does the pass, and the others get what it found.

    They are told which cases are cut in two, too, so that they read no more than the ends of the files.
    """
    workers = Workers.here()
    mine: list[Part] = []

    def measure() -> bytes:
        data = ParquetSet.open(source, columns, skip_damaged, tell)
        mine.append(Part.whole(data, statistics_of(data, tell)))
        found = {"excluded": sorted(data.excluded), "statistics": mine[0].statistics.as_text(data)}
        return json.dumps(found).encode() if workers.size > 1 else b""

    told = workers.told(measure, PATIENCE)
    if not mine:
        known = json.loads(told)
        try:
            data = ParquetSet.open(source, columns, skip_damaged, excluded=known["excluded"])
            found = Statistics.from_text(known["statistics"], data)
            mine += [] if found is None else [Part.whole(data, found)]
        except QuadgateError:  # told below, where the others wait
            pass
    workers.check_all(source, bool(mine))
    return mine[0]


def shown(data: Sequences | Part) -> Sequences:
    """Return the cases, or some of a part that stays on the disk."""
    return data if isinstance(data, Sequences) else data.sample(SHOWN)[0]
