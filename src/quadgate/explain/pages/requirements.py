"""Packages that only pictures and pages need: imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quadgate.errors import MissingDependencyError


def require(module: str) -> Any:
    """Import `module`, or say how to install it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"pages and pictures: the package {error.name or package} is not installed; "
            "pip install 'quadgate[pictures]'"
        ) from error
