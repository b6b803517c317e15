"""What a model says of its classes and channels, held against what it computes."""

from __future__ import annotations

from collections.abc import Sequence

from quadgate.errors import InputError
from quadgate.model.scaling import Scaling


def check_described(
    labels: Sequence[str | int] | None,
    channels: Sequence[str] | None,
    scaling: Scaling | None,
    classes: int | None,
    inputs: int,
) -> None:
    """Refuse labels `[K]`, channels `[C]` or a scaling `[C]` of another length than K classes and C inputs ask for.

    Raises:
        InputError: names which, what was found and what was expected.
    """
    for name, values, expected in (
        ("labels", labels, classes),
        ("channels", channels, inputs),
        ("scaling", None if scaling is None else scaling.mean, inputs),
    ):
        if values is not None and len(values) != expected:
            raise InputError(f"{name}: found {len(values)}, expected {expected}")


def check_classes(output: str, classes: int | None, source: str) -> None:
    """Refuse probabilities of a head with one output: that is a quantity, and softmax would make 1 of it.

    Raises:
        InputError: says what to ask for.
    """
    if output == "probabilities" and classes == 1:
        raise InputError(
            f"output: found 'probabilities' of {source or 'a model'}, whose head has one output, a quantity; expected "
            "'logits', which is that quantity"
        )
