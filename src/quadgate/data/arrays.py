"""Series in NumPy arrays: in memory, in `X.npy` with `y.npy`, and in one `.npz`."""

from __future__ import annotations

import zipfile
import zlib
from io import BufferedReader
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.data.labels import as_labels, of_cases_or_steps
from quadgate.data.mapping import mapped_array
from quadgate.data.sequences import Dataset, Sequences
from quadgate.errors import FileFormatError, InputError, suggest

Array = NDArray[Any]
Axes = Literal["NTC", "NCT"]
_AXES = {"NTC": "cases x steps x channels", "NCT": "cases x channels x steps"}
_OTHER = {"NTC": "NCT", "NCT": "NTC"}
_MAGIC = b"\x93NUMPY"
# What NumPy, zipfile and zlib raise on bytes that are not what they should be.
_DAMAGE = (
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def from_arrays(
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    axes: Axes | None = None,
    channels: int | None = None,
    inputs: int | None = None,
    source: str = "X",
) -> Dataset:
    """Take series from arrays, and tell which axis was taken for what.

    Args:
        X: `[N, T, C]`; or `[N, T]`, one channel, which `channels` cuts into `[N, T, C]` instead; or a list of N arrays
            `[T_i, C]`.
        y: `[N]` labels, or `[N, K]` one-hot rows, which give the classes 0 to K-1; or a class at each step, `[N, T]`,
            or N arrays `[T_i]`; None where they are not known.
        lengths: `[N]`, the valid steps of each case of a padded `X`.
        groups: `[N]`, the subject or machine of each case.
        axes: `"NCT"` where the channels come before the steps (`[C, T_i]` in a list); given in either way, it silences
            the check of axes that look swapped. None is `"NTC"` with that check.
        channels: how many channels to expect.
        inputs: how many the model reads that the series are for: as many on the last axis do not look swapped, however
            few steps there are.
        source: the name of `X` in messages.

    Raises:
        InputError: the shapes do not fit each other, steps and channels look swapped, or `Sequences` refuses the
            content.

    >>> data = from_arrays(np.zeros((4, 820, 12)), [0, 1, 0, 1])
    >>> data.train, data.how
    (<Sequences: 4 cases x 820 steps x 12 channels, 2 classes>, ('X: shape (4, 820, 12) is cases x steps x channels',))
    >>> from_arrays(np.zeros((4, 820, 12)), axes="NCT").train
    <Sequences: 4 cases x 12 steps x 820 channels, no labels>
    """
    if axes is not None and axes not in _AXES:
        raise InputError(f"axes: found {axes!r}, expected 'NTC' or 'NCT'; {suggest(axes, _AXES)}")
    given = None if y is None else as_labels(y)
    if isinstance(X, list | tuple):
        series, told = _from_list([_numbers(one, source) for one in X], axes, channels or inputs, source)
    else:
        values = _numbers(X, source)
        cases = None if given is None else len(given)
        series, told = _from_array(values, cases, lengths, axes, channels, inputs, source)
    if series and channels is not None and series[0].shape[1] != channels:
        raise InputError(f"{source}: found {series[0].shape[1]} channels, expected {channels}")
    longest = max(map(len, series), default=0) if lengths is None else _steps(np.shape(X), axes, channels)
    told_labels, how = ({}, []) if given is None else of_cases_or_steps(given, series, longest)
    train = Sequences(
        tuple(series), **told_labels, groups=None if groups is None else np.asarray(groups), source=source
    )
    return Dataset(train, how=(told, *how))


def read_npy(
    x: Path,
    y: Path | None = None,
    axes: Axes | None = None,
    channels: int | None = None,
    inputs: int | None = None,
) -> Dataset:
    """Read `X.npy` and, where the classes are known, `y.npy`; see `from_arrays`."""
    return from_arrays(
        _load_npy(x), None if y is None else _load_npy(y), axes=axes, channels=channels, inputs=inputs, source=x.name
    )


def read_npz(
    path: Path,
    axes: Axes | None = None,
    channels: int | None = None,
    group: str | None = None,
    inputs: int | None = None,
) -> Dataset:
    """Read an `.npz` with `X` and, where known, `y`, `lengths` and `groups` (or the name that `group` gives).

    Raises:
        FileFormatError: the file is damaged, has no `X`, or holds Python objects.
        InputError: see `from_arrays`.
    """
    arrays, told = arrays_of(path, group)
    data = from_arrays(
        arrays["x"],
        arrays.get("y"),
        lengths=arrays.get("lengths"),
        groups=arrays.get("groups"),
        axes=axes,
        channels=channels,
        inputs=inputs,
        source=path.name,
    )
    return Dataset(data.train, how=data.how + told)


def arrays_of(path: Path, group: str | None = None, mapped: bool = False) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return `x`, and where known `y`, `lengths` and `groups` of an `.npz`, and a line that tells what is left out.

    Args:
        path: of the archive.
        group: the name of the array of groups, where it is another.
        mapped: whether `X` stays on the disk where the archive is not compressed.

    Raises:
        FileFormatError: see `read_npz`.
    """
    with _opened(path) as file:
        if file.peek(len(_MAGIC)).startswith(_MAGIC):
            raise FileFormatError(f"{path}: found a single array, expected an .npz archive; rename it to .npy")
        try:
            archive = np.load(file, allow_pickle=False)
            spelled = {name.lower(): name for name in archive.files}
            groups_name = "groups" if group is None else group.lower()
            wanted = {"x", "y", "lengths", groups_name} & spelled.keys()
            on_disk = mapped_array(path, spelled["x"]) if mapped and "x" in wanted else None
            arrays = {} if on_disk is None else {"x": on_disk}
            arrays |= {name: archive[spelled[name]] for name in sorted(wanted - arrays.keys())}
        except _DAMAGE as error:
            raise _unreadable(path, error) from error
    if "x" not in arrays or (group is not None and groups_name not in arrays):
        lacking = "X" if "x" not in arrays else group
        raise FileFormatError(f"{path}: found no array {lacking!r}; {suggest(str(lacking), spelled.values())}")
    if groups_name in arrays:
        arrays["groups"] = arrays.pop(groups_name)
    left_out = sorted(set(spelled.values()) - {spelled[name] for name in wanted})
    told = (f"left out: {', '.join(left_out)}",) if left_out else ()
    return arrays, told


def unfold(rows: Array, channels: int, axes: Axes | None, source: str) -> tuple[Array, str]:
    """Cut rows `[N, T*C]` into `[N, T, C]`: step after step (NTC, also for None), or channel after channel (NCT).

    Raises:
        InputError: the width of a row is no multiple of `channels`.

    >>> unfold(np.array([[1, 2, 3, 4, 5, 6]]), 2, "NCT", "wide.csv")[0].tolist()
    [[[1, 4], [2, 5], [3, 6]]]
    """
    N, width = rows.shape
    if channels < 1 or width % channels or not width:
        raise InputError(f"{source}: found {width} values in a row, expected a multiple of {channels} channels")
    T = width // channels
    if axes == "NCT":
        told = f"{source}: a row holds all {T} steps of the first channel, then of the second, ... (NCT)"
        return rows.reshape(N, channels, T).transpose(0, 2, 1), told
    told = f"{source}: a row holds the {channels} channels of the first step, then of the second, ... (NTC"
    return rows.reshape(N, T, channels), told + (")" if axes else "; --axes NCT reads it the other way)")


def _from_array(
    values: Array,
    cases: int | None,
    lengths: ArrayLike | None,
    axes: Axes | None,
    channels: int | None,
    inputs: int | None,
    source: str,
) -> tuple[list[Array], str]:
    shape = values.shape
    if values.ndim not in (2, 3):
        raise InputError(f"{source}: found shape {shape}, expected [cases, steps, channels] or [cases, steps]")
    if cases is not None and len(values) != cases and cases in shape:
        axis = shape.index(cases)
        raise InputError(
            f"{source}: found shape {shape} and {cases} labels, expected the cases on axis 0 and not on axis {axis}; "
            f"save np.moveaxis(X, {axis}, 0)"
        )
    if values.ndim == 2 and channels is not None and channels > 1:
        values, told = unfold(values, channels, axes, source)
    elif values.ndim == 2:
        values, told = values[:, :, None], f"{source}: shape {shape} is cases x steps, one channel"
    else:
        if axes is None and shape[0]:
            _refuse_swapped(shape, channels or inputs, lengths, source)
        told = f"{source}: shape {shape} is {_AXES[axes or 'NTC']}"
        values = values.transpose(0, 2, 1) if axes == "NCT" else values
    if lengths is None:
        return list(values), told
    valid = np.asarray(lengths)
    N, T = values.shape[:2]
    if valid.shape != (N,) or valid.dtype.kind not in "iu":
        raise InputError(
            f"{source}: found lengths of shape {valid.shape} and type {valid.dtype}, expected {N} whole numbers"
        )
    if ((valid < 1) | (valid > T)).any():
        raise InputError(f"{source}: found lengths from {valid.min()} to {valid.max()}, expected 1 to {T} steps")
    return [row[:length] for row, length in zip(values, valid, strict=True)], f"{told}, cut to lengths"


def _from_list(found: list[Array], axes: Axes | None, channels: int | None, source: str) -> tuple[list[Array], str]:
    for index, one in enumerate(found):
        if one.ndim != 2:
            raise InputError(f"{source}, case {index}: found shape {one.shape}, expected [steps, channels]")
    if axes == "NCT":
        return [one.T for one in found], f"{source}: {len(found)} arrays of channels x steps"
    if axes is None and found:
        same_steps = len({len(one) for one in found}) == 1
        if same_steps and len({one.shape[1] for one in found}) > 1:
            raise _swapped(f"{source}: found {len(found)} arrays with {len(found[0])} rows and unequal columns", "NTC")
        if all(len(one) for one in found):
            longest = max(len(one) for one in found)
            _refuse_swapped((len(found), longest, found[0].shape[1]), channels, None, source)
    return found, f"{source}: {len(found)} arrays of steps x channels"


def _refuse_swapped(shape: tuple[int, ...], channels: int | None, lengths: ArrayLike | None, source: str) -> None:
    """Refuse `[N, T, C]` that is more likely `[N, C, T]`: more channels than steps, or what else is known says so."""
    _, T, C = shape
    longest = 0 if lengths is None else int(np.max(lengths, initial=0))
    known = channels == T != C or T < longest <= C
    if known or (C > T and channels != C):
        raise _swapped(f"{source}: found shape {shape}, which is {T} steps of {C} channels as [cases, steps, channels]")


def _swapped(found: str, axes: str = "NTC") -> InputError:
    return InputError(
        f"{found}: axes look swapped, expected steps on axis 1 and channels on axis 2; "
        f"axes={_OTHER[axes]!r} (--axes {_OTHER[axes]}) takes axis 1 as channels and axis 2 as steps (as "
        f"X.transpose(0, 2, 1) does), axes={axes!r} (--axes {axes}) takes it as it is"
    )


def _steps(shape: tuple[int, ...], axes: Axes | None, channels: int | None) -> int:
    """Return T of an array X, padding included."""
    return int(shape[2] if len(shape) == 3 and axes == "NCT" else shape[1] // (1 if len(shape) == 3 else channels or 1))


def _numbers(values: ArrayLike, source: str) -> Array:
    found = np.asarray(values)
    if found.dtype.kind not in "biuf":
        raise InputError(
            f"{source}: found values of type {found.dtype}, expected numbers; series of unequal length are a list of "
            "[steps, channels] arrays, or a padded array with lengths"
        )
    return found


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error


def _load_npy(path: Path) -> Array:
    with _opened(path) as file:
        found = file.read(len(_MAGIC))
    if found.startswith(b"PK"):
        raise FileFormatError(f"{path}: found an .npz archive, expected a single array; rename it to .npz")
    if found != _MAGIC:
        raise FileFormatError(f"{path}: damaged, or no NumPy file: found {found!r} at its beginning")
    try:
        return np.asarray(
            np.load(path, mmap_mode="r", allow_pickle=False)
        )  # a header cannot ask for more than is there
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> FileFormatError:
    """Say in one line why NumPy could not load `path`."""
    if "Python objects" in str(error) or "Object arrays" in str(error):
        return FileFormatError(
            f"{path}: found Python objects, which loading could run as code, expected plain numbers or text; save "
            "labels with y.astype(str), and series of unequal length with np.savez(path, X=padded, y=y, lengths=...)"
        )
    return FileFormatError(f"{path}: damaged, or no NumPy file: {' '.join(str(error).split()) or type(error).__name__}")
