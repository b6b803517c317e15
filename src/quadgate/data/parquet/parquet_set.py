"""A set of series in a folder of Parquet files, of which one row group is in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quadgate.data.columns import Columns
from quadgate.data.parquet.opening import RowGroup, cases_alone, open_files, spanning_cases, table_of
from quadgate.data.parquet.place import ENDINGS, Place
from quadgate.data.parquet.rows import encoded, to_sequences
from quadgate.data.sequences import Sequences
from quadgate.errors import InputError, QuadgateError

STATISTICS = "_statistics.json"  # readers of Parquet pass over names that begin so
KNOWN = 1000  # characters of it that hold the fingerprint
TOLD = 20  # lines of what is left out; a report has all


def is_parquet_set(source: str) -> bool:
    """Tell whether a source is a set of Parquet files: a folder with at least one, or a URL.

    >>> is_parquet_set("s3://bucket/runs"), is_parquet_set("runs.parquet")
    (True, False)
    """
    if "://" in source:
        return True
    folder = Path(source)
    return folder.is_dir() and any(path.suffix.lower() in ENDINGS for path in folder.iterdir())


def parts_of_sets(source: str) -> tuple[str, str] | None:
    """Return `train` and `test` within a folder where both are sets of Parquet files, as packing leaves them."""
    parts = (str(Path(source) / "train"), str(Path(source) / "test"))
    return parts if "://" not in source and all(map(is_parquet_set, parts)) else None


@dataclass(frozen=True)
class LeftOut:
    """What is left out of a set, in one line, and how many cases it has; None where nothing tells.

    >>> str(LeftOut("b.parquet: found no column 'x'", 12)), str(LeftOut("c.parquet: damaged", None))
    ("b.parquet: found no column 'x' (12 cases)", 'c.parquet: damaged (how many cases it had is not known)')
    """

    what: str
    cases: int | None

    def __str__(self) -> str:
        if self.cases is None:
            return f"{self.what} (how many cases it had is not known)"
        return f"{self.what} ({self.cases:,} {'case' if self.cases == 1 else 'cases'})"


@dataclass(frozen=True, eq=False, repr=False)
class ParquetSet:
    """Series in a folder of Parquet files, one row for each step, read by row groups.

    The columns are the case, one for each channel, and where known a label, a group and a time. A case lies whole in
    one row group; `quadgate data pack` writes such sets. Only the ends of the files are read to open one, and the
    cases of row groups whose bounds touch.

    Attributes:
        place: where it lies.
        groups: its row groups, in the order of the files.
        roles: which column is what.
        channels: C names.
        fingerprint: by which the set is known again.
        left_out: what is damaged and left out.
        excluded: cases that are left out because they lie in more than one row group.

    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> folder = tempfile.mkdtemp()
    >>> table = pyarrow.table({"case": ["a", "a", "b"], "x": [1.0, 2.0, 3.0], "label": ["up", "up", "down"]})
    >>> pyarrow.parquet.write_table(table, f"{folder}/runs.parquet")
    >>> ParquetSet.open(folder).read(0)
    <Sequences: 2 cases x 1 to 2 steps x 1 channel, 2 classes>
    """

    place: Place
    groups: tuple[RowGroup, ...]
    roles: Columns
    channels: tuple[str, ...]
    fingerprint: str
    left_out: tuple[LeftOut, ...] = ()
    excluded: frozenset[str] = frozenset()

    @classmethod
    def open(
        cls,
        source: str | Path,
        columns: Columns | None = None,
        skip_damaged: bool = False,
        tell: Callable[[int, int], None] = lambda _, __: None,
        labelled: bool = True,
        excluded: Sequence[str] | None = None,
    ) -> ParquetSet:
        """Open a set by its folder or URL.

        Args:
            source: a local folder, or a URL that fsspec knows.
            columns: the columns that are no channels, where they are not recognised by their names.
            skip_damaged: whether to leave out what is damaged; `left_out` says what.
            tell: is told how many row groups of how many were looked through for cases that are cut in two.
            labelled: whether labels are asked for; without, their column is passed over.
            excluded: the cases that are cut in two, where another process has looked for them; None to look for them.

        Raises:
            FileFormatError: a file is damaged, or has other columns than most: the text names file and row group.
            InputError: there is no file, or a case lies in more than one row group.
        """
        place = Place(str(source))
        opened = open_files(place, columns or Columns(), labelled)
        if opened.problems and not skip_damaged:
            more = f" ({len(opened.problems) - 1:,} more like it)" if len(opened.problems) > 1 else ""
            raise InputError(
                f"{opened.problems[0]}{more}; --skip-damaged goes on with the rest, {len(opened.groups):,} row groups"
            )
        found = cls(place, opened.groups, opened.roles, opened.channels, opened.fingerprint)
        known = (place.read_text(STATISTICS) or "")[:KNOWN]
        vouched = f'"fingerprint": "{opened.fingerprint}"' in known  # a pass over these files has found its cases whole
        looked = vouched or excluded is not None
        spanning = {} if looked else spanning_cases(found.groups, found.cases_of, tell)
        if spanning and not skip_damaged:
            name, (one, other) = next(iter(spanning.items()))
            more = f" ({len(spanning) - 1:,} more like it)" if len(spanning) > 1 else ""
            raise InputError(
                f"{other}: found the case {name!r}, which is also in {one}{more}, expected a case whole in one row "
                "group; 'quadgate data pack' puts it together, --skip-damaged leaves it out"
            )
        lost = [LeftOut(str(problem), found._cases_in(problem.groups)) for problem in opened.problems]
        lost += [LeftOut(f"{b}: the case {name!r} is also in {a}", 1) for name, (a, b) in spanning.items()]
        lost += [LeftOut(f"the case {name!r} is in more than one row group", 1) for name in excluded or ()]
        cut = frozenset(spanning) | frozenset(excluded or ())
        fingerprint = found.fingerprint + ("" if not cut else f" without {sorted(cut)}")
        return cls(
            place,
            found.groups,
            found.roles,
            found.channels,
            fingerprint,
            tuple(lost),
            cut,
        )

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.place.url.rstrip("/").rsplit("/", 1)[-1]

    @property
    def how(self) -> tuple[str, ...]:
        """Lines that tell how it is read."""
        roles = [
            f"{what}: column {name!r}"
            for what, name in (("cases", self.roles.case), ("labels", self.roles.label), ("groups", self.roles.group))
            if name is not None
        ]
        files, groups = len({group.file for group in self.groups}), len(self.groups)
        sizes = f"{files:,} file{'s' * (files > 1)} with {groups:,} row group{'s' * (groups > 1)}"
        lines = [f"{self.name}: a set of Parquet files ({sizes})", *roles]
        if self.roles.time not in (None, "none"):
            lines.append(f"time: column {self.roles.time!r}, no channel")
        lines.append(f"channels: {', '.join(self.channels)}")
        lines += [f"left out: {one}" for one in self.left_out[:TOLD]]
        if len(self.left_out) > TOLD:
            lines.append(f"left out: {len(self.left_out) - TOLD:,} more like it")
        return tuple(lines)

    def read(self, number: int, every_step: bool | None = None) -> Sequences:
        """Read one row group.

        Args:
            number: of the row group in `groups`.
            every_step: whether there is a class at every step; None: where it changes within a case.

        Raises:
            FileFormatError: the row group is damaged.
            InputError: a number, a label or a case is missing, or all cases are left out.
        """
        group = self.groups[number]
        table = table_of(self.place, group, self.roles, self.channels)
        return to_sequences(table, self.roles, self.channels, str(group), every_step, self.excluded)

    def cases_of(self, group: RowGroup) -> list[str]:
        """Return the names of the cases of a row group."""
        table = cases_alone(self.place, group, self.roles.case)
        return [name for name in encoded(table, str(self.roles.case), str(group))[1] if name not in self.excluded]

    def _cases_in(self, groups: tuple[RowGroup, ...] | None) -> int | None:
        """Return how many cases are in row groups, whatever else is wrong with them; None where that is not known."""
        try:
            return None if groups is None else len({name for group in groups for name in self.cases_of(group)})
        except QuadgateError:
            return None

    def outline(self, number: int) -> tuple[NDArray[np.int64], list[str]]:
        """Return the steps of each case of a row group `[n]`, and its owner: its group where there are groups, or name.

        The cases are those of `read` in their order, but of the row group only the columns of cases and groups are
        read, which are small.

        Raises:
            FileFormatError, InputError: as `read`.
        """
        group = self.groups[number]
        table = cases_alone(self.place, group, self.roles.case, self.roles.group)
        codes, names = encoded(table, str(self.roles.case), str(group))
        owners = names
        if self.roles.group is not None:
            of_rows, found = encoded(table, self.roles.group, str(group))
            first = np.empty(len(names), np.int64)
            first[codes] = of_rows  # the same in all rows of a case
            owners = [found[code] for code in first]
        kept = [place for place, name in enumerate(names) if name not in self.excluded]
        return np.bincount(codes, minlength=len(names))[kept], [owners[place] for place in kept]
