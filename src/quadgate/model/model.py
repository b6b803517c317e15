"""What a network is once it is loaded: its variables, its cells, and running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.cell import LSTMParameters
from quadgate.errors import InputError, suggest
from quadgate.kernels import lstm
from quadgate.model.network import Cell, Head, Network
from quadgate.model.pooling import dense, pool, softmax
from quadgate.model.scaling import Scaling
from quadgate.model.series import accept
from quadgate.model.summary import SummaryTable
from quadgate.model.variables import Variables

Array = NDArray[Any]
State = tuple[tuple[tuple[Array, Array], ...], ...]
"""`state[layer][direction] = (c [N, H], h [N, P])`; forward before backward; P is H without a projection."""

OUTPUTS = ("logits", "probabilities", "outputs")


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A network and its numbers, whatever file they came from; nothing here imports a deep-learning framework.

    Attributes:
        network: the architecture, where it is one that quadgate builds; None for peepholes, projections, clips, or
            layers that differ.
        variables: ordered names and arrays, as the file has them.
        labels: the name of each class, or None.
        channels: the name of each input channel, or None.
        scaling: applied to every series before the first layer, or None.
        assumptions: what the file does not say and was taken for granted.
        left_out: what the file holds and the model does not use, and why.
        source: where the model came from.
        cells: each layer's cells, forward before backward; taken from `network` where not given.
        head: what follows them, or None; taken from `network` where `cells` is not given.

    Raises:
        InputError: a variable is missing or has another shape, or labels, channels or scaling have another length.

    >>> network = Network(inputs=1, units=1, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> probabilities, state = model.run(np.zeros((3, 5, 1)), output="probabilities")
    >>> probabilities.tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """

    network: Network | None
    variables: Mapping[str, Array]
    labels: tuple[str | int, ...] | None = None
    channels: tuple[str, ...] | None = None
    scaling: Scaling | None = None
    assumptions: tuple[str, ...] = ()
    source: str = ""
    left_out: tuple[str, ...] = ()
    cells: tuple[tuple[Cell, ...], ...] = ()
    head: Head | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", Variables(self.variables))
        if not self.cells:
            if self.network is None:
                raise InputError("model: found neither a network nor cells, expected one of them")
            object.__setattr__(self, "cells", self.network.cells)
            object.__setattr__(self, "head", self.network.head)
        self._check_shapes()
        self._check_sizes()

    def _check_shapes(self) -> None:
        parts = [
            *(cell.shapes for layer in self.cells for cell in layer),
            {} if self.head is None else self.head.shapes,
        ]
        expected = {name: shape for part in parts for name, shape in part.items()}
        for name, shape in expected.items():
            if name not in self.variables:
                raise InputError(f"variable {name}: not found, expected shape {shape}; {suggest(name, self.variables)}")
            if self.shapes[name] != shape:
                raise InputError(f"variable {name}: found shape {self.shapes[name]}, expected {shape}")

    def _check_sizes(self) -> None:
        for name, values, expected in (
            ("labels", self.labels, self.classes),
            ("channels", self.channels, self.inputs),
            ("scaling", None if self.scaling is None else self.scaling.mean, self.inputs),
        ):
            if values is not None and len(values) != expected:
                raise InputError(f"{name}: found {len(values)}, expected {expected}")

    def __repr__(self) -> str:
        return f"<Model of {len(self.variables)} variables from {self.source or 'memory'}>"

    @property
    def inputs(self) -> int:
        """C, the number of input channels."""
        return self.cells[0][0].inputs

    @property
    def classes(self) -> int | None:
        """K, the number of classes, or None without a head."""
        return None if self.head is None else self.head.classes

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each variable; no numbers are read for it."""
        variables = Variables(self.variables)
        return {name: variables.shape(name) for name in variables}

    @cached_property
    def layers(self) -> tuple[tuple[LSTMParameters, ...], ...]:
        """The numbers of each layer's cells in the normal form, `layers[layer][direction]`."""
        return tuple(tuple(cell.parameters(self.variables) for cell in layer) for layer in self.cells)

    def summary(self) -> SummaryTable:
        """Return the names, shapes and counts of the variables, with their total."""
        return SummaryTable.of(self.shapes)

    def run(
        self,
        x: Array | Sequence[ArrayLike],
        lengths: ArrayLike | None = None,
        state: State | None = None,
        output: str | None = None,
    ) -> tuple[Array, State]:
        """Scale the series, run every layer and, for a classifier, the head.

        Args:
            x: `[N, T, C]`, or a list of `[T_i, C]`; one channel may also come as `[N, T]`.
            lengths: `[N]`, the steps of each case in an array `x`; None where every step counts.
            state: the starting state, as a former call returned it; None for zeros.
            output: `logits [N, K]`, `probabilities [N, K]` (softmax), or `outputs [N, T, F]`, the top layer's, zero
                past each case's end. By default the logits, or the outputs of a model without a head.

        Returns:
            The result in float32 and the final state, `state[layer][direction] = (c [N, H], h [N, P])`.

        Raises:
            InputError: `x`, `lengths`, `state` or `output` do not fit the model; says what to do.
        """
        output = self._choose(output)
        self._check_chain()
        x, steps = accept(x, lengths, self.inputs)
        values = x.astype(np.float32) if self.scaling is None else self.scaling.apply(x)
        if self.scaling is not None and steps is not None:
            values[np.arange(values.shape[1]) >= steps[:, None]] = 0.0
        states = self._starting_states(state, len(values))
        final = []
        for cells, start in zip(self.layers, states, strict=True):
            directions = [lstm(values, cell, one, steps) for cell, one in zip(cells, start, strict=True)]
            values = np.concatenate([outputs for outputs, _ in directions], axis=2, dtype=np.float32)
            final.append(tuple(end for _, end in directions))
        if output == "outputs" or self.head is None:
            return values, tuple(final)
        top = np.concatenate([h for _, h in final[-1]], axis=1)
        query = None if self.head.query is None else self.variables[self.head.query]
        features = pool(values, top, steps, self.head.pool, query)
        logits = dense(features, self.variables[self.head.weights], self.variables[self.head.biases])
        return softmax(logits) if output == "probabilities" else logits, tuple(final)

    def _check_chain(self) -> None:
        width = self.inputs
        for k, layer in enumerate(self.cells):
            for cell in layer:
                if cell.inputs != width:
                    raise InputError(
                        f"{self.source or 'model'}: {cell.kernel} reads {cell.inputs} numbers, layer {k - 1} gives "
                        f"{width}: these layers are not one chain and cannot be run as one network"
                    )
            width = sum(cell.state_width for cell in layer)

    def _choose(self, output: str | None) -> str:
        if output is None:
            return "outputs" if self.head is None else "logits"
        if output not in OUTPUTS:
            raise InputError(f"output: {output!r} is not known, {suggest(output, OUTPUTS)}")
        if self.head is None and output != "outputs":
            raise InputError(f"output: found {output!r}, expected 'outputs', since this model has no classifier head")
        return output

    def _starting_states(self, state: State | None, N: int) -> Sequence[Sequence[tuple[Array, Array] | None]]:
        if state is None:
            return [[None] * len(layer) for layer in self.cells]
        found = [len(layer) for layer in state]
        expected = [len(layer) for layer in self.cells]
        if found != expected:
            raise InputError(f"state: found {found} directions by layer, expected {expected}")
        for k, (cells, pairs) in enumerate(zip(self.cells, state, strict=True)):
            for d, (cell, (c, h)) in enumerate(zip(cells, pairs, strict=True)):
                for name, one, width in (("c", c, cell.units), ("h", h, cell.state_width)):
                    if np.shape(one) != (N, width):
                        place = f"state[{k}][{d}]"
                        raise InputError(f"{place}: found {name} of shape {np.shape(one)}, expected {(N, width)}")
        return state
