"""Predictions of more cases than memory holds: piece by piece, by several processes, exactly once for each case.

The input is cut into units: some row groups of a Parquet file, or some files of a folder. A unit's predictions are one
file of the output, which is there whole or not at all; what is there is not done again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from quadgate.data import Sequences
from quadgate.data.folders import FolderOfFiles, refuse_unlike
from quadgate.data.parquet import ParquetSet, joined
from quadgate.errors import InputError, QuadgateError
from quadgate.formats import load
from quadgate.kernels.threads import processors
from quadgate.model import write_atomically
from quadgate.model.atomic import remove_unfinished
from quadgate.report.evaluation import Predictions, class_names, predict

JOURNAL = "_predictions.json"  # readers of Parquet pass over names that begin so
EARLIER = "predictions.json"  # its name before
UNIT = 64 * 2**20  # bytes of series, or
FILES = 256  # files of a folder, that become one file of the output
ROWS = 128 * 1024  # predictions in a row group


@dataclass(frozen=True)
class Job:
    """What is predicted, and where to; what a worker needs to know.

    Attributes:
        run: the folder or file of the model.
        data: the cases.
        output: the folder of the predictions.
        units: the first and the last row group, or file, of each unit, last excluded.
    """

    run: Path
    data: ParquetSet | FolderOfFiles
    output: Path
    units: tuple[tuple[int, int], ...]

    def part(self, unit: int) -> Path:
        """Return the file of a unit's predictions."""
        ending = "parquet" if isinstance(self.data, ParquetSet) else "csv"
        return self.output / f"part-{unit:05}.{ending}"

    def read(self, unit: int) -> Sequences | None:
        """Read the cases of a unit; None where all are left out."""
        begin, end = self.units[unit]
        if isinstance(self.data, FolderOfFiles):
            found = [self.data.read(index).train for index in range(begin, end)]
            for one in found:
                refuse_unlike(one, found[0].channels)
            return joined(found, self.data.folder.name)
        whole = [number for number in range(begin, end) if self.data.cases_of(self.data.groups[number])]
        return joined([self.data.read(number) for number in whole], self.data.name) if whole else None


def plan(run: Path, data: ParquetSet | FolderOfFiles, output: Path) -> Job:
    """Cut the input into units, and begin or go on with the output.

    Raises:
        InputError: the folder holds something else, or the predictions of another model or of other data; or the
            model does not fit the channels of the set.
    """
    model = load(run)
    if isinstance(data, FolderOfFiles):
        size = len(data.files)
        units = [(start, min(start + FILES, size)) for start in range(0, size, FILES)]
        known = repr([(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in data.files] + [data.given])
    else:
        units, known = _units_of(data), data.fingerprint
        zeros = np.zeros((model.inputs + 1, len(data.channels)), np.float32)
        predict(model, Sequences((zeros,), channels=data.channels, source=data.name))  # refused before a set is read
    digest = hashlib.sha256(known.encode())
    for file in sorted(run.glob("model*")) if run.is_dir() else [run]:
        digest.update(file.read_bytes())
    journal = {"format_version": 1, "of": digest.hexdigest(), "run": str(run), "units": len(units)}
    file = output / JOURNAL
    if file.exists():
        if json.loads(file.read_text(encoding="utf-8")).get("of") != journal["of"]:
            raise InputError(f"{output}: found predictions of another model or of other data; give another --output")
        remove_unfinished(output)
    elif (output / EARLIER).is_file():
        raise InputError(
            f"{output}: found predictions that an earlier version of quadgate began; remove {output} to predict "
            "anew, or give another --output"
        )
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already and holds no predictions; give another --output, a new folder")
    else:
        with write_atomically(file) as beside:
            beside.write_text(json.dumps(journal) + "\n", encoding="utf-8")
    return Job(run, data, output, tuple(units))


def predict_all(job: Job, workers: int = 1, tell: Callable[[int, int], None] = lambda _, __: None) -> tuple[int, int]:
    """Predict every unit whose predictions are not there yet.

    A unit that cannot be read keeps no other from being predicted. Each of several processes takes its share of the
    processors.

    Args:
        job: what.
        workers: how many processes.
        tell: is told how many units of how many are done.

    Returns:
        The cases of the input, and those of the output, which are counted apart.

    Raises:
        QuadgateError: of the first unit that could not be predicted, once the others are.
    """
    if workers < 1:
        raise InputError(f"workers: found {workers}, expected at least 1")
    missing = [unit for unit in range(len(job.units)) if not job.part(unit).exists()]
    done = len(job.units) - len(missing)
    tell(done, len(job.units))
    errors: list[QuadgateError] = []
    with _pool(job, min(workers, len(missing))) as run_units:
        for error in run_units(missing):
            errors += [error] if error else []
            done += error is None
            tell(done, len(job.units))
    if errors:
        raise type(errors[0])(f"{errors[0]}; {done:,} of {len(job.units):,} parts are predicted")
    return _cases_in(job), sum(_cases_out(job.part(unit)) for unit in range(len(job.units)))


@contextmanager
def _pool(job: Job, workers: int) -> Iterator[Callable[[list[int]], Iterator[QuadgateError | None]]]:
    """Give what predicts units, here or in processes of their own."""
    if workers <= 1:
        model = load(job.run)
        yield lambda units: (_attempt(model, job, unit) for unit in units)
        return
    threads = max(1, processors() // workers)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (job, threads))
    try:
        yield lambda units: (each.result() for each in as_completed([pool.submit(_in_worker, unit) for unit in units]))
    finally:
        pool.shutdown(cancel_futures=True)


_here: dict[str, Any] = {}  # a worker's job and model


def _begin(job: Job, threads: int) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:  # a worker whose parent was killed would wait for work forever
        Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    os.environ["QUADGATE_NUM_THREADS"] = str(threads)
    _here.update(job=job, model=load(job.run))


def _in_worker(unit: int) -> QuadgateError | None:
    return _attempt(_here["model"], _here["job"], unit)


def _attempt(model: Any, job: Job, unit: int) -> QuadgateError | None:
    try:
        sequences = job.read(unit)
        if sequences is None:
            none = np.empty((0, model.classes or 0), np.float32)
            found = Predictions((), class_names(model), none)
        else:
            found = predict(model, sequences)
        _write(found, job.part(unit))
    except QuadgateError as error:
        return error
    return None


def _write(found: Predictions, path: Path) -> None:
    if path.suffix == ".csv":
        found.write_csv(path)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"case": pa.array(found.cases, pa.string()), "class": pa.array(found.answers.tolist())}
    for place, name in enumerate(found.classes.tolist()):
        columns[f"probability of {name}"] = found.probabilities[:, place]
    with write_atomically(path) as beside:
        pq.write_table(pa.table(columns), beside, row_group_size=ROWS)


def _units_of(data: ParquetSet) -> list[tuple[int, int]]:
    """Take row groups of a file together, as they follow each other, until they fill a unit."""
    units: list[tuple[int, int]] = []
    held = UNIT
    for number, group in enumerate(data.groups):
        size = group.rows * len(data.channels) * 4
        if held + size > UNIT or data.groups[number - 1].file != group.file:
            units.append((number, number + 1))
            held = size
        else:
            units[-1] = (units[-1][0], number + 1)
            held += size
    return units


def _cases_in(job: Job) -> int:
    if isinstance(job.data, FolderOfFiles):
        return len(job.data.files)
    return sum(len(job.data.cases_of(group)) for group in job.data.groups)


def _cases_out(path: Path) -> int:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.reader(file)) - 1
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
