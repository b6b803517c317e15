"""From what a reader has found in a file to a Model: the one way for every format.

A reader names the arrays, says which of them are the tensors of which row of the table, what the file tells beside them
and where a name puts each layer. Everything else is the same for all files: sizes, the order of the layers, settings
that nobody tells (the caller's, or the framework's default, which is then an assumption), the head, what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from quadgate.cell import Activations
from quadgate.errors import FileFormatError, InputError
from quadgate.layouts import Layout, Settings, find
from quadgate.model.assumption import Assumption
from quadgate.model.cell import Cell
from quadgate.model.model import Model
from quadgate.model.network import Head, Network
from quadgate.model.variables import Array, Stored, Variables

UNUSED = "of another layer than the recurrent ones and the head: kept, not run"


class Asked(Settings, total=False):
    """What the caller of `quadgate.load` says where the file is silent.

    Attributes:
        layers: the settings of some layers, which go before those of all: a layer's name, or the scope or module that
            it stands in, -> the settings.
    """

    layers: Mapping[str, Settings]


@dataclass(frozen=True)
class Found:
    """A recurrent layer in one direction, as a reader has found it.

    Attributes:
        name: the layer's name in the file.
        layout: the row of the table.
        tensors: the row's name of each tensor (as of layer 0), and the variable that is it.
        told: the settings that the file tells; `reverse` is always among them where it is True.
        guess: what to take where neither the file nor the caller tells, if that is not the row's default.
        reason: why the file does not tell the rest.
        group: layers of one group are one chain, in the order of `layer`; the two directions of a layer share both.
        layer: the place in the group.
        follows: whether the group's first layer reads the last of the group before it; None where the file is silent.
    """

    name: str
    layout: str
    tensors: Mapping[str, str]
    told: Settings = field(default_factory=Settings)
    guess: Settings = field(default_factory=Settings)
    reason: str = "the file does not hold it"
    group: str = ""
    layer: int = 0
    follows: bool | None = None


@dataclass(frozen=True)
class Dense:
    """Maybe a dense layer: names of `[F, K]` (`[K, F]` where transposed) and of `[K]`, without which it is no head."""

    weights: str
    biases: str | None
    transposed: bool = False


def build(
    arrays: Mapping[str, Array | Stored],
    found: Sequence[Found],
    *,
    source: str,
    settings: Asked | Settings | None = None,
    dense: Iterable[Dense] = (),
    head: Head | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Model:
    """Build a model from what a reader has found.

    Args:
        arrays: the file's weights by name, in order; all are kept, those that nothing uses are named in `left_out`.
        found: the recurrent layers.
        source: the file, which starts every error.
        settings: what the caller of `quadgate.load` says, as in `Asked`; it settles what the file leaves open.
        dense: the dense layers among which the head is, if only one of them can be it.
        head: the head, where the file tells it.
        left_out: what else the file holds, and why it is no part of the model.

    Raises:
        FileFormatError: shapes do not fit the rows or each other.
        InputError: the caller's settings are not what the file says, or not what the class can do.

    >>> import numpy as np
    >>> names = {"kernel": "rnn/kernel", "bias": "rnn/bias"}
    >>> arrays = {"rnn/kernel": np.ones((3, 8)), "rnn/bias": np.ones(8)}
    >>> model = build(arrays, [Found("rnn", "tf1.BasicLSTMCell", names)], source="x.ckpt")
    >>> print(model.assumptions[0])
    forget_bias=1.0 (assumed: the file does not hold it; forget_bias= settles it)
    >>> asked = {"forget_bias": 0.0}
    >>> model = build(arrays, [Found("rnn", "tf1.BasicLSTMCell", names)], source="x.ckpt", settings=asked)
    >>> print(*model.assumptions)
    activations=sigmoid tanh (assumed: the file does not hold it; activations= settles it)
    """
    variables = Variables(arrays)
    asked = _asked(found, settings or Settings(), source)
    try:
        cells = {one.name: _cell(one, variables, asked[one.name]) for one in found}
    except InputError as error:
        raise error if isinstance(error, FileFormatError) else FileFormatError(f"{source}: {error}") from None
    _check_asked(cells, settings or Settings(), asked, source)
    layers, chains, order = _arrange(found, cells)
    assumptions = [*_assumed(found, cells, asked), *order]
    if head is None and len(chains) == 1:
        head = _certain_head(dense, variables, layers)
        if head is not None:
            reason = "nothing in the file says what is read of the steps"
            assumptions.append(Assumption("pool", "last", reason, (head.weights,)))
    used = {name for cell in cells.values() for name in cell.shapes} | set({} if head is None else head.shapes)
    reasons = {name: UNUSED for name in variables if name not in used} | dict(left_out or {})
    try:
        return Model(
            network=Network.describing(layers, head) if len(chains) == 1 else None,
            variables=variables,
            assumptions=tuple(assumptions),
            source=source,
            left_out=tuple(f"{name}: {reason}" for name, reason in reasons.items()),
            cells=layers,
            head=head,
            chains=chains,
        )
    except InputError as error:
        raise FileFormatError(f"{source}: {error}") from None


def _cell(found: Found, variables: Variables, asked: Settings) -> Cell:
    row = find(found.layout)
    open_here = _open(row, found)
    settings = {name: value for name, value in found.guess.items() if name in open_here}
    settings |= {name: value for name, value in asked.items() if name in open_here}
    settings |= found.told
    return Cell.of(found.name, row.name, found.tensors, variables, **cast(Settings, settings))


def _open(row: Layout, found: Found) -> list[str]:
    """Return the settings that the class can take several values of and that the file does not tell."""
    projected = any(
        "projection" in tensor.arrays and row.present(tensor, found.tensors, 0, found.told.get("reverse", False))
        for tensor in row.tensors
    )
    settable: dict[str, bool] = {
        "forget_bias": row.cell == "lstm" and (row.forget.choices is None or len(row.forget.choices) > 1),
        "activations": not row.activations.fixed,
        "reset_after": row.cell == "gru" and row.reset_after is None,
    }
    settable |= {clip.name: clip.name != "projection_clip" or projected for clip in row.clips}
    return [name for name, settable_here in settable.items() if settable_here and name not in found.told]


def stands_in(layer: str, place: str) -> bool:
    """Tell whether a layer has that name, or stands in that scope or module.

    >>> stands_in("decoder/rnn/lstm_cell", "decoder/rnn"), stands_in("decoder.rnn.l0", "deco")
    (True, False)
    """
    return layer == place or layer.startswith((f"{place}/", f"{place}."))


def _asked(found: Sequence[Found], settings: Asked | Settings, source: str) -> dict[str, Settings]:
    """Return what the caller says of each layer: what is said of it, else of the nearest scope, else of all."""
    of_all: dict[str, Any] = {name: value for name, value in settings.items() if name != "layers"}
    own: Mapping[str, Settings] = cast(Asked, settings).get("layers", {})
    asked = {one.name: of_all for one in found}
    for place, told in sorted(own.items(), key=lambda one: len(one[0])):
        inside = [one.name for one in found if stands_in(one.name, place)]
        if not inside:
            names = ", ".join(one.name for one in found)
            raise InputError(f"{source}: found settings for a layer {place!r}, expected one of {names}")
        asked |= {name: asked[name] | told for name in inside}
    return cast(dict[str, Settings], asked)


def _check_asked(
    cells: Mapping[str, Cell], settings: Asked | Settings, asked: Mapping[str, Settings], source: str
) -> None:
    """Refuse a setting of the caller's that no layer of its place took, since the file or the class says otherwise."""
    own: Mapping[str, Settings] = cast(Asked, settings).get("layers", {})
    of_all = {name: value for name, value in settings.items() if name != "layers"}
    for place, told in (("", of_all), *own.items()):
        inside = {layer: cell for layer, cell in cells.items() if not place or stands_in(layer, place)}
        for name, value in told.items():
            concerned = [cell for layer, cell in inside.items() if cast(dict[str, Any], asked[layer])[name] == value]
            if not concerned or any(getattr(cell, name) == value for cell in concerned):
                continue  # taken, or settled by a nearer place
            said = f"{concerned[0].name} ({concerned[0].layout}) has {getattr(concerned[0], name)!r}"
            where = f" for {place!r}" if place else ""
            raise InputError(f"{source}: found {name}={value!r}{where}, but {said}")


