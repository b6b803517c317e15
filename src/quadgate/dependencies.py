"""Packages that only some parts need: imported where they are used; a missing one is named with its pip line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quadgate.errors import MissingDependencyError


def require(module: str, what: str, extra: str = "train") -> Any:
    """Import `module`, or say that `what` needs it and how to install it.

    Args:
        module: to import.
        what: that cannot be done without it, as a sentence begins: `a.csv (a table) cannot be read`.
        extra: of quadgate, which brings it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing((error.name or module).partition(".")[0], what, extra) from error


def missing(package: str, what: str, extra: str) -> MissingDependencyError:
    """Return the error of a package that is not installed, for `require` and for what does not import it itself."""
    return MissingDependencyError(f"{what}: the package {package} is not installed; pip install 'quadgate[{extra}]'")
