"""What a network is once it is loaded: its variables, its cells, and running them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError, suggest
from quadgate.kernels import gru, lstm
from quadgate.kernels.head import Head as PackedHead
from quadgate.model.assumption import Assumption
from quadgate.model.cell import Cell
from quadgate.model.described import check_classes, check_described
from quadgate.model.network import Head, Network
from quadgate.model.scaling import Scaling
from quadgate.model.series import accept
from quadgate.model.summary import SummaryTable
from quadgate.model.variables import Variables

if TYPE_CHECKING:
    from quadgate.streaming import Stream, Streams

Array = NDArray[Any]
State = tuple[tuple[tuple[Array, ...], ...], ...]
"""`state[layer][direction]`, forward before backward: `(c [N, H], h [N, P])` of an LSTM, `(h [N, H],)` of a GRU."""

OUTPUTS = ("logits", "probabilities", "outputs")


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A network and its numbers, whatever file they came from; nothing here imports a deep-learning framework.

    Attributes:
        network: the architecture, where it is one that quadgate builds; None for a GRU, peepholes, projections, clips,
            or layers that differ.
        variables: ordered names and arrays, as the file has them.
        labels: the name of each class, or None.
        channels: the name of each input channel, or None.
        scaling: applied to every series before the first layer, or None.
        assumptions: what the file does not say and was taken for granted.
        left_out: what the file holds and `run` does not use, and why.
        source: where the model came from.
        cells: each layer's cells, forward before backward; taken from `network` where not given.
        head: what follows the last of them, or None; taken from `network` where `cells` is not given.
        chains: how many layers belong to each chain, in which every layer reads the one before it; one chain of all
            where not given. A file of two networks, or of an encoder and a decoder, has several.

    Raises:
        InputError: a variable is missing or has another shape, labels, channels or scaling have another length, or a
            layer cannot read the one before it.

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
    assumptions: tuple[Assumption, ...] = ()
    source: str = ""
    left_out: tuple[str, ...] = ()
    cells: tuple[tuple[Cell, ...], ...] = ()
    head: Head | None = None
    chains: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", Variables(self.variables))
        if not self.cells:
            if self.network is None:
                raise InputError("model: found neither a network nor cells, expected one of them")
            object.__setattr__(self, "cells", self.network.cells)
            object.__setattr__(self, "head", self.network.head)
        object.__setattr__(self, "chains", self.chains or (len(self.cells),))
        self._check_shapes()
        check_described(self.labels, self.channels, self.scaling, self.classes, self.inputs)
        self._check_chains()

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
    def layers(self) -> tuple[tuple[LSTMParameters | GRUParameters, ...], ...]:
        """The numbers of each layer's cells in the normal form, `layers[layer][direction]`."""
        return tuple(tuple(cell.parameters(self.variables) for cell in layer) for layer in self.cells)

    def summary(self) -> SummaryTable:
        """Return the names, shapes and counts of the variables, with their total, and the arithmetic of the layers.

        A variable of TensorFlow's is printed as TensorFlow prints it, with `:0`, its number as an output.
        """
        output = ":0" if self.cells[0][0].layout.startswith("tf") else ""
        return SummaryTable.of(
            {f"{name}{output}": shape for name, shape in self.shapes.items()},
            {cell.name: cell.arithmetic for layer in self.cells for cell in layer},
        )

    def chain(self, number: int) -> Model:
        """Return the model of one chain of layers alone; the head goes with the last one.

        Raises:
            InputError: there is no such chain.
        """
        if not 0 <= number < len(self.chains):
            raise InputError(f"chain: found {number}, expected 0 to {len(self.chains) - 1}")
        start = sum(self.chains[:number])
        cells = self.cells[start : start + self.chains[number]]
        head = self.head if number == len(self.chains) - 1 else None
        used = {name for cell in (cell for layer in cells for cell in layer) for name in cell.shapes}
        used.update({} if head is None else head.shapes)
        names = {cell.name for layer in cells for cell in layer}
        return replace(
            self,
            network=Network.describing(cells, head),
            variables=Variables(self.variables).only(used),
            cells=cells,
            head=head,
            chains=(len(cells),),
            assumptions=tuple(one for one in self.assumptions if not one.cells or names & set(one.cells)),
            labels=self.labels if head is not None else None,
        )

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
            state: the starting state, as a former call returned it (see `State`); None for zeros.
            output: `logits [N, K]`, `probabilities [N, K]` (softmax), or `outputs [N, T, F]`, the top layer's, zero
                past each case's end. By default the logits, or the outputs of a model without a head.

        Returns:
            The result in float32 and the final state, `state[layer][direction]`: `(c [N, H], h [N, P])` of an LSTM,
            `(h [N, H],)` of a GRU.

        Raises:
            InputError: `x`, `lengths`, `state` or `output` do not fit the model, or its layers are not one chain; says
                what to do.
        """
        head, probabilities = self.head_for(output)
        x, steps = accept(x, lengths, self.inputs)
        values = x.astype(np.float32) if self.scaling is None else self.scaling.apply(x)
        if self.scaling is not None and steps is not None:
            values[np.arange(values.shape[1]) >= steps[:, None]] = 0.0
        states = self._starting_states(state, len(values))
        final = []
        for cells, start in zip(self.layers, states, strict=True):
            directions = [_run_cell(values, cell, one, steps) for cell, one in zip(cells, start, strict=True)]
            values = np.concatenate([outputs for outputs, _ in directions], axis=2, dtype=np.float32)
            final.append(tuple(end for _, end in directions))
        if head is None:
            return values, tuple(final)
        top = np.concatenate([end[-1] for end in final[-1]], axis=1)
        return head.run(values, steps, top, probabilities), tuple(final)

    def stream(self, output: str | None = None) -> Stream:
        """Return a stream, which takes one sample after the other; see `quadgate.streaming.Stream`."""
        from quadgate.streaming import Stream

        return Stream(self, output)

    def streams(self, number: int, output: str | None = None) -> Streams:
        """Return many streams, which take their samples together; see `quadgate.streaming.Streams`."""
        from quadgate.streaming import Streams

        return Streams(self, number, output)

    def head_for(self, output: str | None) -> tuple[PackedHead | None, bool]:
        """Return the head that `output` needs, packed, and whether its answers are probabilities.

        Raises:
            InputError: `output` is not known, or the layers are not one chain.
        """
        output = self._choose(output)
        self._check_one_chain()
        if output == "outputs" or self.head is None:
            return None, False
        weights = self.variables[self.head.weights]
        return PackedHead(
            self.head.pool,
            None if self.head.query is None else self.variables[self.head.query],
            weights.T if self.head.transposed else weights,
            None if self.head.biases is None else self.variables[self.head.biases],
        ), output == "probabilities"

    def _check_chains(self) -> None:
        if min(self.chains) < 1 or sum(self.chains) != len(self.cells) or not all(self.cells):
            raise InputError(f"chains: found {self.chains} for {len(self.cells)} layers, expected their number each")
        ends = set(accumulate(self.chains))
        for k, (before, layer) in enumerate(pairwise(self.cells), start=1):
            width = sum(cell.width for cell in before)
            for cell in layer if k not in ends else ():
                if cell.inputs != width:
                    raise InputError(
                        f"{cell.name}: reads {cell.inputs} numbers, {before[0].name} before it gives {width}"
                    )

    def _check_one_chain(self) -> None:
        if len(self.chains) > 1:
            starts = [0, *accumulate(self.chains)][:-1]
            names = ", ".join(f"{k}: {self.cells[start][0].name}" for k, start in enumerate(starts))
            raise InputError(
                f"{self.source or 'model'}: its layers are {len(self.chains)} separate chains ({names}) and cannot be "
                "run as one network; run one of them: model.chain(0).run(x)"
            )

    def _choose(self, output: str | None) -> str:
        if output is None:
            return "outputs" if self.head is None else "logits"
        if output not in OUTPUTS:
            raise InputError(f"output: {output!r} is not known, {suggest(output, OUTPUTS)}")
        if self.head is None and output != "outputs":
            raise InputError(f"output: found {output!r}, expected 'outputs', since this model has no classifier head")
        check_classes(output, self.classes, self.source)
        return output

    def _starting_states(self, state: State | None, N: int) -> Sequence[Sequence[tuple[Array, ...] | None]]:
        if state is None:
            return [[None] * len(layer) for layer in self.cells]
        found = [len(layer) for layer in state]
        expected = [len(layer) for layer in self.cells]
        if found != expected:
            raise InputError(f"state: found {found} directions by layer, expected {expected}")
        for k, (cells, given) in enumerate(zip(self.cells, state, strict=True)):
            for d, (cell, arrays) in enumerate(zip(cells, given, strict=True)):
                widths = {"h": cell.width} if cell.kind == "gru" else {"c": cell.units, "h": cell.width}
                place = f"state[{k}][{d}]"
                if len(arrays) != len(widths):
                    raise InputError(f"{place}: found {len(arrays)} arrays, expected ({', '.join(widths)})")
                for (name, width), one in zip(widths.items(), arrays, strict=True):
                    if np.shape(one) != (N, width):
                        raise InputError(f"{place}: found {name} of shape {np.shape(one)}, expected {(N, width)}")
        return state


def _run_cell(
    x: Array, parameters: LSTMParameters | GRUParameters, state: tuple[Array, ...] | None, steps: Array | None
) -> tuple[Array, tuple[Array, ...]]:
    """Run one layer in one direction."""
    if isinstance(parameters, LSTMParameters):
        return lstm(x, parameters, None if state is None else (state[0], state[1]), steps)
    outputs, h = gru(x, parameters, None if state is None else state[0], steps)
    return outputs, (h,)
