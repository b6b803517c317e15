"""What the pages of explain say, per language."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quadgate.explain.texts import texts


def words(language: str) -> dict[str, Any]:
    """Return the words of the pages.

    Raises:
        InputError: explain does not speak the language.
    """
    texts(language)
    found: dict[str, Any] = import_module(f"quadgate.explain.texts.{language}_page").WORDS
    return found
