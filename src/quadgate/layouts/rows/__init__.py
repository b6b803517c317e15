"""The table: one row for each framework class, by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from quadgate.errors import InputError, suggest
from quadgate.layouts.layout import Layout
from quadgate.layouts.rows import earlier, exchange, jax, keras, pytorch, research, tensorflow

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {row.name: row for family in (tensorflow, keras, pytorch, exchange, jax, earlier, research) for row in family.ROWS}
)


def usable(layout: Layout | str) -> Layout:
    """Look up a row that the normal form can hold.

    Raises:
        InputError: there is none of that name, or the class is no LSTM or GRU.
    """
    row = find(layout)
    if row.refusal:
        raise InputError(f"{row.name}: cannot be read or written: {row.refusal}")
    return row


def find(layout: Layout | str) -> Layout:
    """Look up a row by its name; a row is returned as it is.

    Raises:
        InputError: there is none of that name.

    >>> find("torch.nn.LSTM").gates
    'ifjo'
    >>> find("torch.LSTM")
    Traceback (most recent call last):
    ...
    quadgate.errors.InputError: layout: found 'torch.LSTM', which is not known; did you mean 'torch.nn.LSTM'?
    """
    if isinstance(layout, Layout):
        return layout
    if layout not in LAYOUTS:
        same = next((name for name in LAYOUTS if name.lower() == layout.lower()), layout)
        raise InputError(f"layout: found {layout!r}, which is not known; {suggest(same, LAYOUTS)}")
    return LAYOUTS[layout]
