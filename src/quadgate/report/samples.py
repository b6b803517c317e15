"""How good the answers of a network that streams are, by how much of a case it has seen."""

from __future__ import annotations

import numpy as np

from quadgate.data import Sequences
from quadgate.model import Ensemble, Model
from quadgate.report.evaluation import class_names, matched_channels

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the samples of a case


def accuracy_by_samples(
    model: Model | Ensemble, sequences: Sequences, shares: tuple[float, ...] = SHARES
) -> tuple[float, ...]:
    """Return the share of the cases that are told rightly after each share of their samples (one at least).

    Args:
        model: a classifier that streams.
        sequences: with labels; where they have a class at every step, the answer is held against that of its step.
        shares: of the samples of each case, above 0 and up to 1.

    Raises:
        InputError: the model needs samples that have not come yet, or the series do not fit it.
    """
    sequences = matched_channels(model, sequences)
    classes, stream = class_names(model), model.stream("logits")
    truth = sequences.step_labels
    if truth is None:
        labels_of = np.asarray(sequences.labels)
        truth = tuple(np.full(len(one), label) for one, label in zip(sequences.series, labels_of, strict=True))
    right = np.zeros(len(shares))
    for one, labels in zip(sequences.series, truth, strict=True):
        stream.reset()
        answers = classes[np.asarray(stream.run(one)).argmax(axis=1)]
        for number, share in enumerate(shares):
            place = max(1, round(share * len(one))) - 1
            right[number] += answers[place] == labels[place]
    return tuple((right / len(sequences)).tolist())


def samples_line(accuracies: tuple[float, ...], shares: tuple[float, ...] = SHARES) -> str:
    """Return one line that tells them.

    >>> samples_line((0.5, 1.0), (0.1, 1.0))
    'right after 10 % of the samples 0.5000, after 100 % 1.0000'
    """
    parts = [f"{share:.0%}".replace("%", " %") for share in shares]
    first, *rest = zip(parts, accuracies, strict=True)
    told = [f"right after {first[0]} of the samples {first[1]:.4f}", *(f"after {part} {one:.4f}" for part, one in rest)]
    return ", ".join(told)
