"""Models with random numbers, of every arrangement that a writer may meet."""

from __future__ import annotations

import numpy as np

from quadgate.layouts import encode
from quadgate.model import Dense, Found, Model, Network, build


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
