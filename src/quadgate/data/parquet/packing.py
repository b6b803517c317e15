"""Packing: any source of series into a set of Parquet files, which can be interrupted and goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.data.columns import KNOWN_NAMES
from quadgate.data.parquet.sources import Position, Source
from quadgate.data.sequences import Sequences
from quadgate.dependencies import require
from quadgate.errors import InputError
from quadgate.model.atomic import remove_unfinished, write_atomically

GROUP = 12 * 2**20  # bytes of series in a row group, of which eight fill a window of training
FILE = 256 * 2**20  # bytes of series in a file: what a kill can cost
JOURNAL = "_packing.json"  # readers of Parquet pass over names that begin so
EARLIER = "packing.json"  # its name before
FORMAT_VERSION = 1


@dataclass
class Journal:
    """How far packing is: written after each file, and what a second call goes on from.

    Attributes:
        source: what is packed, and how it is read.
        position: where in the source the next file begins.
        files: the files that are whole.
        cases: in them.
    """

    source: str
    position: Position = field(default_factory=lambda: [0])
    files: list[str] = field(default_factory=list)
    cases: int = 0
    format_version: int = FORMAT_VERSION


def pack(
    source: Source,
    folder: Path,
    identity: str,
    tell: Callable[[int, int], None] = lambda _, __: None,
) -> int:
    """Write the cases of a source as Parquet files into a folder, and return how many there are.

    A case lies whole in one row group of about 12 MB. Killed at any moment and called again, it goes on after the
    last file that was whole; the files are the same as without the interruption.

    Args:
        source: of the cases.
        folder: new, or one in which packing the same source began.
        identity: of the source, by which it is known again; see `identity_of`.
        tell: is told how many units of how many of the source are done.

    Raises:
        InputError: the folder holds something else, or the source is damaged.
    """
    journal = _journal(folder, identity)
    remove_unfinished(folder)
    pieces = source.pieces(journal.position)
    while journal.position[0] < source.size:
        name = f"part-{len(journal.files):05}.parquet"
        with write_atomically(folder / name) as beside:
            journal.cases += _write_file(
                beside, pieces, journal, source.most, lambda position: tell(min(position[0], source.size), source.size)
            )
        journal.files.append(name)
        _keep(folder, journal)
    return journal.cases


def packed_so_far(folder: Path) -> int:
    """Return how many cases are in files that are whole, which stay when packing is stopped."""
    file = folder / JOURNAL
    return int(json.loads(file.read_text(encoding="utf-8"))["cases"]) if file.exists() else 0


def identity_of(source: str, given: dict[str, Any], out: Path | None = None) -> str:
    """Return a hash of a source: its name, the arguments it is read with, and its files with their sizes and times.

    What is in `out`, which may lie in the source's own folder, is no part of it.
    """
    path = Path(source).resolve()  # the same from any folder, however it was spelled
    name = path.as_posix() if path.exists() else source
    inside = None if out is None else out.resolve()
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    found = [
        (file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file() and (inside is None or inside not in file.parents)
    ]
    given = {name: value for name, value in given.items() if value is not None}
    return hashlib.sha256(repr((name, sorted(given.items()), found)).encode()).hexdigest()


def _write_file(path: Path, pieces: Any, journal: Journal, most: int | None, tell: Callable[[Position], None]) -> int:
    """Write one file from the next pieces, at most so many units; move the journal's position, return the cases."""
    parquet = require("pyarrow.parquet", f"{path.parent} cannot be packed", "train,parquet")
    begin = journal.position[0]
    writer: Any = None
    waiting: list[Sequences] = []
    cases, held, written = 0, 0, 0
    try:
        for sequences, position in pieces:
            for one in _small(sequences):
                waiting.append(one)
                held += _bytes(one)
                if held >= GROUP:
                    writer = _write_group(parquet, writer, path, waiting)
                    written, held, waiting = written + held, 0, []
            cases += len(sequences)
            journal.position = position
            tell(position)
            if written >= FILE or (most is not None and position[0] - begin >= most):
                break
        if waiting:
            writer = _write_group(parquet, writer, path, waiting)
    finally:
        if writer is not None:
            writer.close()
    return cases


