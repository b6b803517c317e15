"""Every error that quadgate raises on purpose.

The text of an error is one line that names the thing, what was found, what was expected and what to do. Names out of a
file are shown as they are where they can be printed, and escaped where not: they neither break the line nor reach a
terminal as commands.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class QuadgateError(Exception):
    r"""The base of every error that quadgate raises on purpose.

    >>> print(QuadgateError("x.onnx: tensor a\nb: found 3"))
    x.onnx: tensor a\nb: found 3
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(printable(text))


class InputError(QuadgateError, ValueError):
    """An argument, an array or a data set is not what is needed; the command line exits with code 2."""


class FileFormatError(InputError):
    """A file is damaged, hostile or of another format: names the file, the place, what was found and expected."""


class MissingDependencyError(QuadgateError, ImportError):
    """A part of quadgate needs a package that is not installed; the text ends in the pip line that installs it."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint to the known name nearest to `name`, or the list of known names where none is near.

    >>> suggest("trian", ["train", "predict"])
    "did you mean 'train'?"
    >>> suggest("x", ["train", "predict"])
    'known: train, predict'
    """
    known = list(known)
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def printable(text: str) -> str:
    """Return the text with what cannot be printed, line ends included, escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
