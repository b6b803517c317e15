"""Which training cases a network takes for most like a case: the nearest of them in the space of its final states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError

if TYPE_CHECKING:
    from quadgate.model import Ensemble, Model

CASES = 256  # that run together


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest training cases of N cases, the nearest first.

    Attributes:
        distances: `[N, k]` float64, Euclidean, between final states.
        indices: `[N, k]` int64, places in the training part.
    """

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]


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
