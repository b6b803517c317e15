"""Layers with random numbers, as a framework would keep them."""

from __future__ import annotations

import numpy as np

from quadgate.cell import Activations
from quadgate.layouts import LAYOUTS, Layout
from quadgate.layouts.sizes import Sizes

USABLE = [row for row in LAYOUTS.values() if not row.refusal]
LSTMS = [row for row in USABLE if row.cell == "lstm"]
GRUS = [row for row in USABLE if row.cell == "gru"]


def name_of(row: Layout) -> str:
    return row.name


def sizes_of(C: int, H: int, P: int | None = None) -> Sizes:
    return Sizes(C, H, H if P is None else P)


def tensors_of(row, sizes, without=(), *, projected=False, layer=0, reverse=False, dtype=np.float32, seed=0):
    """Random bits for every tensor of a row but those of the arrays in `without`; none is NaN, some are -0.0."""
    rng = np.random.default_rng(seed)
    absent = set(without) if projected else {*without, "projection"}
    return {
        row.name_of(tensor, layer, reverse): np.where(
            rng.random(sizes.shape(row, tensor)) < 0.1, -0.0, rng.normal(size=sizes.shape(row, tensor))
        ).astype(dtype)
        for tensor in row.tensors
        if not tensor.arrays <= absent
    }


def plain_settings(row: Layout) -> dict:
    """The settings under which a class is the plain cell, with the forget bias that it has by itself."""
    settings = {clip.name: None for clip in row.clips}
    if row.activations.gates != ("sigmoid",) or row.activations.cells != ("tanh",):
        settings["activations"] = Activations()
    if row.forget.choices is None:
        settings["forget_bias"] = 1.0 if row.forget.run_time is None else row.forget.run_time
    if row.cell == "gru" and row.reset_after is None:
        settings["reset_after"] = True
    return settings
