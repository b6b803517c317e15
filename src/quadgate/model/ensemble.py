"""Networks that answer together: series read in patches, convolutions beside the LSTM, averaged probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from quadgate.errors import InputError
from quadgate.kernels.pooling import softmax
from quadgate.model.model import Model
from quadgate.model.scaling import Scaling
from quadgate.model.series import accept

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

    def apply(self, series: Array) -> Array:
        """Cut `[T, C]` into `[P, length * C]`; zeros fill the last patch up, so that every step is in one."""
        if self.length == 1:
            return series
        T = len(series)
        patches = max(1, -(-(T - self.length) // self.stride) + 1)
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
    """Networks whose probabilities are averaged; with `Patches` also a single one that does not read step by step.

    It is what `quadgate train` leaves where one `Model` cannot say it all. It needs no torch. It neither streams nor
    converts: its answer is that of a whole series.

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
        for name, values, expected in (
            ("labels", self.labels, self.classes),
            ("channels", self.channels, self.inputs),
            ("scaling", None if self.scaling is None else self.scaling.mean, self.inputs),
        ):
            if values is not None and len(values) != expected:
                raise InputError(f"{name}: found {len(values)}, expected {expected}")

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

    def run(
        self, x: Array | Sequence[ArrayLike], lengths: ArrayLike | None = None, output: str = "logits"
    ) -> tuple[Array, tuple[()]]:
        """Return what all members say together.

        Args:
            x: `[N, T, C]`, or a list of `[T_i, C]`; one channel may also come as `[N, T]`.
            lengths: `[N]`, the steps of each case in an array `x`; None where every step counts.
            output: `probabilities [N, K]`, the mean of the members', or `logits`, their logarithm (of a single member,
                its logits).

        Returns:
            The result in float32, and an empty state, as a `Model` returns its own.

        Raises:
            InputError: `x`, `lengths` or `output` do not fit.
        """
        if output not in OUTPUTS:
            raise InputError(f"output: found {output!r}, expected 'probabilities' or 'logits'")
        cut = self.cut(x, lengths)
        logits = [self._logits(member, cut) for member in self.members]
        if output == "logits" and len(logits) == 1:
            return logits[0], ()
        total: Array = np.stack([softmax(one) for one in logits]).mean(axis=0, dtype=np.float32)
        if output == "logits":
            total = np.log(np.maximum(total, np.finfo(np.float32).tiny))
        return total, ()

    def cut(self, x: Array | Sequence[ArrayLike], lengths: ArrayLike | None = None) -> list[Array]:
        """Return what the members read of each case: scaled, and cut into patches `[P, length * C]`.

        Raises:
            InputError: as `run`.
        """
        values, steps = accept(x, lengths, self.inputs)
        scaled = values.astype(np.float32) if self.scaling is None else self.scaling.apply(values)
        ends = np.full(len(scaled), scaled.shape[1]) if steps is None else steps
        return [self.patches.apply(one[:end]) for one, end in zip(scaled, ends, strict=True)]

    def _logits(self, member: Member, cut: list[Array]) -> Array:
        found = member.model.run(cut, output="logits")[0]
        if member.convolutions is not None:
            found = found + np.stack([member.convolutions.run(one) for one in cut])
        return found
