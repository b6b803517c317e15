"""The scaling of channels, fitted on the training part alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quadgate.data.sequences import Sequences

if TYPE_CHECKING:
    from quadgate.model import Scaling


def fit_scaling(sequences: Sequences) -> Scaling:
    """Measure each channel's mean and standard deviation over all steps of all cases, `(x - mean) / scale`.

    Every step counts the same, so a long case weighs more than a short one; nothing is counted past a case's end. Sums
    are float64, in two passes. A channel that never changes gets the scale 1.

    Returns:
        `mean [C]` and `scale [C]`.

    >>> scaling = fit_scaling(Sequences([[[1.0, 7.0], [3.0, 7.0]]]))
    >>> scaling.mean.tolist(), scaling.scale.tolist()
    ([2.0, 7.0], [1.0, 1.0])
    """
    from quadgate.model import Scaling

    steps = int(sequences.lengths.sum())
    mean = sum(one.sum(axis=0, dtype=np.float64) for one in sequences.series) / steps
    variance = sum(np.square(one - mean).sum(axis=0) for one in sequences.series) / steps
    lowest = np.min([one.min(axis=0) for one in sequences.series], axis=0)
    highest = np.max([one.max(axis=0) for one in sequences.series], axis=0)
    constant = lowest == highest  # exact, where a variance would be rounding error
    return Scaling(mean=np.where(constant, lowest, mean), scale=np.where(constant, 1.0, np.sqrt(variance)))
