"""Packages that only reading needs: imported where they are used, named with their pip line where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quadgate.errors import MissingDependencyError


def require(module: str, what: str, extra: str = "train") -> Any:
    """Import `module`, or say that it is needed to read `what` and how to install it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{what} cannot be read: the package {error.name or package} is not installed; "
            f"pip install 'quadgate[{extra}]'"
        ) from error
