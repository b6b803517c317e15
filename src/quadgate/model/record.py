"""Frozen dataclasses to and from JSON, strictly: an unknown key or a value of another type is refused by its name."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from quadgate.errors import FileFormatError, InputError, suggest

Record = TypeVar("Record")


def read_record(kind: type[Record], value: Any, place: str) -> Record:
    """Build the dataclass `kind` from a JSON object, whose `place` (file and key) starts every message.

    Raises:
        FileFormatError: a key is missing or not known, or a value has another type or is out of range.

    >>> from quadgate.model.network import Network
    >>> read_record(Network, {"inputs": 12, "units": 64, "classes": 2}, "model.safetensors: network").layers
    1
    """
    if not isinstance(value, dict):
        raise FileFormatError(f"{place}: found {_short(value)}, expected an object")
    types = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.init]  # type: ignore[arg-type]
    for key in value:
        if key not in known:
            raise FileFormatError(f"{place}: the key {key!r} is not known, {suggest(key, known)}")
    for field in fields(kind):  # type: ignore[arg-type]
        if field.default is MISSING and field.default_factory is MISSING and field.name not in value:
            raise FileFormatError(f"{place}: the key {field.name!r} is missing")
    arguments = {key: read_value(types[key], item, f"{place}.{key}") for key, item in value.items()}
    try:
        return kind(**arguments)
    except FileFormatError:
        raise
    except InputError as error:
        raise FileFormatError(f"{place}: {error}") from None


def read_value(kind: Any, value: Any, place: str) -> Any:
    """Return a JSON value as the annotated type `kind`: a number, text, None, a tuple or a dataclass.

    Raises:
        FileFormatError: the value has another type.
    """
    if get_origin(kind) in (UnionType,):
        options = get_args(kind)
        if value is None and NoneType in options:
            return None
        choices = [option for option in options if option is not NoneType]
        kind = next((option for option in choices if _fits(option, value)), choices[0])
    if is_dataclass(kind) and isinstance(kind, type):
        return read_record(kind, value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise FileFormatError(f"{place}: found {_short(value)}, expected a list")
        return tuple(read_value(get_args(kind)[0], item, f"{place}[{i}]") for i, item in enumerate(value))
    if not _fits(kind, value):
        raise FileFormatError(f"{place}: found {_short(value)}, expected {kind.__name__}")
    return float(value) if kind is float else value


def _fits(kind: Any, value: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if get_origin(kind) is tuple:
        return isinstance(value, list)
    if is_dataclass(kind):
        return isinstance(value, dict)
    return isinstance(value, kind)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