def _small(sequences: Sequences) -> Sequence[Sequences]:
    """Cut a piece that is larger than a row group."""
    count = max(1, -(-_bytes(sequences) // GROUP))
    if count == 1:
        return [sequences]
    return [sequences.take(chosen) for chosen in np.array_split(np.arange(len(sequences)), min(count, len(sequences)))]


def _bytes(sequences: Sequences) -> int:
    return int(sequences.lengths.sum()) * len(sequences.channels) * 4


def _write_group(parquet: Any, writer: Any, path: Path, waiting: Sequence[Sequences]) -> Any:
    table = _table(waiting)
    if writer is None:
        keys = [name for name in ("case", "group", "label") if name in table.column_names]
        # lz4: it costs next to no time to unpack; the channels of a series seldom repeat a number.
        writer = parquet.ParquetWriter(path, table.schema, compression="lz4", use_dictionary=keys)
    writer.write_table(table, row_group_size=table.num_rows)
    return writer


def _table(waiting: Sequence[Sequences]) -> Any:
    """Return the rows of some cases; a channel of the name of another column gets `channel ` before it."""
    import pyarrow as pa

    def repeated(values: list[str], steps: Any) -> Any:
        names = list(dict.fromkeys(values))
        place = {name: number for number, name in enumerate(names)}
        codes = np.array([place[value] for value in values], np.int32)
        return pa.DictionaryArray.from_arrays(np.repeat(codes, steps), pa.array(names, pa.string()))

    steps = np.concatenate([one.lengths for one in waiting])
    columns = {"case": repeated([name for one in waiting for name in one.names or ()], steps)}
    first = waiting[0]
    if first.groups is not None:
        columns["group"] = repeated([str(g) for one in waiting for g in np.asarray(one.groups).tolist()], steps)
    if first.step_labels is not None or any(one.step_labels is not None for one in waiting):
        columns["label"] = repeated([str(label) for one in waiting for label in _labels_of_steps(one)], 1)
    elif first.labels is not None:
        columns["label"] = repeated([str(k) for one in waiting for k in np.asarray(one.labels).tolist()], steps)
    values = np.concatenate([series for one in waiting for series in one.series])
    for place, name in enumerate(first.channels):
        columns[_spelled(name)] = np.ascontiguousarray(values[:, place])
    return pa.table(columns)


def _labels_of_steps(one: Sequences) -> list[Any]:
    steps = one.step_labels
    if steps is None:
        return np.repeat(np.asarray(one.labels), one.lengths).tolist()
    return list(np.concatenate(steps).tolist())


def _spelled(channel: str) -> str:
    """Return a name that is not taken for another column when the set is read."""
    return f"channel {channel}" if channel.lower() in KNOWN_NAMES or not channel else channel


def _journal(folder: Path, identity: str) -> Journal:
    file = folder / JOURNAL
    if not file.exists():
        if (folder / EARLIER).is_file():
            raise InputError(
                f"{folder}: found a set that an earlier version of quadgate began to pack, in other row groups; remove "
                f"{folder} to pack anew, or give another OUT"
            )
        if folder.exists() and any(one for one in folder.iterdir() if not one.name.endswith(".part")):
            raise InputError(f"{folder}: exists already and is no set that was being packed; give another OUT")
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(identity)
        _keep(folder, journal)
        return journal
    try:
        found = Journal(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"{file}: found no journal of packing ({error}); remove {folder} to pack anew") from error
    if found.source != identity or found.format_version != FORMAT_VERSION:
        raise InputError(
            f"{folder}: found a set packed from another source, or from this one as it was before; give another OUT"
        )
    for name in found.files:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: found no {name}, which was packed before; remove {folder} to pack anew")
    return found


def _keep(folder: Path, journal: Journal) -> None:
    with write_atomically(folder / JOURNAL) as beside:
        beside.write_text(json.dumps(asdict(journal), indent=2) + "\n", encoding="utf-8")
