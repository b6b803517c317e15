"""What a framework knows of a layer and keeps in no tensor: checked against what its class can be told."""

from __future__ import annotations

from typing import Any, TypedDict

from quadgate.cell.parameters import Activations, GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts.layout import Layout


class Settings(TypedDict, total=False):
    """What the tensors do not say; what is left out is the framework's own default.

    Attributes:
        forget_bias: what is added to the forget gate while running.
        activations: the functions of the cell.
        cell_clip, projection_clip, input_clip: the limits of the cell state, the projected output and the
            pre-activations; None for no limit.
        reset_after: of a GRU, whether the reset is applied after the recurrent product.
        reverse: whether the layer reads from the last step to the first.
    """

    forget_bias: float
    activations: Activations
    cell_clip: float | None
    projection_clip: float | None
    input_clip: float | None
    reset_after: bool
    reverse: bool


def settled(row: Layout, settings: Settings) -> dict[str, Any]:
    """Return the fields of the parameters that no tensor gives: as given, else as the framework does by default.

    Raises:
        InputError: a setting that the class does not have, a value that it cannot take, or one that must be given.
    """
    unknown = set(settings) - Settings.__annotations__.keys()
    if unknown:
        raise InputError(f"{row.name}: no setting {min(unknown)!r}; known: {', '.join(Settings.__annotations__)}")
    fields: dict[str, Any] = {"reverse": settings.get("reverse", False)}
    fields["activations"] = settings.get("activations", row.activations.default)
    _check_activations(row, fields["activations"])
    limits = {clip.name: clip.default for clip in row.clips}
    for name in ("cell_clip", "projection_clip", "input_clip"):
        if settings.get(name) is not None and name not in limits:
            raise InputError(f"{row.name}: found {name}={settings.get(name)}, but the class has no such limit")
        if name in limits:
            fields[name] = settings.get(name, limits[name])
    if row.cell == "gru":
        return fields | {"reset_after": _reset_after(row, settings)}
    return fields | {"forget_bias": _forget_bias(row, settings)}


def required(row: Layout, parameters: LSTMParameters | GRUParameters) -> Settings:
    """Return the settings that a layer of a class needs beside its tensors, so that `decode` finds what was encoded.

    Raises:
        InputError: the class cannot do what the parameters ask for; the text names it.
    """
    settings: Settings = {"reverse": parameters.reverse}
    _check_activations(row, parameters.activations)
    if not row.activations.fixed:
        settings["activations"] = parameters.activations
    if isinstance(parameters, GRUParameters):
        if row.reset_after is None:
            settings["reset_after"] = parameters.reset_after
        elif row.reset_after != parameters.reset_after:
            raise InputError(
                f"{row.name}: applies the reset {_place(row.reset_after)} the recurrent product, this layer "
                f"{_place(parameters.reset_after)} it; no weights make one of the other"
            )
        return settings
    if row.forget.choices is None or (len(row.forget.choices) > 1 and parameters.forget_bias in row.forget.choices):
        settings["forget_bias"] = parameters.forget_bias
    limits = {clip.name for clip in row.clips}
    for name, limit in (
        ("cell_clip", parameters.cell_clip),
        ("projection_clip", parameters.projection_clip),
        ("input_clip", parameters.input_clip),
    ):
        if name in limits:
            settings[name] = limit
        elif limit is not None:
            raise InputError(f"{row.name}: cannot hold {name}={limit:g}: the class has no such limit")
    return settings


def forget_bias_held(row: Layout, forget_bias: float) -> float:
    """Return the part of a run-time forget bias that the class adds by itself or can be told to add."""
    choices = row.forget.choices
    if choices is None or forget_bias in choices:
        return forget_bias
    return 0.0 if 0.0 in choices else choices[0]


def _forget_bias(row: Layout, settings: Settings) -> float:
    forget_bias = settings.get("forget_bias", row.forget.run_time)
    if forget_bias is None:
        raise InputError(
            f"{row.name}: the forget bias is added while running, stored nowhere and has no default; give forget_bias="
        )
    if row.forget.choices is not None and forget_bias not in row.forget.choices:
        choices = " or ".join(f"{choice:g}" for choice in row.forget.choices)
        raise InputError(f"{row.name}: found forget_bias={forget_bias:g}, the class adds {choices} while running")
    return forget_bias


def _reset_after(row: Layout, settings: Settings) -> bool:
    asked = settings.get("reset_after", row.reset_after)
    if row.reset_after is None:
        return bool(asked)
    if asked != row.reset_after:
        raise InputError(f"{row.name}: found reset_after={asked}, the class has {row.reset_after} only")
    return row.reset_after


def _check_activations(row: Layout, wanted: Activations) -> None:
    rule = row.activations
    places = [("gate", wanted.gate, rule.gates), ("cell", wanted.cell, rule.cells)]
    if row.cell == "lstm":
        places.append(("output", wanted.output, rule.cells))
    for place, name, names in places:
        if name not in names:
            raise InputError(f"{row.name}: cannot apply {name} as its {place} activation, only {_either(names)}")
    if row.cell == "lstm" and rule.tied and wanted.cell != wanted.output:
        raise InputError(
            f"{row.name}: one function serves the candidate and the output, found {wanted.cell} and {wanted.output}"
        )


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _place(reset_after: bool) -> str:
    return "after" if reset_after else "before"
