"""Data sets of the UEA/UCR archive by name, from aeon's package or from where aeon keeps what it downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from quadgate.data.sequences import Dataset
from quadgate.data.ts import read_ts
from quadgate.dependencies import require
from quadgate.errors import InputError, suggest


def read_archive(name: str) -> Dataset:
    """Read a data set by its name in the archive, in the archive's own training and test parts.

    Series of unequal length keep their lengths. Nothing is downloaded.

    Raises:
        MissingDependencyError: aeon is not installed.
        InputError: no data set of this name is on this machine; the text says how aeon downloads one.

    >>> read_archive("JapaneseVowels").train
    <Sequences: 270 cases x 7 to 26 steps x 12 channels, 9 classes>
    """
    aeon = require("aeon", f"the data set {name!r} of the UEA/UCR archive cannot be read")
    package = Path(aeon.__file__).parent / "datasets" / "data"
    downloads = Path(os.environ.get("AEON_DATA", Path.home() / "aeon_data"))
    found = {file.parent.name: file.parent for home in (downloads, package) for file in home.glob("*/*_TRAIN.ts")}
    if name not in found:
        raise InputError(
            f"{name!r}: found no such file, folder or data set; {suggest(name, sorted(found))}; another name of the "
            "UEA/UCR archive is downloaded with "
            f"python -c \"from aeon.datasets import load_classification; load_classification('{name}')\""
        )
    train, test = (read_ts(found[name] / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    return Dataset(train, test, (f"{name} of the UEA/UCR archive, through aeon, in the archive's own parts",))
