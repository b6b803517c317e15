"""The C lines of what follows the recurrent layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quadgate.export_c.program import Program

if TYPE_CHECKING:
    from quadgate.model import Model


def head(program: Program, model: Model, outputs: str, probabilities: bool, y: str = "y", of: str = "") -> list[str]:
    """Return the lines that gather the top layer's `outputs` and write the answer to `y`; `of` tells names apart."""
    h = model.head
    assert h is not None  # noqa: S101
    F, K = h.features, h.classes
    weights = model.variables[h.weights]
    rows = program.constant(f"head_weights{of}", weights if h.transposed else weights.T, "f")
    lines = []
    if h.pool != "last":
        carried, features = program.keep("d", f"carried{of}", 2 + F), program.keep("f", f"features{of}", F)
        program.needs.add(f"gather_{h.pool}")
        query = ""
        if h.query is not None:
            query = f"{program.constant(f'query{of}', model.variables[h.query], 'f')}, "
        value = f"{carried}[2 + k]" if h.pool == "max" else f"{carried}[2 + k] / {carried}[0]"
        lines = [
            f"gather_{h.pool}({carried}, {outputs}, {query}{F});",
            f"for (k = 0; k < {F}; ++k) {features}[k] = (float)({value});",
        ]
        outputs = features
    program.needs.add("dot")
    biases = np.zeros(K) if h.biases is None else model.variables[h.biases]
    bias = program.constant(f"head_biases{of}", biases, "f")
    lines.append(f"for (k = 0; k < {K}; ++k) {y}[k] = {bias}[k] + dot({outputs}, {rows} + {F} * k, {F});")
    if probabilities:
        program.needs.add("softmax")
        lines.append(f"softmax({y}, {K});")
    return lines
