"""Which column of a table is the case, the time, the label and the group."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quadgate.errors import InputError, suggest

KNOWN = {
    "case": ("case", "case_id", "series_id", "样本"),
    "time": ("time", "t", "timestamp", "datetime", "step", "时间"),
    "label": ("label", "class", "target", "标签", "类别"),
    "group": ("group", "subject", "subject_id", "patient", "machine", "受试者"),
}
_NUMBERED = re.compile(r"(column )?\d+")  # what stands for the name of a channel that has none
KNOWN_NAMES = frozenset(name for names in KNOWN.values() for name in names)


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are no channels; None where a column is to be recognised, or is not there.

    `time="none"` says that there is no column of times, also where one looks like it.
    """

    case: str | None = None
    time: str | None = None
    label: str | None = None
    group: str | None = None

    def find(self, names: Sequence[str], source: str) -> Columns:
        """Return the names that are among `names`: those given, else those recognised by their spelling.

        Raises:
            InputError: a name that was given is not there, one column is given for two things, or a long table has two
                columns of one name.

        >>> Columns(label="kind").find(["Case", "a", "kind"], "runs.csv")
        Columns(case='Case', time=None, label='kind', group=None)
        """
        found: dict[str, str | None] = {}
        for role, known in KNOWN.items():
            given = getattr(self, role)
            if given is None:
                spelled = [name for name in names if name.lower() in known]  # the earlier in `known`, then as there
                found[role] = min(
                    spelled, key=lambda name: (known.index(name.lower()), name != name.lower()), default=None
                )
            elif given in names or (role, given) == ("time", "none"):
                found[role] = given
            else:
                raise InputError(f"{source}: found no column {given!r} for the {role}; {suggest(given, names)}")
        for role, name in found.items():
            if name is not None and getattr(self, role) is None and name in vars(self).values():
                found[role] = None  # a column that was named for something else is not recognised a second time
        taken = [name for name in found.values() if name is not None]
        if len(set(taken)) != len(taken):
            raise InputError(f"{source}: found one column given for two things, expected a column for each")
        if found["case"] is not None:
            refuse_twice([name for name in names if name], source)
        return Columns(**found)


def refuse_twice(names: Sequence[str], source: str, error: type[InputError] = InputError) -> None:
    """Refuse two columns of one name, of which nobody knows which is meant, by an error that names it."""
    twice = next((name for name, number in Counter(names).items() if number > 1), None)
    if twice is not None:
        raise error(f"{source}: found two columns named {twice!r}, expected a name for each")


def order_of_channels(found: Sequence[str], expected: Sequence[str], source: str) -> list[int] | None:
    """Return where each expected channel is among those found, by name; None where they are in order.

    Channels that one side has no names for, only numbers, are taken by their place.

    Raises:
        InputError: both sides have names, and they differ.

    >>> order_of_channels(["y", "x"], ["x", "y"], "runs.csv"), order_of_channels(["0", "1"], ["x", "y"], "runs.csv")
    ([1, 0], None)
    """
    sides = (list(found), list(expected))
    if sides[0] == sides[1] or any(all(_NUMBERED.fullmatch(name) for name in side) for side in sides):
        return None
    if sorted(sides[0]) != sorted(sides[1]):
        told = [", ".join(side[:12]) + (", ..." if len(side) > 12 else "") for side in sides]
        raise InputError(
            f"{source}: found the channels {told[0]}, expected {told[1]} as in training; rename the columns, or leave "
            "those out that are no channels"
        )
    return [sides[0].index(name) for name in expected]
