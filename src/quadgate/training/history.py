"""What happened in each epoch, as records: one JSON object a line, on disk as soon as the epoch is over."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from quadgate.errors import FileFormatError
from quadgate.model.atomic import write_atomically
from quadgate.model.record import read_record


@dataclass(frozen=True)
class Epoch:
    """The record of one epoch.

    Attributes:
        stage: `search` (with a validation part) or `refit` (on all training cases).
        epoch: counted from 1.
        train_loss: mean over the cases as they were met, with dropout and noise.
        valid_loss, valid_accuracy: of the weights after the epoch; None without a validation part.
        learning_rate: in the last step of the epoch.
        gradient_norm: mean over the steps, before clipping.
        seconds: how long the epoch took.
    """

    stage: str
    epoch: int
    train_loss: float
    valid_loss: float | None
    valid_accuracy: float | None
    learning_rate: float
    gradient_norm: float
    seconds: float


class History:
    """The epochs of a run so far; a list that also stands in a file where a path is given.

    >>> history = History()
    >>> history.append(Epoch("search", 1, 0.7, 0.6, 0.5, 1e-3, 1.0, 0.1))
    >>> [record.valid_loss for record in history.epochs]
    [0.6]
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.epochs: list[Epoch] = []
        if path is not None and path.exists():
            self.epochs = _read(path)

    def append(self, record: Epoch) -> None:
        """Add a record, and flush it to the file."""
        self.epochs.append(record)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(record))

    def cut(self, stage: str, epochs: int) -> None:
        """Forget what came after `epochs` epochs of `stage`: an epoch that was cut short is done again."""
        keep = [record for record in self.epochs if record.stage != stage or record.epoch <= epochs]
        self.epochs = keep
        if self.path is not None:
            with write_atomically(self.path) as beside:
                beside.write_text("".join(map(_line, keep)), encoding="utf-8")

    def seconds(self) -> float:
        """Return the time that all epochs took, over all sittings."""
        return sum(record.seconds for record in self.epochs)


def _line(record: Epoch) -> str:
    return json.dumps(asdict(record)) + "\n"


def _read(path: Path) -> list[Epoch]:
    """Read the complete lines; a last line without its end was cut off by a kill and is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    records = []
    for number, line in enumerate(lines, start=1):
        place = f"{path}, line {number}"
        try:
            found = json.loads(line)
        except ValueError as error:
            raise FileFormatError(f"{place}: found {line[:40]!r}, expected an epoch's record ({error})") from error
        records.append(read_record(Epoch, found, place))
    return records
