"""What people call y: a class for each case, one-hot rows, or a class at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.errors import InputError

Array = NDArray[Any]


def as_labels(y: Any) -> Array | list[Array]:
    """Return y as an array, or as a list of arrays where it has unequal numbers of labels for its cases."""
    if isinstance(y, list | tuple) and len({np.shape(one) for one in y}) > 1:
        return [_decoded(np.asarray(one)) for one in y]
    found = _decoded(np.asarray(y))
    return found[..., 0] if found.ndim in (2, 3) and found.shape[-1] == 1 else found


def _decoded(y: Array) -> Array:
    return np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y


def of_cases_or_steps(
    y: Array | list[Array], series: list[Array], longest: int | None
) -> tuple[dict[str, Any], list[str]]:
    """Tell a class for each case from one for each step.

    Args:
        y: `[N]`; `[N, K]`, one-hot; `[N, longest]`, of which a case has as many as it has steps; or N arrays.
        series: N series `[T_i, C]`.
        longest: the steps of the longest, with what fills the others up; None to take no class at each step.

    Returns:
        `labels` or `step_labels` for `Sequences`, and a line that tells how y was read.

    Raises:
        InputError: another shape, or one-hot rows that may as well be a class at each step.

    >>> of_cases_or_steps(np.array([[0, 1, 1], [0, 0, 9]]), [np.ones((3, 1)), np.ones((2, 1))], 3)
    ({'step_labels': (array([0, 1, 1]), array([0, 0]))}, ['y: shape (2, 3) is a class at each step'])
    """
    if isinstance(y, list):
        return {"step_labels": tuple(y)}, ["y: a class at each step"]
    if y.ndim == 1:
        return {"labels": y}, []
    wide = y.shape[1] if y.ndim == 2 else -1
    hot = wide > 0 and y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
    if hot and wide != longest:
        return {"labels": y.argmax(axis=1)}, [
            f"y: one-hot rows of {wide} columns, taken as the classes 0 to {wide - 1}"
        ]
    if hot:
        raise InputError(
            f"y: found shape {y.shape} with a single 1 in each row, one-hot or a class at each of {wide} steps; "
            "expected y.argmax(axis=1) for the one, and y.astype(str) for the other"
        )
    if wide == longest:
        steps = tuple(row[: len(one)] for row, one in zip(y, series, strict=False))
        return {"step_labels": (*steps, *y[len(steps) :])}, [f"y: shape {y.shape} is a class at each step"]
    or_steps = "" if longest is None else f", or a label for each of {longest} steps"
    raise InputError(
        f"y: found shape {y.shape}, expected one label for each case or one-hot rows of 0 and a single 1{or_steps}"
    )


def tidy_labels(labels: ArrayLike | Sequence[Any], source: str = "data") -> Array:
    """Bring labels to one form, so that a class is spelled alike whatever file it came from.

    Whole numbers (also those written `3.0` or `"3"`) become int64, everything else text.

    Raises:
        InputError: not one-dimensional, an empty label, or numbers with a fraction (a quantity, no class).

    >>> tidy_labels(["1", "2"]), tidy_labels([1.0, 2.0]), tidy_labels(["01", "x"])
    (array([1, 2]), array([1, 2]), array(['01', 'x'], dtype='<U2'))
    """
    found = np.asarray(labels)
    if found.ndim != 1:
        raise InputError(f"{source}: found labels of shape {found.shape}, expected one label for each case")
    if found.dtype.kind in "biu":
        return found.astype(np.int64)
    if found.dtype.kind == "f":
        if not np.isfinite(found).all():
            raise InputError(f"{source}, case {int(np.argmax(~np.isfinite(found)))}: found no label, expected a class")
        if (found != np.rint(found)).any():
            broken = found[np.argmax(found != np.rint(found))]
            raise InputError(f"{source}: found the label {broken}, expected classes: whole numbers or text")
        return found.astype(np.int64)
    text = np.array(["" if is_no_label(label) else str(label).strip() for label in found.tolist()])
    if (text == "").any():
        raise InputError(f"{source}, case {int(np.argmax(text == ''))}: found no label, expected a class")
    if all(label.lstrip("-").isdecimal() and str(int(label)) == label for label in text):
        return text.astype(np.int64)
    return text


def tidy_groups(groups: Array, source: str, name: Callable[[int], str]) -> Array:
    """Refuse a case without a group, and spell groups of several types alike, as text.

    Raises:
        InputError: not one-dimensional, or a case without its group, which `name` names.

    >>> tidy_groups(np.array([7, "q"], object), "data", str).tolist()
    ['7', 'q']
    """
    if groups.ndim != 1:
        raise InputError(f"{source}: found groups of shape {groups.shape}, expected one group for each case")
    found = groups.tolist()
    gone = np.array([is_no_label(one) for one in found])
    if gone.any():
        raise InputError(
            f"{source}, {name(int(np.argmax(gone)))}: found no group, expected that of its subject or machine; name "
            "it, or give no groups at all"
        )
    return groups if len(set(map(type, found))) == 1 else np.array([str(one).strip() for one in found])


def is_no_label(label: Any) -> bool:
    """Tell whether a label is missing: None, NaN, pandas' NA, or text without a letter."""
    return is_absent(label) or label != label or (isinstance(label, str) and not label.strip())


def is_absent(value: Any) -> bool:
    """Tell None and pandas' NA, which is equal to nothing and has no truth, from a value; NaN is a number."""
    return value is None or type(value).__name__ == "NAType"
