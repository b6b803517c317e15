"""Models with random numbers, of every arrangement that a writer may meet."""

from __future__ import annotations

import numpy as np

from quadgate.layouts import encode
from quadgate.model import (
    Convolutions,
    Dense,
    Ensemble,
    Found,
    Member,
    Model,
    Network,
    Patches,
    Scaling,
    build,
)


def network(seed: int = 0, **options) -> Model:
    """A classifier as quadgate builds it, or without classes its layers alone."""
    made = Network(**{"inputs": 3, "units": 4, "classes": 2, **options})
    rng = np.random.default_rng(seed)
    return Model(made, {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in made.shapes.items()})


def model_of(*layers, layout: str, head: tuple[int, int] | None = None, **told) -> Model:
    """A model of layers (each a tuple of directions) as a file of a framework would give it."""
    arrays, found = {}, []
    for k, layer in enumerate(layers):
        for one in layer:
            encoded = encode(one, layout)
            name = f"layer_{k}{'_reverse' if one.reverse else ''}"
            names = {tensor: f"{name}/{tensor}" for tensor in encoded.tensors}
            arrays |= {names[tensor]: array for tensor, array in encoded.tensors.items()}
            found.append(Found(name, layout, names, told={**encoded.settings, **told}, group="g", layer=k))
    if head is not None:
        rng = np.random.default_rng(9)
        arrays |= {"out/w": rng.normal(size=head).astype("f4"), "out/b": rng.normal(size=head[1]).astype("f4")}
    dense = [] if head is None else [Dense("out/w", "out/b")]
    return build(arrays, found, source="a test", dense=dense)


def ensemble(
    members: int = 1, length: int = 4, stride: int = 3, filters: int = 0, inputs: int = 2, **options
) -> Ensemble:
    """Classifiers that read patches together, each with convolutions of `filters` where that is not 0."""
    rng = np.random.default_rng(7)
    parts = []
    for seed in range(members):
        model, branch = network(seed, inputs=inputs * length, **options), None
        if filters:
            sizes = ((5, inputs * length, filters), (3, filters, filters))
            kernels = tuple(rng.normal(0, 0.4, size).astype("f4") for size in sizes)
            biases = tuple(rng.normal(0, 0.4, filters).astype("f4") for _ in sizes)
            weights = rng.normal(size=(filters, model.classes)).astype("f4")
            branch = Convolutions(kernels, biases, weights)
        parts.append(Member(model, branch))
    scaling = Scaling(np.linspace(-1, 1, inputs), np.linspace(0.5, 2, inputs))
    names = tuple(f"c{k}" for k in range(inputs))
    return Ensemble(tuple(parts), Patches(length, stride), channels=names, scaling=scaling, source="a test")
