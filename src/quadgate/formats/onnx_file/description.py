"""What an ONNX graph that quadgate wrote says about itself beside its nodes: the entry `quadgate` of its metadata.

A pooling over the steps of unequal cases and a scaling in float64 are a dozen nodes each; the entry names them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np

from quadgate.errors import FileFormatError
from quadgate.model import Head, Model, Scaling
from quadgate.model.record import read_record
from quadgate.model.run_folder import ScalingRecord

KEY = "quadgate"


@dataclass(frozen=True)
class Description:
    """The head and what belongs to a model beside its layers, as in `Model`."""

    head: Head | None = None
    labels: tuple[str | int, ...] | None = None
    channels: tuple[str, ...] | None = None
    scaling: ScalingRecord | None = None

    @classmethod
    def of(cls, model: Model) -> Description:
        """Describe a model."""
        scaling = None if model.scaling is None else ScalingRecord.of(model.scaling)
        return cls(model.head, model.labels, model.channels, scaling)

    @property
    def text(self) -> str:
        """The description as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def read(cls, text: str, place: str) -> Description:
        """Read a description.

        Raises:
            FileFormatError: it is no JSON, or not of this kind.
        """
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            raise FileFormatError(f"{place}: metadata {KEY}: found no JSON, expected what quadgate writes") from None
        return read_record(cls, record, f"{place}: metadata {KEY}")

    def complete(self, model: Model) -> Model:
        """Add to a model what the graph does not say."""
        told = self.scaling
        scaling = None if told is None else Scaling(np.array(told.mean), np.array(told.scale))
        return replace(model, labels=self.labels, channels=self.channels, scaling=scaling)
