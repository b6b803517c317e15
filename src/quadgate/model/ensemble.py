"""Networks that answer together: series read in patches, convolutions beside the LSTM, averaged probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from quadgate.errors import InputError, suggest
from quadgate.kernels.pooling import softmax
from quadgate.model.cell import Cell
from quadgate.model.described import check_classes, check_described
from quadgate.model.model import Model
from quadgate.model.scaling import Scaling
from quadgate.model.series import accept
from quadgate.model.summary import SummaryTable

if TYPE_CHECKING:
    from quadgate.streaming import Stream, Streams

Array = NDArray[Any]
OUTPUTS = ("logits", "probabilities")


@dataclass(frozen=True)
class Patches:
    """How a series is cut: a patch of `length` steps begins every `stride` steps; its steps stand side by side.

    Raises:
        InputError: not 1 <= stride <= length.

    >>> Patches(4, 2).apply(np.arange(6.0)[:, None]).tolist()
    [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]]
    >>> Patches(4, 2).apply(np.ones((1, 1))).tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """

    length: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise InputError(
                f"patches: found length {self.length} and stride {self.stride}, expected 1 <= stride <= length"
            )

    def count(self, steps: int) -> int:
        """Return the number of patches of a series of so many steps."""
        return steps if self.length == 1 else max(1, -(-(steps - self.length) // self.stride) + 1)

    def apply(self, series: Array) -> Array:
        """Cut `[T, C]` into `[P, length * C]`; zeros fill the last patch up, so that every step is in one."""
        if self.length == 1:
            return series
        T = len(series)
        patches = self.count(T)
        missing = max(0, (patches - 1) * self.stride + self.length - T)
        filled = np.pad(series, ((0, missing), (0, 0)))
        windows = sliding_window_view(filled, self.length, axis=0)[:: self.stride]  # [P, C, length]
        return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(patches, -1)


@dataclass(frozen=True, eq=False)
class Convolutions:
    """The branch beside the LSTM: convolutions with rectifiers, the mean over the steps, one dense layer (Wang 2017).

    Attributes:
        kernels: of each convolution `[k, C, F]`, k odd; as many steps go out as came in, zeros beyond the ends.
        biases: of each, `[F]`; batch normalisation is folded into both.
        weights: `[F, K]` of the dense layer. It has no bias: the LSTM's own is added to the same logits.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    weights: Array

    def run(self, series: Array) -> Array:
        """Return the logits `[K]` of one series `[T, C]`, which depend on nothing but the series."""
        values = series.astype(np.float32)
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            k, C, F = kernel.shape
            padded = np.pad(values, ((k // 2, k // 2), (0, 0)))
            windows = sliding_window_view(padded, k, axis=0).transpose(0, 2, 1).reshape(len(values), k * C)
            values = np.maximum(windows @ kernel.reshape(k * C, F) + bias, 0)
        return np.asarray(values.mean(axis=0) @ self.weights)


@dataclass(frozen=True, eq=False)
class Member:
    """One network: an LSTM with its head, and convolutions whose logits are added to it, or None."""

    model: Model
    convolutions: Convolutions | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Networks whose answers are averaged; with `Patches` also a single one that does not read step by step.

    It is what `quadgate train` leaves where one `Model` cannot say it all. It needs no torch. It streams where every
    member reads forward and has no convolutions beside it. No other framework's file holds it.

    Attributes:
        members: the networks, which read `patches.length * C` numbers at each of their steps.
        patches: how a series is cut for all of them.
        labels: the name of each class, or None.
        channels: the name of each channel, or None.
        scaling: applied to every series before it is cut, or None.
        source: where it came from.

    Raises:
        InputError: members that do not fit each other, or labels, channels or scaling of another length.

    >>> from quadgate.model import Network
    >>> network = Network(inputs=4, units=1, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> ensemble = Ensemble((Member(model),), Patches(4, 2))
    >>> ensemble.inputs, ensemble.run(np.zeros((3, 5, 1)), output="probabilities")[0].tolist()
    (1, [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    """

    members: tuple[Member, ...]
    patches: Patches = Patches()
    labels: tuple[str | int, ...] | None = None
    channels: tuple[str, ...] | None = None
    scaling: Scaling | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not self.members:
            raise InputError("ensemble: found no member, expected at least one")
        sizes = {(member.model.inputs, member.model.classes) for member in self.members}
        if len(sizes) > 1 or self.classes is None or self.members[0].model.inputs % self.patches.length:
            raise InputError(
                f"ensemble: found members of (inputs, classes) {sorted(map(str, sizes))} on patches of "
                f"{self.patches.length} steps, expected equal classifiers that read whole patches"
            )
        check_described(self.labels, self.channels, self.scaling, self.classes, self.inputs)

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self.members)} from {self.source or 'memory'}>"

    @property
    def inputs(self) -> int:
        """C, the number of channels of a series."""
        return self.members[0].model.inputs // self.patches.length

    @property
    def classes(self) -> int | None:
        """K, the number of classes."""
        return self.members[0].model.classes

    @property
    def variables(self) -> dict[str, Array]:
        """Every number, by a name that begins with the number of its member."""
        found: dict[str, Array] = {}
        for number, member in enumerate(self.members):
            found |= {f"{number}/{name}": member.model.variables[name] for name in member.model.variables}
            if member.convolutions is not None:
                branch = member.convolutions
                for layer, (kernel, bias) in enumerate(zip(branch.kernels, branch.biases, strict=True)):
                    found |= {
                        f"{number}/convolution_{layer}/kernel": kernel,
                        f"{number}/convolution_{layer}/bias": bias,
                    }
                found[f"{number}/convolution_out/weights"] = branch.weights
        return found

    @property
    def recurrent(self) -> Model:
        """The recurrent layers of all members as one model: a chain of layers each, named as in `variables`."""
        layers: list[tuple[Cell, ...]] = []
        chains = []
        for number, member in enumerate(self.members):
            chains.append(len(member.model.cells))
            layers += [tuple(_numbered(cell, number) for cell in cells) for cells in member.model.cells]
        used = {name for cells in layers for cell in cells for name in cell.shapes}
        channels = self.channels
        if channels is not None and self.patches.length > 1:
            channels = tuple(f"{name}, step {step}" for step in range(self.patches.length) for name in channels)
        return Model(
            network=None,
            variables={name: array for name, array in self.variables.items() if name in used},
            channels=channels,
            source=self.source,
            cells=tuple(layers),
            chains=tuple(chains),
        )

    def summary(self) -> SummaryTable:
        """Return the names, shapes and counts of the variables, with their total, and the arithmetic of the layers."""
        cells = (cell for layer in self.recurrent.cells for cell in layer)
        return SummaryTable.of(
            {name: array.shape for name, array in self.variables.items()}, {one.name: one.arithmetic for one in cells}
        )

    def run(
        self, x: Array | Sequence[ArrayLike], lengths: ArrayLike | None = None, output: str | None = None
    ) -> tuple[Array, tuple[()]]:
        """Return what all members say together.

        Args:
            x: `[N, T, C]`, or a list of `[T_i, C]`; one channel may also come as `[N, T]`.
            lengths: `[N]`, the steps of each case in an array `x`; None where every step counts.
            output: `logits [N, K]`, the logarithm of the probabilities (of a single member, its logits; of a quantity,
                the mean of the members'), which is the default, or `probabilities [N, K]`, the mean of the members'.

        Returns:
            The result in float32, and an empty state, as a `Model` returns its own.

        Raises:
            InputError: `x`, `lengths` or `output` do not fit.
        """
        output = self.choose(output)
        cut = self.cut(x, lengths)
        return self.together([_run(member, cut, self.asked_of_members(output)) for member in self.members], output), ()

    def stream(self, output: str | None = None) -> Stream:
        """Return a stream, which takes one sample after the other and has the bits of `run`; see `quadgate.streaming`.

        Raises:
            InputError: a member needs steps that have not come yet; says which and what to do.
        """
        from quadgate.streaming import Stream

        return Stream(self, output)

    def streams(self, number: int, output: str | None = None) -> Streams:
        """Return many streams, which take their samples together, as `stream`."""
        from quadgate.streaming import Streams

        return Streams(self, number, output)

    def choose(self, output: str | None) -> str:
        """Return `output`, or what it is by default.

        Raises:
            InputError: it is not known.
        """
        if output is None:
            return "logits"
        if output not in OUTPUTS:
            raise InputError(f"output: {output!r} is not known, {suggest(output, OUTPUTS)}")
        check_classes(output, self.classes, self.source)
        return output

    def asked_of_members(self, output: str) -> str:
        """Return what each member is asked for: its probabilities, or what is wanted where no mean of them is taken."""
        return output if len(self.members) == 1 or self.classes == 1 else "probabilities"

    def together(self, answers: list[Array], output: str) -> Array:
        """Return what comes of the members' answers `[N, K]` to `asked_of_members(output)`."""
        if len(answers) == 1:
            return answers[0]
        mean: Array = np.stack(answers).mean(axis=0, dtype=np.float32)
        if self.classes == 1:  # a quantity
            return mean
        return np.log(np.maximum(mean, np.finfo(np.float32).tiny)) if output == "logits" else mean

    def cut(self, x: Array | Sequence[ArrayLike], lengths: ArrayLike | None = None) -> list[Array]:
        """Return what the members read of each case: scaled, and cut into patches `[P, length * C]`.

        Raises:
            InputError: as `run`.
        """
        values, steps = accept(x, lengths, self.inputs)
        scaled = values.astype(np.float32) if self.scaling is None else self.scaling.apply(values)
        ends = np.full(len(scaled), scaled.shape[1]) if steps is None else steps
        return [self.patches.apply(one[:end]) for one, end in zip(scaled, ends, strict=True)]


def _run(member: Member, cut: list[Array], output: str) -> Array:
    """Return what one member says of series that are cut already."""
    if member.convolutions is None:
        return member.model.run(cut, output=output)[0]
    logits = member.model.run(cut, output="logits")[0] + np.stack([member.convolutions.run(one) for one in cut])
    return logits if output == "logits" else softmax(logits)


def _numbered(cell: Cell, number: int) -> Cell:
    """Name a cell and its variables as `Ensemble.variables` does."""
    tensors = tuple((tensor, f"{number}/{variable}") for tensor, variable in cell.tensors)
    return replace(cell, name=f"{number}/{cell.name}", tensors=tensors)