def _assumed(found: Sequence[Found], cells: Mapping[str, Cell], asked: Mapping[str, Settings]) -> list[Assumption]:
    """Say what was taken for granted: one assumption for each setting, value and reason."""
    names: dict[tuple[str, Any, str], list[str]] = {}
    for one in found:
        for setting in _open(find(one.layout), one):
            if setting not in asked[one.name]:
                value = getattr(cells[one.name], setting)
                names.setdefault((setting, value, one.reason), []).append(one.name)
    return [
        Assumption(
            setting,
            _text(value) if isinstance(value, Activations) else value,
            reason,
            () if len(whose) == len(found) else tuple(whose),
            f"{setting}=",
        )
        for (setting, value, reason), whose in names.items()
    ]


def _text(activations: Activations) -> str:
    """Write the functions of a cell: gates, candidate and, where it is another one, output."""
    names = [activations.gate, activations.cell, activations.output]
    return " ".join(names[:2] if names[1] == names[2] else names)


def _arrange(
    found: Sequence[Found], cells: Mapping[str, Cell]
) -> tuple[tuple[tuple[Cell, ...], ...], tuple[int, ...], list[Assumption]]:
    """Put the directions of a layer side by side and layers of a group after each other; tell the chains apart.

    Groups follow each other where the file says so; where it is silent, one whose width is what the next one reads is
    taken to be followed by it, which is an assumption.
    """
    groups: dict[str, dict[int, list[Found]]] = {}
    for one in found:
        groups.setdefault(one.group, {}).setdefault(one.layer, []).append(one)
    layers: list[tuple[Cell, ...]] = []
    chains: list[int] = []
    assumptions = []
    for group in groups.values():
        inner = [
            tuple(cells[one.name] for one in sorted(group[k], key=lambda one: cells[one.name].reverse))
            for k in sorted(group)
        ]
        follows = next(iter(group.values()))[0].follows
        fits = bool(layers) and all(cell.inputs == sum(before.width for before in layers[-1]) for cell in inner[0])
        if layers and fits and follows is None:
            reason = f"nothing in the file says whether it reads {layers[-1][0].name}, whose width it takes"
            assumptions.append(Assumption("order", "in the file's order", reason, tuple(c.name for c in inner[0])))
        if fits and follows is not False:
            chains[-1] += len(inner)
        else:
            chains.append(len(inner))
        layers += inner
    return tuple(layers), tuple(chains), assumptions


def _certain_head(dense: Iterable[Dense], variables: Variables, layers: tuple[tuple[Cell, ...], ...]) -> Head | None:
    """Return the dense layer that reads the top layer, where only one can be it.

    A layer that reads as many numbers as the first recurrent layer and gives as many as that has inputs may be an
    embedding in front, and does not count; one that could follow the candidate makes it a hidden layer, and then there
    is no head.
    """
    features = sum(cell.width for cell in layers[-1])
    taken = {name for layer in layers for cell in layer for name in cell.shapes}
    sizes = {
        one: variables.shape(one.weights)[:: -1 if one.transposed else 1]
        for one in dense
        if one.weights not in taken and len(variables.shape(one.weights)) == 2
    }
    candidates = [one for one, (reads, _) in sizes.items() if reads == features and one.biases is not None]
    if len(candidates) != 1:
        return None
    K, C = sizes[candidates[0]][1], layers[0][0].inputs
    if any(one.weights != candidates[0].weights and reads == K and gives != C for one, (reads, gives) in sizes.items()):
        return None
    return Head(candidates[0].weights, candidates[0].biases, features, K, transposed=candidates[0].transposed)
