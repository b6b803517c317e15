"""Which training cases a network takes for most like a case: the nearest of them in the space of its final states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import FileFormatError, InputError

if TYPE_CHECKING:
    from quadgate.data import Sequences
    from quadgate.model import Ensemble, Model

CASES = 256  # that run together
STATES = "training_states.safetensors"
ENTRY = "quadgate_training_states"


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest training cases of N cases, the nearest first.

    Attributes:
        distances: `[N, k]` float64, Euclidean, between final states.
        indices: `[N, k]` int64, places in the training part.
    """

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Neighbor:
    """A training case that a network takes for alike.

    Attributes:
        name: of the case.
        label: its class, or None.
        distance: between final states.
        series: `[T, C]`, or None where it is not at hand.
    """

    name: str
    label: str | int | None
    distance: float
    series: NDArray[Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return all but the series as JSON can hold it."""
        return {"case": self.name, "label": self.label, "distance": self.distance}


@dataclass(frozen=True, eq=False)
class TrainingCases:
    """The M training cases of a classifier, as it sees them.

    Attributes:
        states: `[M, F]` float32, their final states.
        names: M names.
        labels: M classes, or None.
        series: M arrays `[T_i, C]`, where they are at hand; a file does not hold them.

    Raises:
        InputError: as many names or labels as states are expected.
    """

    states: NDArray[np.float32]
    names: tuple[str, ...]
    labels: tuple[str | int, ...] | None = None
    series: Sequence[NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        counts = {"names": self.names, "labels": self.labels, "series": self.series}
        for what, values in counts.items():
            if values is not None and len(values) != len(self.states):
                raise InputError(f"training cases: found {len(values)} {what}, expected {len(self.states)}")

    @classmethod
    def of(cls, model: Model | Ensemble, sequences: Sequences) -> TrainingCases:
        """Run a classifier over its training cases."""
        labels = None if sequences.labels is None else tuple(sequences.labels.tolist())
        names = tuple(sequences.name(place) for place in range(len(sequences)))
        return cls(final_states(model, sequences.series), names, labels, sequences.series)

    def save(self, folder: str | Path) -> None:
        """Write `training_states.safetensors` into a run folder, whole or not at all."""
        from safetensors.numpy import save

        from quadgate.model import write_atomically

        told = json.dumps({"names": self.names, "labels": self.labels}, ensure_ascii=False)
        with write_atomically(Path(folder) / STATES) as beside:
            beside.write_bytes(save({"states": self.states}, {ENTRY: told}))

    @classmethod
    def load(cls, folder: str | Path) -> TrainingCases:
        """Read what `save` wrote into a folder.

        Raises:
            FileFormatError: the file is missing or damaged.
        """
        from quadgate.model import Variables
        from quadgate.model.tensors import read_tensors

        file = Path(folder) / STATES
        if not file.is_file():
            raise FileFormatError(f"{file}: not found, expected the states that training leaves; train again")
        metadata, tensors = read_tensors(file)
        try:
            kept = json.loads(metadata[ENTRY])
            states = Variables(tensors)["states"]
            labels = kept["labels"]
            names = tuple(str(name) for name in kept["names"])
            fits = states.ndim == 2 and all(isinstance(one, (str, int)) for one in labels or ())
            if not fits or states.dtype != np.float32:
                raise ValueError(f"found states {states.dtype} {states.shape}, expected float32 [M, F]")
            return cls(states, names, None if labels is None else tuple(labels))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            told = " ".join(str(error).split())
            raise FileFormatError(f"{file}: damaged ({told}), expected what training writes") from None


def final_states(model: Model | Ensemble, series: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the top layer's final h `[N, F]` of each series, both directions (and all members) side by side.

    >>> from quadgate.model import Model, Network
    >>> network = Network(inputs=1, units=2, classes=2, bidirectional=True)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> final_states(model, [np.zeros((3, 1)), np.ones((5, 1))]).shape
    (2, 4)
    """
    from quadgate.model import Ensemble

    if isinstance(model, Ensemble):
        cut = model.cut(list(series))
        return np.concatenate([final_states(member.model, cut) for member in model.members], axis=1)
    parts = [list(series[start : start + CASES]) for start in range(0, len(series), CASES)]
    tops = [model.run(part, output="outputs")[1][-1] for part in parts]
    states: NDArray[np.float32] = np.concatenate([np.concatenate([end[-1] for end in top], axis=1) for top in tops])
    return states


def nearest(states: NDArray[Any], trained: NDArray[Any], count: int, itself: bool = False) -> Neighbors:
    """Find the nearest rows of `trained [M, F]` for each row of `states [N, F]`.

    Args:
        states: of the cases that are asked about.
        trained: of the training cases.
        count: k, how many to find.
        itself: whether `states` are those of the training cases, none of which is its own neighbour.

    Raises:
        InputError: `count` is below 1, or there are fewer training cases.

    >>> found = nearest(np.array([[0.0]]), np.array([[3.0], [1.0]]), 2)
    >>> found.indices.tolist(), found.distances.tolist()
    ([[1, 0]], [[1.0, 3.0]])
    """
    from sklearn.neighbors import NearestNeighbors

    most = len(trained) - itself
    if not 1 <= count <= most:
        raise InputError(f"neighbors: found {count}, expected 1 to {most}, the number of training cases")
    search = NearestNeighbors(n_neighbors=count).fit(trained)
    distances, indices = search.kneighbors(None if itself else states)
    return Neighbors(distances.astype(np.float64), indices.astype(np.int64))


def neighbors_of(
    model: Model | Ensemble, series: Sequence[NDArray[Any]], trained: TrainingCases, count: int
) -> tuple[tuple[Neighbor, ...], ...]:
    """Return the `count` nearest training cases of each series, the nearest first.

    Raises:
        InputError: `count` is below 1 or there are fewer training cases, or they are another model's.
    """
    states = final_states(model, series)
    if states.shape[1] != trained.states.shape[1]:
        raise InputError(
            f"training cases: found states of {trained.states.shape[1]} numbers, expected {states.shape[1]} as this "
            "model has; they are another model's: train again"
        )
    found = nearest(states, trained.states, count)
    return tuple(
        tuple(
            Neighbor(
                trained.names[place],
                None if trained.labels is None else trained.labels[place],
                float(distance),
                None if trained.series is None else trained.series[place],
            )
            for place, distance in zip(places.tolist(), distances, strict=True)
        )
        for places, distances in zip(found.indices, found.distances, strict=True)
    )
