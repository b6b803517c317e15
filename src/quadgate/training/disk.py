"""What a run learns from and is judged by, where its data are a set of Parquet files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quadgate.data import Sequences, read
from quadgate.data.columns import Columns
from quadgate.data.parquet import ParquetSet, Part, is_parquet_set, statistics_of
from quadgate.data.parquet.part import JUDGED, SHOWN
from quadgate.errors import InputError
from quadgate.training.settings import Settings


def parts_on_disk(
    source: str,
    settings: Settings,
    columns: Columns | None = None,
    test: str | Path | None = None,
    skip_damaged: bool = False,
    tell: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[Part, Sequences, tuple[str, ...]]:
    """Return the training part of a set, which stays on the disk, cases to judge by, and lines that tell what they are.

    Args:
        source: the folder or URL of the set.
        settings: how much is held out, and by which seed.
        columns: those that are no channels.
        test: another set, or a source of another form, to judge by; a part of the set is held out without it.
        skip_damaged: whether damaged parts of the set are left out.
        tell: is told how many row groups of how many were measured.

    Raises:
        InputError: the set is damaged, nothing can be learned from it, or the test part has other channels.
    """
    data = ParquetSet.open(source, columns, skip_damaged)
    whole = Part.whole(data, statistics_of(data, tell))
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
        other = ParquetSet.open(test, columns, skip_damaged)
        learn = whole
        judge, told = Part.whole(other, statistics_of(other, tell)).sample(JUDGED)
    else:
        found = read(test, **vars(columns or Columns()))
        learn, judge, told = whole, found.train, None
    if len(judge.channels) != len(learn.channels):
        raise InputError(
            f"{judge.source}: found {len(judge.channels)} channels in the test part, expected {len(learn.channels)} as "
            "in the training part"
        )
    how.append(f"judged by {told or f'{len(judge):,} cases'}")
    return learn, judge, tuple(how)


def shown(data: Sequences | Part) -> Sequences:
    """Return the cases, or some of a part that stays on the disk."""
    return data if isinstance(data, Sequences) else data.sample(SHOWN)[0]
