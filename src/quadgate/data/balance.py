"""Weights that let a rare class count as much as a common one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from quadgate.data.sequences import Sequences


def balanced(sequences: Sequences) -> Sequences:
    """Return the cases with weights: a case counts `N / (K * N_k)`, so that each of the K classes counts N / K.

    Where there is a class at each step, N and N_k count steps, and a case weighs what its steps weigh in the mean.
    These are the weights that scikit-learn calls balanced; weights that the cases have already are multiplied.

    Args:
        sequences: with labels.

    >>> balanced(Sequences([[[0.0]]] * 4, labels=["a", "a", "a", "b"])).weights.round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    each = sequences.step_labels or tuple(np.asarray(sequences.labels)[:, None])
    classes, counts = np.unique(np.concatenate(each), return_counts=True)
    heavy = counts.sum() / (len(classes) * counts)
    weights = np.array([heavy[np.searchsorted(classes, one)].mean() for one in each])
    return replace(sequences, weights=weights if sequences.weights is None else sequences.weights * weights)
