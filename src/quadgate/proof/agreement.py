"""Do two models agree: their layers are found, run side by side, and a mismatch is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from quadgate.errors import InputError
from quadgate.formats import load_network
from quadgate.model import Asked, Model
from quadgate.model.build import stands_in
from quadgate.proof.head import compare_heads
from quadgate.proof.matching import match
from quadgate.proof.proof import LayerProof, Proof, decides
from quadgate.proof.trial import LENGTHS, STEPS, compare
from quadgate.proof.why import explain

TRIAL = (
    f"{len(LENGTHS)} cases of {min(LENGTHS)} to {STEPS} steps, random states, inputs that saturate gates, in float64"
)


def verify(a: Model | str | Path, b: Model | str | Path, **settings: Unpack[Asked]) -> Proof:
    """Compare two models, of whatever formats and names.

    Args:
        a: a model, or a file to load.
        b: another.
        **settings: what files do not say, as in `quadgate.load`, for those of the two that leave it open.

    Returns:
        The proof; it `holds` where every layer has a partner that computes the same.

    Raises:
        InputError: a file cannot be read.

    >>> import numpy as np
    >>> from quadgate.model import Network
    >>> network = Network(inputs=3, units=2, classes=None)
    >>> numbers = np.random.default_rng(0)
    >>> model = Model(network, {name: numbers.normal(size=shape) for name, shape in network.shapes.items()})
    >>> verify(model, model).verdict
    'proved'
    """
    both = _loaded(a, settings), _loaded(b, settings)
    names = [cell.name for model in both for layer in model.cells for cell in layer]
    for place in settings.get("layers", {}):
        if not any(stands_in(name, place) for name in names):
            raise InputError(f"found settings for a layer {place!r}, expected one of {', '.join(names)}")
    return compared(*both)


def compared(a: Model, b: Model) -> Proof:
    """Compare two models that are loaded."""
    cells_a, cells_b = ([cell for layer in model.cells for cell in layer] for model in (a, b))
    ours, theirs = ([one for layer in model.layers for one in layer] for model in (a, b))
    found = match(ours, theirs)
    layers = []
    for one, other in found.pairs:
        difference = compare(ours[one], theirs[other])
        why = "" if difference.within() else explain(ours[one], theirs[other])
        layers.append(LayerProof(cells_a[one].name, cells_b[other].name, difference, why))
    alone = [("A", cells_a[k]) for k in found.only_a] + [("B", cells_b[k]) for k in found.only_b]
    faults = [f"{side} alone has {cell.name}, C={cell.inputs}, H={cell.units}" for side, cell in alone]
    remarks = []
    head = compare_heads(a, b)
    if head is None and (a.head is not None or b.head is not None):
        remarks.append(f"the head, which {'A' if a.head is not None else 'B'} alone has")
    if (a.scaling is None) != (b.scaling is None):
        remarks.append(f"the scaling of the channels, which {'A' if a.scaling is not None else 'B'} alone has")
    both = [*a.assumptions, *b.assumptions]
    return Proof(
        a=a.source or "A",
        b=b.source or "B",
        trial=TRIAL,
        layers=tuple(layers),
        head=head,
        faults=tuple(faults),
        assumptions=tuple(dict.fromkeys(one for one in both if decides(one))),
        remarks=tuple(dict.fromkeys([*remarks, *(str(one) for one in both if not decides(one))])),
    )


def _loaded(model: Model | str | Path, settings: Asked) -> Model:
    """Load a file with what is said of it, as far as the file leaves it open."""
    if isinstance(model, Model) or not settings:
        return model if isinstance(model, Model) else load_network(model)
    found = load_network(model)
    open_here = {one.setting for one in found.assumptions}
    names = [cell.name for layer in found.cells for cell in layer]
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if name in open_here}
    own: dict[str, Any] = {
        place: {name: value for name, value in told.items() if name in open_here}
        for place, told in settings.get("layers", {}).items()
        if any(stands_in(name, place) for name in names)
    }
    if any(own.values()):
        chosen["layers"] = own
    return load_network(model, **chosen)
