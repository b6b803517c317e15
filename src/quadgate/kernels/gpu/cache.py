"""The user's folder for caches, where compiled kernels and measurements are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return quadgate's folder there, which may not exist: `XDG_CACHE_HOME` or `~/.cache`, on Windows `LOCALAPPDATA`.

    >>> cache_folder().name
    'quadgate'
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "quadgate"
