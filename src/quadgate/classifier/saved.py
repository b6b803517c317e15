"""An estimator in a folder: `estimator.json` beside the model and its training states. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from quadgate.errors import FileFormatError, InputError
from quadgate.explain import TrainingCases
from quadgate.formats import load
from quadgate.model import write_atomically

FORMAT_VERSION = 3
ESTIMATOR = "estimator.json"


def header_of(estimator: Any) -> str:
    """Return what `estimator.json` says.

    Raises:
        InputError: classes or parameters that JSON cannot hold.
    """
    classes = getattr(estimator, "classes_", None)
    header = {
        "format_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "parameters": _parameters(estimator),
        "classes": None if classes is None else classes.tolist(),
        "classes_dtype": None if classes is None else classes.dtype.str,
        "means": estimator._means.tolist(),
        "epochs": estimator._epochs,
        "quantity": [estimator._mean, estimator._scale],
        "n_channels_in": estimator.n_channels_in_,
        "n_features_in": getattr(estimator, "n_features_in_", None),
        "feature_names_in": _listed(getattr(estimator, "feature_names_in_", None)),
        "channel_names_in": getattr(estimator, "channel_names_in_", None),
    }
    try:
        return json.dumps(header, indent=2, ensure_ascii=False, default=_as_json) + "\n"
    except TypeError as error:
        raise InputError(
            f"{ESTIMATOR}: found something that JSON cannot hold ({error}), expected plain values"
        ) from error


def _parameters(estimator: Any) -> dict[str, Any]:
    """Return what `__init__` is to be given; callbacks are code, and a `RandomState` is not kept."""
    found = {name: value for name, value in estimator.get_params().items() if name != "callbacks"}
    if not isinstance(found["random_state"], int | np.integer):
        found["random_state"] = None
    if isinstance(found.get("class_weight"), dict):  # JSON would make text of every key
        found["class_weight"] = [[plain(key), weight] for key, weight in found["class_weight"].items()]
    return found


def plain(value: Any) -> Any:
    """Return a NumPy number as Python's, a `torch.device` as its name, and anything else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if (type(value).__module__, type(value).__name__) == ("torch", "device") else value


def _as_json(value: Any) -> Any:
    found = plain(value)
    if found is value:
        raise TypeError(f"{type(value).__name__} {value!r}")
    return found


def _listed(names: Any) -> list[str] | None:
    return None if names is None else list(map(str, names))


def write(header: str, folder: Path) -> None:
    """Write `estimator.json`, whole or not at all."""
    with write_atomically(folder / ESTIMATOR) as beside:
        beside.write_text(header, encoding="utf-8")


def read(cls: type[Any], folder: Path) -> Any:
    """Return the estimator that a folder holds, as `cls`.

    Raises:
        FileFormatError: a file is missing or damaged, or another estimator's.
    """
    file = folder / ESTIMATOR
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
        if header["format_version"] != FORMAT_VERSION:
            raise FileFormatError(f"{file}: found format version {header['format_version']}, expected {FORMAT_VERSION}")
        if header["estimator"] != cls.__name__:
            raise FileFormatError(f"{file}: found a {header['estimator']}, expected a {cls.__name__}")
        parameters = dict(header["parameters"])
        if isinstance(parameters.get("class_weight"), list):
            parameters["class_weight"] = dict(parameters["class_weight"])
        estimator = cls(**parameters)
        if header["classes"] is not None:
            estimator.classes_ = np.array(header["classes"], dtype=np.dtype(header["classes_dtype"]))
        estimator._means = np.array(header["means"], np.float64)
        estimator._epochs = int(header["epochs"])
        estimator._mean, estimator._scale = map(float, header["quantity"])
        estimator.n_channels_in_ = int(header["n_channels_in"])
        if header["n_features_in"] is not None:
            estimator.n_features_in_ = int(header["n_features_in"])
        if header.get("feature_names_in") is not None:
            estimator.feature_names_in_ = np.array(_listed(header["feature_names_in"]), dtype=object)
        if header["channel_names_in"] is not None:
            estimator.channel_names_in_ = tuple(map(str, header["channel_names_in"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        told = " ".join(str(error).split())
        raise FileFormatError(
            f"{file}: missing or damaged ({told}), expected what {cls.__name__}.save writes"
        ) from error
    estimator.model_ = load(folder)
    estimator._trained = TrainingCases.load(folder)
    if not all(name.isdecimal() for name in estimator._trained.names):
        raise FileFormatError(f"{folder}: found training cases with names, expected their places in the X of fit")
    estimator._places = np.array(estimator._trained.names, dtype=np.int64)
    _check(estimator, file)
    return estimator


def _check(estimator: Any, file: Path) -> None:
    """Refuse a header that does not belong to the model beside it."""
    model, names = estimator.model_, getattr(estimator, "channel_names_in_", None)
    for what, found, expected in (
        ("classes", len(estimator.classes_) if hasattr(estimator, "classes_") else 1, model.classes),
        ("inputs", estimator.n_channels_in_ * (2 if estimator.missing == "forward" else 1), model.inputs),
        ("means", len(estimator._means), estimator.n_channels_in_),
        ("channel names", estimator.n_channels_in_ if names is None else len(names), estimator.n_channels_in_),
    ):
        if found != expected:
            raise FileFormatError(f"{file}: found {found} {what}, expected {expected} for the model beside it")
