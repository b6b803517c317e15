"""How the series of a run become examples, what network is trained on them, and what of it is saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from quadgate.data import Sequences, fit_scaling
from quadgate.data.parquet import Part
from quadgate.data.resolution import GREATEST, NOISE, lost
from quadgate.errors import InputError
from quadgate.model import Ensemble, Member, Model, Patches, Scaling
from quadgate.modules import LSTMFCN, BasicLSTM, SequenceClassifier
from quadgate.modules.exchange import from_member, to_member, to_model
from quadgate.training.chance import drawn_from
from quadgate.training.examples import Examples, placed
from quadgate.training.memory import recompute_every
from quadgate.training.settings import Settings
from quadgate.training.streamed import Streamed

KEPT = ("units", "layers", "bidirectional", "pool", "forget_bias")  # of a network that is trained further


@dataclass(frozen=True, eq=False)
class Start:
    """A trained network to go on with.

    Attributes:
        model: of one or several networks; its scaling of the channels and its patches are kept.
        epochs: that it was trained for; the next one draws the chance of the epoch after them.
        mean, scale: of the quantity that it learned, which are kept too; 0 and 1 for classes.
    """

    model: Model | Ensemble
    epochs: int = 0
    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Blueprint:
    """What a run decides once, from its training part or from the model that it goes on with.

    Attributes:
        scaling: of the channels.
        patches: how a series is cut.
        classes: `[K]`, what the outputs stand for; empty where a quantity is predicted.
        mean, scale: of that quantity: the network learns `(value - mean) / scale`, and what is saved undoes it.
        longest: steps of the longest series, cut.
        start: what to go on with, or None to draw the first weights.
    """

    scaling: Scaling
    patches: Patches
    classes: NDArray[Any]
    mean: float
    scale: float
    longest: int
    start: Start | None = None

    @classmethod
    def of(
        cls,
        sequences: Sequences | Part,
        settings: Settings,
        classes: ArrayLike | None = None,
        start: Start | None = None,
    ) -> Blueprint:
        """Decide; `classes` are those of the cases where they are not given.

        Raises:
            InputError: `start` cannot be trained further with these settings.
        """
        steps = sequences.longest if isinstance(sequences, Part) else int(sequences.lengths.max())
        stride = settings.stride(steps)
        patches = Patches() if stride == 1 else Patches(2 * stride, stride)
        scaling = None
        if start is not None:
            _check_start(start.model, settings, sequences)
            scaling = start.model.scaling
            patches = start.model.patches if isinstance(start.model, Ensemble) else Patches()
        mean, scale = (0.0, 1.0) if start is None else (start.mean, start.scale)
        if start is None and isinstance(sequences, Sequences) and sequences.values is not None:
            mean, scale = _mean_and_scale(sequences.values)
        return cls(
            scaling=scaling or (sequences.scaling() if isinstance(sequences, Part) else fit_scaling(sequences)),
            patches=patches,
            classes=sequences.classes if classes is None else np.asarray(classes),
            mean=mean,
            scale=scale,
            longest=patches.count(steps),
            start=start,
        )

    def examples(self, sequences: Sequences) -> Examples:
        """Scale and cut series, and number their classes (or scale their quantities)."""
        series = tuple(self.patches.apply(self.scaling.apply(one)) for one in sequences.series)
        if sequences.values is not None:
            return Examples(series, ((sequences.values - self.mean) / self.scale).astype(np.float32), sequences.weights)
        targets = self._numbered(np.asarray(sequences.labels))
        steps = None if sequences.step_labels is None else tuple(map(self._numbered, sequences.step_labels))
        return Examples(series, targets, sequences.weights, steps)

    def data(self, cases: Sequences | Part) -> Examples | Streamed:
        """Return what a network learns from: made at once, or of a part on the disk as it is read."""
        return Streamed(cases, self.examples, self.patches.count) if isinstance(cases, Part) else self.examples(cases)

    def _numbered(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Return the number of each label; a row group whose names are all numbers has them as numbers."""
        return np.searchsorted(self.classes, labels.astype(self.classes.dtype)).astype(np.int64)

    def build(self, settings: Settings, every: Examples, number: int = 0) -> SequenceClassifier | LSTMFCN:
        """Make member `number` before this run trains it; new weights are drawn from the seed alone.

        Args:
            settings: of the member.
            every: all examples of the run, by which a trained network finds its normalisation again.
            number: of the member.

        Raises:
            InputError: the device is not there.
        """
        if settings.device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"device: found {settings.device!r}, but no GPU is usable here; quadgate doctor says why")
        module = self._drawn(settings) if self.start is None else self._started(self.start, settings, number)
        module = module.to(settings.device, torch.float64 if settings.precision == "float64" else torch.float32)
        for layer in module.modules():
            if isinstance(layer, BasicLSTM):
                layer.recompute_every = recompute_every(settings, self.longest)
        if self.start is not None and isinstance(module, LSTMFCN):
            module.convolutions.settle(_in_batches(every, settings.batch_size, module))
        return module

    def model(self, modules: Sequence[nn.Module], sequences: Sequences | Part) -> Model | Ensemble:
        """Return what is saved: one network that reads step by step is a Model, all else an Ensemble."""
        is_quantity = isinstance(sequences, Sequences) and sequences.values is not None
        labels = None if is_quantity else tuple(self.classes.tolist())
        source = f"quadgate train on {sequences.source}"
        whole = [self._undone(module) for module in modules]
        if len(whole) == 1 and isinstance(whole[0], SequenceClassifier) and self.patches.length == 1:
            return to_model(whole[0], labels, sequences.channels, self.scaling, source)
        members = tuple(to_member(module.eval()) for module in whole)
        return Ensemble(members, self.patches, labels, sequences.channels, self.scaling, source)

    def _drawn(self, settings: Settings) -> SequenceClassifier | LSTMFCN:
        with drawn_from(settings.seed):
            lstm = SequenceClassifier(
                inputs=len(self.scaling.mean) * self.patches.length,
                units=settings.units,
                classes=max(1, len(self.classes)),
                layers=settings.layers,
                bidirectional=settings.bidirectional,
                pool=settings.pool,
                forget_bias=settings.forget_bias,
                dropout=settings.dropout,
                initializer=settings.initializer,
                longest=self.longest,
                head=settings.head,
                chunk=settings.chunk,
            )
            return LSTMFCN(lstm, settings.filters) if settings.filters else lstm

    def _started(self, start: Start, settings: Settings, number: int) -> SequenceClassifier | LSTMFCN:
        """Return the module of a trained network, which learns the scaled quantity again where it is one."""
        whole = start.model
        module = from_member(whole.members[number] if isinstance(whole, Ensemble) else Member(whole))
        lstm = module.lstm if isinstance(module, LSTMFCN) else module
        lstm.dropout.p, lstm.chunk = settings.dropout, settings.chunk
        with torch.no_grad():
            lstm.weights.div_(self.scale)
            lstm.biases.sub_(self.mean).div_(self.scale)
            if module is not lstm:
                module.weights.div_(self.scale)
        return module

    def _undone(self, module: Any) -> Any:
        """Return the module with the scaling of a quantity put into its head."""
        if (self.mean, self.scale) == (0.0, 1.0):
            return module
        module = deepcopy(module)
        lstm = module.lstm if isinstance(module, LSTMFCN) else module
        with torch.no_grad():
            lstm.weights.mul_(self.scale)
            lstm.biases.mul_(self.scale).add_(self.mean)
            if module is not lstm:
                module.weights.mul_(self.scale)
        return module


