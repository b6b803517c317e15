"""Which cases a run learned from, and which it is judged by: as in its training."""

from __future__ import annotations

import json
from pathlib import Path

from quadgate.data import Dataset, Sequences, split
from quadgate.errors import FileFormatError
from quadgate.report.record import REPORT


def parts_of_run(run: Path, data: Dataset) -> tuple[Sequences | None, Sequences, str]:
    """Return the training part (None where nothing tells it), the part to judge, and what to say of them.

    Raises:
        FileFormatError: the run's report.json is damaged.
    """
    if data.test is not None:
        return data.train, data.test, f"the test part: {data.test.describe()}"
    file = run / REPORT
    if not file.is_file():
        return None, data.train, f"all cases: {data.train.describe()}; which of them it learned from is not known"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        settings = document["settings"]
        train, test = split(data.train, float(settings["test_fraction"]), int(settings["seed"]))
        expected = document["data"]["test_cases"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{file}: damaged ({error!r}), expected what `quadgate train` writes") from error
    if len(test) != expected:
        return None, data.train, f"all cases: {data.train.describe()}; the run was measured on other data"
    return train, test, f"the part that training held out: {test.describe()}"
