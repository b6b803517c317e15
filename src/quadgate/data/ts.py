"""The `.ts` files of the UEA/UCR archive, read through aeon."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from quadgate.data.sequences import Sequences
from quadgate.data.text import read_text
from quadgate.dependencies import require
from quadgate.errors import FileFormatError


def read_ts(path: Path) -> Sequences:
    """Read one `.ts` file; labels are spelled as in its `@classLabel` line.

    Raises:
        MissingDependencyError: aeon is not installed.
        FileFormatError: the file is damaged, has time stamps (aeon would lose the signs of the values), or has a
            quantity to predict in place of classes.
        InputError: it cannot be opened, or a value is missing.
    """
    datasets = require("aeon.datasets", f"{path} (a .ts file) cannot be read")
    text, _ = read_text(path)
    header, mark, cases = text.partition("\n@data")
    if not mark or not cases.strip():
        raise FileFormatError(f"{path}: found no case, expected a line '@data' and one line for each case after it")
    if re.search(r"(?im)^@timestamps\s+true", header):
        raise FileFormatError(f"{path}: found @timeStamps true, expected series without time stamps")
    if re.search(r"(?im)^@targetlabel\s+true", header):
        raise FileFormatError(f"{path}: found @targetLabel true (a quantity to predict), expected @classLabel")
    with TemporaryDirectory() as folder:  # aeon opens a path, and as UTF-8
        plain = Path(folder) / "plain.ts"
        plain.write_text(text, encoding="utf-8")
        try:
            values, labels, meta = datasets.load_from_ts_file(str(plain), return_meta_data=True)
        except (OSError, ValueError, IndexError) as error:
            raise FileFormatError(f"{path}: damaged, aeon says: {' '.join(str(error).split())}") from error
    spelled = re.search(r"(?im)^@classlabel\s+true\s+(.*)$", header)
    spelling = {label.lower(): label for label in spelled[1].split()} if spelled else {}  # aeon lowers every letter
    if not meta["classlabel"]:
        labels = None
    else:
        labels = np.array([spelling.get(str(label).strip(), str(label)) for label in labels])
    return Sequences(
        series=tuple(case.T for case in values),
        labels=labels,
        source=path.name,
    )


def find_test_part(path: Path) -> Path | None:
    """Return the `NAME_TEST.ts` beside a `NAME_TRAIN.ts`, or None where there is none."""
    name = path.name
    if not re.search(r"(?i)_train\.ts$", name):
        return None
    wanted = f"{name[: -len('_train.ts')]}_test.ts".lower()
    return next((other for other in sorted(path.parent.iterdir()) if other.name.lower() == wanted), None)
