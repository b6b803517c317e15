import numpy as np

from quadgate.data import Sequences
from quadgate.report import score
from quadgate.report.suspicion import duplicates, overlaps, suspicions


def cases(N=40, seed=0):
    """Two classes that differ in their level, three channels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 2
    return Sequences([rng.normal(3 * label, 1, (20, 3)) for label in labels], labels=labels)


def kinds(train, test, right):
    labels = np.asarray(test.labels)
    answers = np.where(right, labels, 1 - labels)
    chances = np.where(np.arange(2) == answers[:, None], 0.9, 0.1)
    scores = score(labels, chances, [0, 1])
    return {one.kind: one.text for one in suspicions(train, test, scores, np.asarray(right))}


def test_an_honest_set_raises_no_doubt():
    assert kinds(cases(), cases(seed=1), np.ones(40, bool)) == {}


def test_copies_and_cuts_of_training_series_are_called_out():
    train, test = cases(), cases(seed=1)
    series = [*test.series[:30], *train.series[:6], *(one[4:] for one in train.series[6:10])]
    leaky = Sequences(series, labels=[*test.labels[:30], *train.labels[:10]])
    assert duplicates(train, leaky) == {30 + k: k for k in range(6)}
    assert set(overlaps(train, leaky)) == set(range(30, 40))
    found = kinds(train, leaky, np.arange(40) >= 15)
    assert "6 of 40 test series are in the training part too" in found["duplicates"]
    assert "without them the accuracy is 55.9%, with them 62.5%" in found["duplicates"]
    assert "4 of 40 test series share 8 or more steps" in found["overlaps"]


def test_shuffled_labels_are_called_out_and_a_hard_but_honest_set_is_not():
    train, test = cases(60), cases(40, 1)
    shuffled = Sequences(train.series, labels=np.random.default_rng(3).permutation(train.labels))
    half = np.arange(40) % 4 < 2
    found = kinds(shuffled, test, half)
    assert "labels look shuffled" in found["shuffled"]
    assert "does not beat always answering" in found["majority"]
    assert set(kinds(train, test, half)) == {"majority"}
