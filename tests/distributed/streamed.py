"""Trains on a set of Parquet files, alone or in the processes of `torchrun streamed.py SET RUN [RANK BATCH]`.

It goes on with what RUN holds, and writes down in `RUN-read-RANK` what each process reads; with RANK and BATCH that
process kills itself after a batch.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from quadgate.data.parquet import opening, parquet_set, part
from quadgate.training import Callback, History, Settings, Workers, loop, of_torchrun, parts_on_disk, train, watched

SETTINGS = Settings(units=4, batch_size=8, batches=1, epochs=2, steps=0, least_valid=0, seed=5, dropout=0.2)


class KillAt(Callback):
    """Kills this process after a batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_batch(self, stage: str, done: int, planned: int) -> None:  # noqa: ARG002
        if done == self.batch:
            os.kill(os.getpid(), signal.SIGKILL)


def run(folder: str, out: Path, *callbacks: Callback) -> History:
    """Train, with a checkpoint after every batch."""
    part.WINDOW, loop.KEPT_EVERY = 80_000, 0.0  # half of the row groups of the small set
    learn, judge, *_ = parts_on_disk(folder, SETTINGS)
    assert len(judge) > 0
    write_down_what_is_read(Path(f"{out}-read-{Workers.here().rank}"))
    return train(learn, SETTINGS, out, resume=True, callbacks=callbacks).history


def write_down_what_is_read(file: Path) -> None:
    """From here on, append a line for each row group: its bytes of the columns that are read, and of all."""

    def noted(read, columns_of):
        def reading(place, group, *columns):
            with place.opened(group.file) as opened:
                found = opened.metadata.row_group(group.number)
                sizes = {
                    (one := found.column(k)).path_in_schema: one.total_compressed_size for k in range(found.num_columns)
                }
            own = sum(sizes[name] for name in columns_of(*columns))
            with file.open("a") as notes:
                notes.write(f"{own} {sum(sizes.values())}\n")
            return read(place, group, *columns)

        return reading

    def named(roles):
        return [name for name in (roles.case, roles.label, roles.group) if name is not None]

    parquet_set.table_of = noted(opening.table_of, lambda roles, channels: [*named(roles), *channels])
    parquet_set.cases_alone = noted(opening.cases_alone, lambda *columns: filter(None, columns))


if __name__ == "__main__":
    with of_torchrun() as workers, watched(workers):
        at = sys.argv[3:] and workers.rank == int(sys.argv[3])
        run(sys.argv[1], Path(sys.argv[2]), *([KillAt(int(sys.argv[4]))] if at else []))
