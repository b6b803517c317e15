"""What the gates and the memory of every layer do, step by step: the float64 reference, with all that it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters, gru_step, lstm_step
from quadgate.model import Model

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Activity:
    """One layer in one direction over N cases of T steps; what a backward layer does at t belongs to the input at t.

    Attributes:
        name: the layer's name.
        values: `[N, T, H]` by name: i, j, f, o, c and h of an LSTM (h is `[N, T, P]`), z, r, n and h of a GRU.
    """

    name: str
    values: dict[str, Array]


def activities(model: Model, x: NDArray[Any]) -> list[list[Activity]]:
    """Run every layer of one chain over `x [N, T, C]`, scaled already, and return what each does, by direction.

    >>> from quadgate.model import Network
    >>> network = Network(inputs=1, units=2, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> [[one]] = activities(model, np.zeros((3, 5, 1)))
    >>> sorted(one.values), one.values["f"].shape
    (['c', 'f', 'h', 'i', 'j', 'o'], (3, 5, 2))
    """
    values = np.asarray(x, np.float64)
    found = []
    for cells, parameters in zip(model.cells, model.layers, strict=True):
        layer = [Activity(cell.name, _run(values, one)) for cell, one in zip(cells, parameters, strict=True)]
        values = np.concatenate([one.values["h"] for one in layer], axis=2)
        found.append(layer)
    return found


def _run(x: Array, parameters: LSTMParameters | GRUParameters) -> dict[str, Array]:
    N, T, _ = x.shape
    h = np.zeros((N, parameters.state_width))
    c = np.zeros((N, parameters.units))
    names = "ijfoch" if isinstance(parameters, LSTMParameters) else "zrnh"
    steps: list[dict[str, Array]] = []
    for t in reversed(range(T)) if parameters.reverse else range(T):
        if isinstance(parameters, LSTMParameters):
            step: Any = lstm_step(x[:, t], c, h, parameters)
            c = step.c
        else:
            step = gru_step(x[:, t], h, parameters)
        h = step.h
        steps.append({name: getattr(step, name) for name in names})
    if parameters.reverse:
        steps.reverse()
    return {name: np.stack([step[name] for step in steps], axis=1) for name in names}
