"""An array of an `.npz` that stays on the disk, where NumPy itself maps none."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mapped_array(path: Path, name: str) -> NDArray[Any] | None:
    """Map an array of an archive that is stored as it is, in rows of plain numbers; None for any other."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)  # of a ZIP file's local header of 30 bytes
        name_size, extra_size = np.frombuffer(file.read(4), "<u2").tolist()
        file.seek(name_size + extra_size, 1)
        if member.compress_type != zipfile.ZIP_STORED or np.lib.format.read_magic(file) != (1, 0):  # type: ignore[no-untyped-call]
            return None
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)  # type: ignore[no-untyped-call]
        if by_column or dtype.hasobject or not shape:
            return None
        return np.memmap(path, dtype, "r", file.tell(), shape)
