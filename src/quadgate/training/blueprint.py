"""How the series of a run become examples, what network is trained on them, and what of it is saved."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from quadgate.data import Sequences, fit_scaling
from quadgate.errors import InputError
from quadgate.model import Ensemble, Model, Patches, Scaling
from quadgate.modules import LSTMFCN, SequenceClassifier
from quadgate.modules.exchange import from_model, to_member, to_model
from quadgate.training.examples import Examples
from quadgate.training.settings import Settings

KEPT = ("units", "layers", "bidirectional", "pool", "forget_bias")  # of a network that is trained further


@dataclass(frozen=True, eq=False)
class Blueprint:
    """What a run decides once, from its training part or from the model that it goes on with.

    Attributes:
        scaling: of the channels.
        patches: how a series is cut.
        classes: `[K]`, what the outputs stand for; empty where a quantity is predicted.
        mean, scale: of that quantity: the network learns `(value - mean) / scale`, and what is saved undoes it.
        longest: steps of the longest series, cut.
        start: the model to go on with, or None to draw the first weights.
    """

    scaling: Scaling
    patches: Patches
    classes: NDArray[Any]
    mean: float
    scale: float
    longest: int
    start: Model | Ensemble | None = None

    @classmethod
    def of(
        cls,
        sequences: Sequences,
        settings: Settings,
        classes: ArrayLike | None = None,
        start: Model | Ensemble | None = None,
    ) -> Blueprint:
        """Decide; `classes` are those of the cases where they are not given.

        Raises:
            InputError: `start` cannot be trained further with these settings.
        """
        steps = int(sequences.lengths.max())
        stride = settings.stride(steps)
        patches = Patches() if stride == 1 else Patches(2 * stride, stride)
        scaling = None
        if start is not None:
            _check_start(start, settings, sequences)
            scaling = start.scaling
            patches = start.patches if isinstance(start, Ensemble) else Patches()
        mean, scale = 0.0, 1.0
        if sequences.values is not None:
            mean, scale = float(sequences.values.mean()), float(sequences.values.std())
            if scale <= 1e-6 * np.abs(sequences.values).max():  # all the same, but for rounding
                scale = 1.0
        return cls(
            scaling=scaling or fit_scaling(sequences),
            patches=patches,
            classes=sequences.classes if classes is None else np.asarray(classes),
            mean=mean,
            scale=scale,
            longest=len(patches.apply(np.zeros((steps, 1), np.float32))),
            start=start,
        )

    def examples(self, sequences: Sequences) -> Examples:
        """Scale and cut series, and number their classes (or scale their quantities)."""
        series = tuple(self.patches.apply(self.scaling.apply(one)) for one in sequences.series)
        if sequences.values is not None:
            return Examples(series, ((sequences.values - self.mean) / self.scale).astype(np.float32), sequences.weights)
        targets = np.searchsorted(self.classes, np.asarray(sequences.labels)).astype(np.int64)
        steps = None
        if sequences.step_labels is not None:
            steps = tuple(np.searchsorted(self.classes, one).astype(np.int64) for one in sequences.step_labels)
        return Examples(series, targets, sequences.weights, steps)

    def build(self, settings: Settings, number: int = 0) -> SequenceClassifier | LSTMFCN:
        """Make member `number` before this run trains it; new weights are drawn from the seed alone.

        Raises:
            InputError: the device is not there.
        """
        if settings.device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"device: found {settings.device!r}, but no GPU is usable here; quadgate doctor says why")
        module = self._drawn(settings) if self.start is None else self._started(self.start, settings, number)
        return module.to(settings.device, torch.float64 if settings.precision == "float64" else torch.float32)

    def model(self, modules: Sequence[nn.Module], sequences: Sequences) -> Model | Ensemble:
        """Return what is saved: one network that reads step by step is a Model, all else an Ensemble."""
        labels = None if sequences.values is not None else tuple(self.classes.tolist())
        source = f"quadgate train on {sequences.source}"
        whole = [self._undone(module) for module in modules]
        if len(whole) == 1 and isinstance(whole[0], SequenceClassifier) and self.patches.length == 1:
            return to_model(whole[0], labels, sequences.channels, self.scaling, source)
        members = tuple(to_member(module.eval()) for module in whole)
        return Ensemble(members, self.patches, labels, sequences.channels, self.scaling, source)

    def _drawn(self, settings: Settings) -> SequenceClassifier | LSTMFCN:
        with torch.random.fork_rng(devices=[]):  # the caller's generator stays as it is
            torch.manual_seed(settings.seed)
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
            )
            return LSTMFCN(lstm, settings.filters) if settings.filters else lstm

    def _started(self, start: Model | Ensemble, settings: Settings, number: int) -> SequenceClassifier:
        """Return the module of a trained network, which learns the scaled quantity again where it is one."""
        module = from_model(start.members[number].model if isinstance(start, Ensemble) else start)
        module.dropout.p = settings.dropout
        with torch.no_grad():
            module.weights.div_(self.scale)
            module.biases.sub_(self.mean).div_(self.scale)
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


def _check_start(start: Model | Ensemble, settings: Settings, sequences: Sequences) -> None:
    """Refuse a model that cannot be trained further: another network than the settings ask for, or other channels."""
    members = [member.model for member in start.members] if isinstance(start, Ensemble) else [start]
    if settings.filters or (isinstance(start, Ensemble) and any(one.convolutions for one in start.members)):
        raise InputError(
            "training further: found convolutions, whose batch normalisation a trained model no longer has; expected "
            "LSTM layers alone (filters=0)"
        )
    asked = {name: getattr(settings, name) for name in KEPT} | {"members": settings.members}
    asked |= {"channels": len(sequences.channels)}
    for model in members:
        found = {name: getattr(model.network, name, None) for name in KEPT} | {"members": len(members)}
        found |= {"channels": start.inputs}
        for name, value in asked.items():
            if found[name] != value:
                raise InputError(
                    f"{name}: found {value!r}, but the network to train further has {found[name]!r}; keep it, or fit "
                    "anew (warm_start=False)"
                )
