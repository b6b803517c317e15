"""Labelled series of one kind: what every form of data is read into, and what training and evaluation take."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.data.columns import order_of_channels
from quadgate.data.labels import is_no_label, tidy_groups, tidy_labels
from quadgate.data.resolution import coarse_channel
from quadgate.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Sequences:
    """N series of C channels each, of equal or unequal lengths, finite and not empty.

    Attributes:
        series: N arrays `[T_i, C]`; kept as float32.
        labels: `[N]`, the class of each case, whole numbers (int64) or text; None where the classes are not known.
        step_labels: N arrays `[T_i]`, the class at each step, where it changes within a case; then `labels` are those
            of the last steps. None where a case has one class.
        values: `[N]` float64, the quantity to predict of each case, or None; then there are no labels.
        coarse: a line on a channel as it was given, whose changes float32 cannot hold, or None; nothing can be learned
            from it, though a single case may well change so little.
        channels: C names; numbered from 0 where none are given.
        groups: `[N]`, the subject or machine that each case comes from, or None.
        weights: `[N]`, how much each case counts in training, or None where all count alike.
        names: N names of the cases for messages, or None; then they are numbered from 0.
        source: where the series come from, for messages.

    Raises:
        InputError: no case, a series without a step or channel, channels that differ, a number that is not finite in
            float32 (the text says in which case, step and channel), labels or groups that do not fit the cases, a case
            without its group, or a weight below 0.

    >>> pair = Sequences([[[0.0, 1.0]] * 5, [[1.0, 0.0]] * 7], labels=["up", "down"])
    >>> pair
    <Sequences: 2 cases x 5 to 7 steps x 2 channels, 2 classes>
    >>> pair.take([1]).describe()
    '1 case x 7 steps x 2 channels, 1 class'
    """

    series: tuple[NDArray[np.float32], ...]
    labels: Array | None = None
    channels: tuple[str, ...] = ()
    groups: Array | None = None
    names: tuple[str, ...] | None = None
    source: str = "data"
    weights: NDArray[np.float64] | None = None
    step_labels: tuple[Array, ...] | None = None
    values: NDArray[np.float64] | None = None
    coarse: str | None = None

    def __post_init__(self) -> None:
        given = tuple(np.asarray(one) for one in self.series)
        series = tuple(map(_as_float32, given))
        if not series:
            raise InputError(f"{self.source}: found no case, expected at least one")
        channels = tuple(str(name) for name in self.channels)
        if not channels and series[0].ndim == 2:
            channels = tuple(str(number) for number in range(series[0].shape[1]))
        keep = object.__setattr__  # the only writes: what was given, in its one form
        keep(self, "series", series)
        keep(self, "channels", channels)
        keep(self, "step_labels", None if self.step_labels is None else self._tidy_steps(self.step_labels))
        labels = self.labels if self.step_labels is None else np.array([one[-1] for one in self.step_labels])
        keep(self, "labels", None if labels is None else tidy_labels(labels, self.source))
        keep(self, "values", None if self.values is None else np.asarray(self.values, np.float64))
        keep(self, "groups", None if self.groups is None else np.asarray(self.groups))
        keep(self, "weights", None if self.weights is None else np.asarray(self.weights, np.float64))
        keep(self, "names", None if self.names is None else tuple(str(name) for name in self.names))
        self._check_sizes()
        self._check_numbers()
        keep(self, "coarse", self.coarse or coarse_channel(given, channels))
        if self.groups is not None:
            keep(self, "groups", tidy_groups(self.groups, self.source, self.name))

    def __len__(self) -> int:
        return len(self.series)

    def __repr__(self) -> str:
        return f"<Sequences: {self.describe()}>"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`[N]`, the number of steps of each case."""
        return np.array([len(one) for one in self.series], dtype=np.int64)

    @property
    def classes(self) -> Array:
        """`[K]`, the different labels, at every step too, in rising order; empty where there are none."""
        if self.step_labels is not None:
            return np.unique(np.concatenate(self.step_labels))
        return np.empty(0, np.int64) if self.labels is None else np.unique(self.labels)

    def take(self, indices: ArrayLike) -> Sequences:
        """Return the cases at `indices`, in that order.

        Raises:
            InputError: `indices` is empty.
        """
        chosen = np.asarray(indices, dtype=np.int64).reshape(-1)
        return Sequences(
            series=tuple(self.series[index] for index in chosen),
            labels=None if self.labels is None else self.labels[chosen],
            channels=self.channels,
            groups=None if self.groups is None else self.groups[chosen],
            names=None if self.names is None else tuple(self.names[index] for index in chosen),
            source=self.source,
            weights=None if self.weights is None else self.weights[chosen],
            step_labels=None if self.step_labels is None else tuple(self.step_labels[index] for index in chosen),
            values=None if self.values is None else self.values[chosen],
            coarse=self.coarse,
        )

    def with_channels(self, expected: Sequence[str]) -> Sequences:
        """Return the same cases with their channels in the order of `expected`, matched by name where both have names.

        Raises:
            InputError: both have names, and they differ.
        """
        order = order_of_channels(self.channels, expected, self.source)
        if order is None:
            return self
        return replace(self, series=tuple(one[:, order] for one in self.series), channels=tuple(expected))

    def at_end(self) -> Sequences:
        """Return the same cases with one class each, that of the last step."""
        return self if self.step_labels is None else replace(self, step_labels=None)

    def at_steps(self) -> Sequences:
        """Return the same cases with a class at each step: that of the case, where it has one.

        >>> [one.tolist() for one in Sequences([[[1.0]] * 3], labels=["up"]).at_steps().step_labels]
        [['up', 'up', 'up']]
        """
        if self.step_labels is not None or self.labels is None:
            return self
        return replace(self, step_labels=tuple(map(np.full, self.lengths.tolist(), self.labels.tolist())))

    def fingerprint(self) -> str:
        """Return a hash of the series and of what they are labelled with, by which the same cases are known again.

        >>> pair = Sequences([[[0.0]], [[1.0]]], labels=["up", "down"])
        >>> pair.fingerprint() == pair.take([0, 1]).fingerprint() != pair.take([1, 0]).fingerprint()
        True
        """
        told = (self.labels, self.values, None if self.step_labels is None else np.concatenate(self.step_labels))
        digest = hashlib.sha256(repr([None if one is None else one.tolist() for one in told]).encode())
        digest.update(repr([one.shape for one in self.series]).encode())
        for one in self.series:
            digest.update(one.tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """Return the sizes in one line, such as `400 cases x 820 steps x 12 channels, 2 classes`."""
        shortest, longest = int(self.lengths.min()), int(self.lengths.max())
        steps = _count(longest, "step") if shortest == longest else f"{shortest:,} to {longest:,} steps"
        sizes = f"{_count(len(self), 'case')} x {steps} x {_count(len(self.channels), 'channel')}"
        parts = [sizes, "no labels" if self.labels is None else _count(len(self.classes), "class", "classes")]
        if self.values is not None:
            parts[1] = "a quantity"
        if self.step_labels is not None:
            parts[1] += ", one at each step"
        if self.groups is not None:
            parts.append(_count(len(np.unique(self.groups)), "group"))
        return ", ".join(parts)

    def name(self, index: int) -> str:
        """Return how messages call the case at `index`: its name where it has one, and its number from 0.

        >>> Sequences([[[1.0]]], names=["walking/7.csv"]).name(0)
        "case 0 ('walking/7.csv')"
        """
        return f"case {index}" if self.names is None else f"case {index} ({self.names[index]!r})"

    def check_trainable(self, every_step: bool = False) -> None:
        """Refuse what nothing can be learned from; `every_step` allows a class at each step.

        Raises:
            InputError: there are neither labels nor values, all labels are the same, they change within a case, or a
                channel changes by less than float32 can hold.
        """
        self.check_resolution()
        if self.values is not None:
            return
        if self.labels is None:
            raise InputError(f"{self.source}: found no labels, expected one for each case")
        if self.step_labels is not None and not every_step:
            place = next((k for k, one in enumerate(self.step_labels) if (one != one[0]).any()), 0)
            two = ", ".join(map(repr, np.unique(self.step_labels[place])[:2].tolist()))
            raise InputError(
                f"{self.source}, {self.name(place)}: found the labels {two}, expected one for each case, or "
                "--preset stream, which learns a class at each step"
            )
        if len(self.classes) < 2:
            raise InputError(f"{self.source}: found one class only ({self.classes[0]!s}), expected two or more")

    def check_resolution(self) -> None:
        """Refuse to learn from a channel whose changes were lost when it became float32.

        Raises:
            InputError: the text names the channel, and says what to do.
        """
        if self.coarse is not None:
            raise InputError(f"{self.source}, {self.coarse}")

    def _check_sizes(self) -> None:
        C = len(self.channels)
        for index, one in enumerate(self.series):
            if one.ndim != 2:
                raise InputError(
                    f"{self.source}, {self.name(index)}: found an array of {one.ndim} dimensions, "
                    "expected [steps, channels]"
                )
            if one.shape[1] != C or not C:
                raise InputError(
                    f"{self.source}, {self.name(index)}: found {_count(one.shape[1], 'channel')}, expected {max(C, 1)}"
                )
            if not len(one):
                raise InputError(f"{self.source}, {self.name(index)}: found no step, expected at least one")
        for what, values in (
            ("labels", self.labels),
            ("groups", self.groups),
            ("names", self.names),
            ("weights", self.weights),
            ("values", self.values),
        ):
            if values is not None and len(values) != len(self):
                raise InputError(
                    f"{self.source}: found {len(values):,} {what} for {_count(len(self), 'case')}, expected one each"
                )
        if self.weights is not None and not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise InputError(f"{self.source}: found a weight that is below 0 or no number, expected 0 or more")

        if self.values is not None and not np.isfinite(self.values).all():
            place = int(np.argmax(~np.isfinite(self.values)))
            raise InputError(
                f"{self.source}, {self.name(place)}: found the value {self.values[place]}, expected a number"
            )

    def _tidy_steps(self, given: Sequence[ArrayLike]) -> tuple[Array, ...]:
        """Bring the labels of steps to one form; each case has one for each of its steps."""
        if len(given) != len(self.series):
            raise InputError(
                f"{self.source}: found labels of steps for {len(given):,} cases, expected {len(self.series):,}"
            )
        found = [np.asarray(one).reshape(-1) for one in given]
        for index, (one, series) in enumerate(zip(found, self.series, strict=True)):
            if len(one) != len(series):
                raise InputError(
                    f"{self.source}, {self.name(index)}: found {len(one)} labels for {len(series)} steps, expected one "
                    "for each"
                )
        for index, one in enumerate(found):
            empty = np.array([is_no_label(label) for label in one.tolist()])
            if empty.any():
                raise InputError(
                    f"{self.source}, {self.name(index)}, step {int(np.argmax(empty))}: found no label, expected a class"
                )
        tidy = tidy_labels(np.concatenate(found), self.source)
        return tuple(np.split(tidy, np.cumsum([len(one) for one in found])[:-1]))

    def _check_numbers(self) -> None:
        for index, one in enumerate(self.series):
            finite = np.isfinite(one)
            if finite.all():
                continue
            step, channel = (int(place) for place in np.argwhere(~finite)[0])
            found = "NaN (a missing value)" if np.isnan(one[step, channel]) else "an infinite number"
            raise InputError(
                f"{self.source}, {self.name(index)}, step {step}, channel {self.channels[channel]!r}: found {found}, "
                "expected a number; fill such values in or leave the case out"
            )


@dataclass(frozen=True)
class Dataset:
    """What was read: the cases to train on, those of the source's own test set if it has one, and how it was read."""

    train: Sequences
    test: Sequences | None = None
    how: tuple[str, ...] = ()


def _as_float32(one: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range becomes infinite, and is refused by name
        return np.ascontiguousarray(one, dtype=np.float32)


def _count(number: int, what: str, plural: str | None = None) -> str:
    return f"{number:,} {what if number == 1 else plural or what + 's'}"
