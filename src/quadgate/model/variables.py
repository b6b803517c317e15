"""The named arrays of a model: in memory, or in a file that is read when they are used."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def widen_bfloat16(words: Array) -> Array:
    """Return the float32 numbers whose upper halves are these 16-bit words: bfloat16, which NumPy has not.

    >>> widen_bfloat16(np.array([0x3F80, 0xC000], np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    return (words.astype(np.uint32) << np.uint32(16)).view(np.float32)


@dataclass(frozen=True)
class Stored:
    """An array that a file holds: its shape and dtype are known, its numbers are read (and checked) by `read`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]


def reshaped(stored: Stored, shape: tuple[int, ...]) -> Stored:
    """Return the same numbers under another shape."""
    return Stored(shape, stored.dtype, lambda: stored.read().reshape(shape))


def transposed(stored: Stored) -> Stored:
    """Return a matrix as its transpose."""
    return Stored(stored.shape[::-1], stored.dtype, lambda: stored.read().T)


class Variables(Mapping[str, Array]):
    """Ordered names and their arrays; the names and shapes of a file of gigabytes cost nothing.

    >>> variables = Variables({"bias": np.zeros(4, np.float32)})
    >>> list(variables), variables.shape("bias"), variables["bias"].sum()
    (['bias'], (4,), np.float32(0.0))
    """

    def __init__(self, entries: Mapping[str, Array | Stored]) -> None:
        if isinstance(entries, Variables):
            self._entries: dict[str, Array | Stored] = dict(entries._entries)
        else:
            self._entries = dict(entries)

    def __getitem__(self, name: str) -> Array:
        entry = self._entries[name]
        if isinstance(entry, Stored):
            entry = self._entries[name] = entry.read()
        return entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __repr__(self) -> str:
        return f"Variables({', '.join(f'{name} {self.shape(name)}' for name in self)})"

    def only(self, names: Container[str]) -> Variables:
        """Return those of these names, in the same order, without reading their numbers."""
        return Variables({name: entry for name, entry in self._entries.items() if name in names})

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a variable's shape, without reading its numbers."""
        return tuple(self._entries[name].shape)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return a variable's dtype, without reading its numbers."""
        return self._entries[name].dtype