def _mean_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return what is taken off a quantity to learn and what it is divided by.

    Raises:
        InputError: float32, in which a network answers, does not hold the quantity or tell its values apart.
    """
    most = float(np.abs(values).max())
    if most > GREATEST:
        raise InputError(f"y: found {most:g}, expected at most {GREATEST:g}, the largest of float32; divide it first")
    coarse = lost(values)
    if coarse is not None:
        raise InputError(f"y: {coarse}")
    mean, scale = float(values.mean()), float(values.std())
    return mean, scale if scale > NOISE * most else 1.0  # all the same, but for rounding


def _in_batches(every: Examples, size: int, module: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Return all examples, `x [n, T, C]` and `lengths [n]` at a time, where the module is."""
    for indices in np.split(np.argsort(every.lengths, kind="stable"), range(size, len(every), size)):
        x, lengths, _ = every.batch(indices)
        yield placed(x, module), placed(lengths, module)


def _check_start(start: Model | Ensemble, settings: Settings, sequences: Sequences | Part) -> None:
    """Refuse a model that cannot be trained further: another network than the settings ask for, or other channels."""
    members = start.members if isinstance(start, Ensemble) else (Member(start),)
    asked = {name: getattr(settings, name) for name in (*KEPT, "filters", "members")}
    asked |= {"channels": len(sequences.channels)}
    for member in members:
        filters = 0 if member.convolutions is None else member.convolutions.weights.shape[0]
        found = {name: getattr(member.model.network, name, None) for name in KEPT}
        found |= {"filters": filters, "members": len(members), "channels": start.inputs}
        for name, value in asked.items():
            if found[name] != value:
                raise InputError(
                    f"{name}: found {value!r}, but the network to train further has {found[name]!r}; keep it, or fit "
                    "anew (warm_start=False)"
                )
