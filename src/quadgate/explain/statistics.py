"""What the numbers of a layer say about it: how long it remembers, which units work, which inputs are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.explain.activity import Activity, activities
from quadgate.model import Model

Array = NDArray[np.float64]

NOISE = {"cases": 16, "steps": 72, "first": 8}
"""What the layers are tried with: N series of normal noise of T steps, of which the first ones are not counted."""

SHUT, OPEN = 0.05, 0.95
STUCK = 0.95  # the share of steps beyond those limits at which a unit's gate counts as stuck
SILENT = 0.01  # the largest |h| of a unit that says nothing
_MOST_UNITS = 1024  # whose eigenvalues are computed
_WORK = 20_000_000_000  # multiplications that trying may cost


@dataclass(frozen=True, eq=False)
class Statistics:
    """The numbers about one layer in one direction.

    Attributes:
        name: the layer's name.
        gates: its gates, in normal order: ijfo, or zrn of a GRU.
        forget: `[H]`, the effective forget bias: what is stored for f, with x and with h, and what is added at run
            time. Of a GRU, the bias of its update gate z, which keeps as f does.
        memory: `[H]`, in steps: how long it takes until 1/e of the memory is left while nothing comes in,
            `-1 / log(sigmoid(forget))`.
        radius: by gate, the spectral radius of its recurrent block `[H, H]`; empty where that is too large.
        inputs: `[C]`, the root mean square of the weights that read each input.
        open, shut: `[G, H]` by gate but the candidate, the share of steps beyond `OPEN` and below `SHUT`; None where
            nothing was tried.
        loudest: `[H]`, the largest |h|, likewise.
    """

    name: str
    gates: str
    forget: Array
    memory: Array
    radius: dict[str, float]
    inputs: Array
    open: dict[str, Array] | None = None
    shut: dict[str, Array] | None = None
    loudest: Array | None = None

    @property
    def stuck(self) -> dict[str, int]:
        """By gate, the number of units whose gate stands open or shut nearly always."""
        if self.open is None or self.shut is None:
            return {}
        return {gate: int((np.maximum(self.open[gate], self.shut[gate]) >= STUCK).sum()) for gate in self.open}

    @property
    def silent(self) -> NDArray[np.int64]:
        """The units whose output never leaves `SILENT`."""
        return np.empty(0, np.int64) if self.loudest is None else np.flatnonzero(self.loudest < SILENT)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        tried = {} if self.loudest is None else {"loudest": self.loudest.tolist(), "silent": self.silent.tolist()}
        return {
            "effective_forget_bias": self.forget.tolist(),
            "time_constant": [value if np.isfinite(value) else None for value in self.memory.tolist()],
            "spectral_radius": self.radius,
            "inputs": self.inputs.tolist(),
            "stuck": self.stuck,
            **tried,
        }


def statistics(model: Model) -> list[Statistics]:
    """Describe every layer of a model, in the order of its cells; the layers are tried with noise where that is cheap.

    >>> from quadgate.model import Network
    >>> network = Network(inputs=3, units=4, classes=2)
    >>> zeros = {name: np.zeros(shape, np.float32) for name, shape in network.shapes.items()}
    >>> found = statistics(Model(network, zeros))[0]
    >>> found.forget.tolist(), round(float(found.memory[0]), 2), found.radius["f"], found.silent.tolist()
    ([1.0, 1.0, 1.0, 1.0], 3.19, 0.0, [0, 1, 2, 3])
    """
    rng = np.random.default_rng(0)
    found = []
    for number in range(len(model.chains)):
        chain = model.chain(number) if len(model.chains) > 1 else model
        cells = [cell for layer in chain.layers for cell in layer]
        tried: list[Activity | None] = [None] * len(cells)
        N, T = NOISE["cases"], NOISE["steps"]
        if N * T * sum(cell.w_x.size + cell.w_h.size for cell in cells) <= _WORK:
            with np.errstate(over="ignore"):
                noise = rng.normal(size=(N, T, chain.inputs))
                tried = [one for layer in activities(chain, noise) for one in layer]
        names = [cell.name for layer in chain.cells for cell in layer]
        found += [_of(name, cell, one) for name, cell, one in zip(names, cells, tried, strict=True)]
    return found


def memory_of(forget: Array) -> Array:
    """Return the steps until 1/e is left where the forget gate stands at `sigmoid(forget)`.

    >>> memory_of(np.array([0.0, 1.0, 5.0])).round(2).tolist()
    [1.44, 3.19, 148.91]
    """
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(1 / np.logaddexp(0, -forget))


def _of(name: str, p: LSTMParameters | GRUParameters, tried: Activity | None) -> Statistics:
    gates, keeps = ("ijfo", "f") if isinstance(p, LSTMParameters) else ("zrn", "z")
    place = gates.index(keeps)
    forget = np.zeros(p.units) + (p.forget_bias if isinstance(p, LSTMParameters) else 0.0)
    for bias in (p.b_x, p.b_h):
        if bias is not None:
            forget = forget + bias[place]
    described = Statistics(
        name=name,
        gates=gates,
        forget=forget,
        memory=memory_of(forget),
        radius=_radius(p, gates),
        inputs=np.sqrt((np.asarray(p.w_x, np.float64) ** 2).mean(axis=(0, 2))),
    )
    if tried is None:
        return described
    counted = {gate: tried.values[gate][:, NOISE["first"] :] for gate in gates if gate not in "jn"}
    return Statistics(
        **{key: value for key, value in vars(described).items() if key not in ("open", "shut", "loudest")},
        open={gate: (values > OPEN).mean(axis=(0, 1)) for gate, values in counted.items()},
        shut={gate: (values < SHUT).mean(axis=(0, 1)) for gate, values in counted.items()},
        loudest=np.abs(tried.values["h"]).max(axis=(0, 1)),
    )


def _radius(p: LSTMParameters | GRUParameters, gates: str) -> dict[str, float]:
    """Return the largest |eigenvalue| of each gate's recurrent block; a projection is taken with it."""
    if p.units > _MOST_UNITS or not np.isfinite(p.w_h).all():
        return {}
    found = {}
    for gate, block in zip(gates, np.asarray(p.w_h, np.float64), strict=True):
        square = block
        if isinstance(p, LSTMParameters) and p.projection is not None:
            square = block @ np.asarray(p.projection, np.float64)  # [P, P]: from h to h
        found[gate] = float(np.abs(np.linalg.eigvals(square)).max())
    return found
