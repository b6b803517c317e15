import numpy as np
import pytest

from quadgate.data import Sequences, make_sequences
from quadgate.data.synthetic import PERIOD
from quadgate.errors import InputError

KINDS = ("phase", "order")
PLACES = {"all": (0.0, 1.0), "early": (0.0, 0.2), "middle": (0.4, 0.6), "late": (0.8, 1.0)}


def lead(part: np.ndarray) -> float:
    """The part of a turn by which channel 1 is ahead of channel 0, from both channels' first harmonic: 0 to 1."""
    wave = np.exp(-2j * np.pi * np.arange(len(part)) / PERIOD)
    a, b = ((part[:, channel] - part[:, channel].mean()) @ wave for channel in (0, 1))
    return float(np.angle(b * np.conj(a)) / (2 * np.pi) % 1)


def window(one: np.ndarray, place: str) -> np.ndarray:
    """The steps of a place, cut to whole turns."""
    begin, end = (round(part * len(one)) for part in PLACES[place])
    return one[begin : begin + (end - begin) // PERIOD * PERIOD]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_lead_within_the_window_is_the_class(kind, place, classes):
    made = make_sequences(60, time=(300, 500), channels=3, classes=classes, kind=kind, evidence=place, seed=3)
    found = [int(lead(window(one, place)) * classes) for one in made.series]
    np.testing.assert_array_equal(found, made.labels)


@pytest.mark.parametrize("place", ["early", "middle", "late"])
@pytest.mark.parametrize("kind", KINDS)
def test_outside_the_window_there_is_noise_alone(kind, place):
    made = make_sequences(20, time=200, channels=2, kind=kind, evidence=place, difficulty=0.0)
    begin, end = (round(part * 200) for part in PLACES[place])
    for one in made.series:
        assert not one[:begin].any()
        assert not one[end:].any()
        assert one[begin:end].any()


@pytest.mark.parametrize("place", ["all", "early"])
@pytest.mark.parametrize("kind", KINDS)
def test_means_deviations_and_histograms_are_at_chance(kind, place):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = make_sequences(600, time=120, channels=4, kind=kind, evidence=place, seed=1)
    x = np.stack(made.series)
    bins = np.linspace(-1, 1, 9)
    histograms = [[np.histogram(one[:, c], bins)[0] for c in range(4)] for one in x]
    baselines = {
        "mean and deviation": np.concatenate([x.mean(axis=1), x.std(axis=1)], axis=1),
        "histogram": np.reshape(histograms, (len(x), -1)),
        "first step": x[:, 0],
        "last step": x[:, -1],
    }
    for name, features in baselines.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
        accuracy = cross_val_score(model, features, made.labels, cv=5).mean()
        assert abs(accuracy - 0.5) < 0.09, name  # four standard errors of 600 cases


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_has_the_same_distribution_in_both_classes_at_every_step(kind):
    from scipy.stats import ks_2samp

    made = make_sequences(2000, time=40, channels=2, kind=kind, seed=2)
    x = np.stack(made.series)
    for step in (0, 7, 19, 39):
        for channel in (0, 1):
            both = (x[made.labels == k, step, channel] for k in (0, 1))
            assert ks_2samp(*both).pvalue > 1e-4


def test_values_fill_the_range_and_stay_in_it():
    made = make_sequences(30, time=100, channels=2, low=200.0, high=1000.0, difficulty=0.3)
    x = np.concatenate(made.series)
    assert x.min() == 200
    assert x.max() == 1000
    assert x.mean() == pytest.approx(600, abs=20)


def test_the_seed_alone_decides():
    first, again, other = (make_sequences(10, time=(30, 60), channels=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.series[3], again.series[3])
    assert first.labels.tolist() == again.labels.tolist()
    assert first.lengths.tolist() != other.lengths.tolist()


def test_classes_have_equal_shares_in_random_order():
    made = make_sequences(101, time=25, channels=2, classes=2)
    assert sorted(np.bincount(made.labels)) == [50, 51]
    assert 20 < np.abs(np.diff(made.labels)).sum() < 80
    assert isinstance(made, Sequences)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "fase"}, "did you mean 'phase'"),
        ({"evidence": "erly"}, "did you mean 'early'"),
        ({"channels": 1}, "channels: found 1"),
        ({"n": 1}, "found 1 cases of 2 classes"),
        ({"classes": 1}, "of 1 classes"),
        ({"time": 19}, "expected a window"),
        ({"time": 90, "evidence": "early"}, "expected a window"),
        ({"time": (60, 40)}, "found 60 to 40"),
        ({"low": 1.0, "high": 1.0}, "low, high"),
        ({"difficulty": -0.1}, "no noise < 0"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        make_sequences(**{"n": 10, "time": 100, "channels": 2, **arguments})


def test_numbers_of_numpy_are_numbers():
    sizes = {"n": 4, "time": 30, "channels": 2, "seed": 3}
    found = make_sequences(**{name: np.int64(number) for name, number in sizes.items()})
    assert found.fingerprint() == make_sequences(**sizes).fingerprint()
