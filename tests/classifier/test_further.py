"""Training that goes on: `warm_start` and `partial_fit`, of classes and of quantities."""

import pickle

import numpy as np
import pytest

from quadgate import LSTMClassifier, LSTMRegressor
from quadgate.data import make_sequences
from quadgate.errors import InputError

QUICK = {"units": 6, "epochs": 4, "valid_fraction": 0.0, "random_state": 1}
MADE = make_sequences(32, time=(20, 30), channels=3)
X, Y = list(MADE.series), np.array(["no", "yes"])[MADE.labels]


def numbers(estimator):
    return {name: np.asarray(array) for name, array in estimator.model_.variables.items()}


def gap(one, other):
    return max(np.abs(numbers(one)[name] - numbers(other)[name]).max() for name in numbers(one))


@pytest.mark.parametrize("frames", [0, 8])
def test_a_warm_start_goes_on_from_the_network_that_is_there(frames):
    tiny = {"learning_rate": 1e-7, "epochs": 1, "noise": 0.0, "weight_decay": 0.0}
    first = LSTMClassifier(**QUICK, frames=frames).fit(X, Y)
    again = LSTMClassifier(**QUICK, frames=frames, warm_start=True).fit(X, Y)
    assert gap(again, first) == 0  # there was none
    again.set_params(**tiny).fit(X[:20], Y[:20])
    assert 0 < gap(again, first) < 1e-4
    assert again.model_.scaling.mean.tolist() == first.model_.scaling.mean.tolist()
    cold = LSTMClassifier(**QUICK | tiny, frames=frames).fit(X[:20], Y[:20])
    assert gap(cold, first) > 0.01


def test_what_cannot_go_on_is_refused_in_one_line():
    fitted = LSTMClassifier(**QUICK, warm_start=True).fit(X, Y)
    for call, message in (
        (lambda: fitted.set_params(units=5).fit(X, Y), "units: found 5, but the network to train further has 6"),
        (lambda: fitted.set_params(units=6).fit(X, np.where(Y == "no", "no", "maybe")), "found the class 'maybe'"),
        (lambda: fitted.fit([one[:, :2] for one in X], Y), "X: found 2 channels, expected 3 as in fit"),
        (lambda: fitted.set_params(filters=4).fit(X, Y), "filters: found 4, but the network to train further has 0"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_partial_fit_learns_from_parts_that_lack_classes():
    classifier = LSTMClassifier(**QUICK, dropout=0.0, learning_rate=0.01)
    order = np.argsort(Y, kind="stable")
    for _ in range(10):
        for part in (order[:16], order[16:]):  # one class each
            classifier.partial_fit([X[k] for k in part], Y[part], classes=["no", "yes", "never"])
            assert len(classifier.history_) == 1
    assert classifier.classes_.tolist() == ["never", "no", "yes"]
    assert (classifier.predict(X) != "never").all()
    mixed = LSTMClassifier(**QUICK, learning_rate=0.02)
    for _ in range(15):
        mixed.partial_fit(X, Y)
    assert mixed.score(X, Y) >= 0.9
    with pytest.raises(InputError, match="y: found the class 'never', expected one of"):
        mixed.partial_fit(X[:1], ["never"])


def test_a_quantity_is_learned_in_its_own_unit_and_further():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 12, 2)).astype(np.float32)
    y = 900 + 50 * x[:, :, 0].mean(1)
    settings = {
        "units": 8,
        "epochs": 20,
        "learning_rate": 0.02,
        "dropout": 0.0,
        "noise": 0.0,
        "pool": "mean",
        "random_state": 0,
    }
    regressor = LSTMRegressor(**settings).fit(x[:60], y[:60])
    assert regressor.score(x[60:], y[60:]) > 0.8
    np.testing.assert_array_equal(regressor.predict(x), regressor.model_.run(x)[0][:, 0].astype(np.float64))
    assert regressor.history_[0].valid_accuracy is None
    before = regressor.predict(x)
    regressor.set_params(learning_rate=1e-7).partial_fit(x, y + 300)
    np.testing.assert_allclose(regressor.predict(x), before, rtol=0, atol=0.1)
    with pytest.raises(InputError, match="one output, a quantity"):
        regressor.model_.run(x, output="probabilities")


def test_members_of_an_ensemble_average_their_quantities(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 30, 2)).astype(np.float32), np.arange(20.0)
    regressor = LSTMRegressor("best", units=4, filters=3, members=2, frames=8, epochs=2, random_state=0).fit(x, y)
    single = [
        member.model.run(regressor.model_.cut(x))[0]
        + np.stack([member.convolutions.run(one) for one in regressor.model_.cut(x)])
        for member in regressor.model_.members
    ]
    np.testing.assert_allclose(regressor.predict(x), np.mean(single, axis=0)[:, 0], rtol=1e-5)
    regressor.save(tmp_path)
    np.testing.assert_array_equal(LSTMRegressor.load(tmp_path).predict(x), regressor.predict(x))
    with pytest.raises(InputError, match="found a LSTMRegressor, expected a LSTMClassifier"):
        LSTMClassifier.load(tmp_path)


def test_values_that_are_no_numbers_are_refused():
    for bad in (["a"] * 32, np.full(32, np.nan)):
        with pytest.raises(ValueError, match=r"convert|NaN"):
            LSTMRegressor(**QUICK).fit(X, bad)


def test_the_type_of_training_is_chosen():
    single, double = (
        LSTMClassifier(**QUICK, dtype=dtype).fit(X, Y).predict_proba(X) for dtype in ("float32", "float64")
    )
    assert not np.array_equal(single, double)
    np.testing.assert_allclose(single, double, atol=0.02)
    with pytest.raises(InputError, match="precision: found 'float16'"):
        LSTMClassifier(**QUICK, dtype="float16").fit(X, Y)
    with pytest.raises(InputError, match="no GPU is usable"):
        LSTMClassifier(**QUICK, device="cuda:7").fit(X, Y)


def test_labels_of_another_type_are_refused_at_scoring():
    classifier = LSTMClassifier(**QUICK).fit(X, Y)
    with pytest.raises(InputError, match="y: found labels such as 0, expected the type of 'no' as in fit"):
        classifier.score(X, MADE.labels)
    with pytest.raises(InputError, match="y: found labels such as '0', expected the type of 0 as in fit"):
        LSTMClassifier(**QUICK).fit(X, MADE.labels).score(X, MADE.labels.astype(str))


def test_what_is_refused_leaves_the_estimator_as_it_was():
    classifier = LSTMClassifier(**QUICK).fit(X, Y)
    before = classifier.kneighbors(X)
    classifier.set_params(units=5)
    with pytest.raises(InputError):
        classifier.partial_fit(X[:3], Y[:3])
    np.testing.assert_array_equal(classifier.kneighbors(X)[1], before[1])
    with pytest.raises(InputError, match="y: found the class 'never', expected one of 'no', 'yes'; name every class"):
        LSTMClassifier(**QUICK).fit(X, Y).partial_fit(X[:1], np.array(["never"], dtype=object))


def test_a_part_of_one_quantity_does_not_blow_up():
    regressor = LSTMRegressor(**QUICK).fit(X, 900 + 50 * MADE.labels)
    regressor.partial_fit(X[:3], [0.1] * 3)
    assert np.isfinite(regressor.predict(X)).all()


CHANCES = {
    "order": {"batch_size": 4, "noise": 0.0, "dropout": 0.0},
    "noise": {"batch_size": 32, "noise": 0.5, "dropout": 0.0},
    "dropout": {"batch_size": 32, "noise": 0.0, "dropout": 0.5},
}


@pytest.mark.parametrize("kind", CHANCES)
def test_each_pass_draws_its_own_chance(kind):
    first = LSTMClassifier(**QUICK | {"epochs": 1}, optimizer="adam", **CHANCES[kind]).partial_fit(X, Y)
    model = first.model_
    second = pickle.loads(pickle.dumps(first)).partial_fit(X, Y)
    first._epochs = 0  # as if nothing had been drawn yet
    first.model_ = model
    assert gap(first.partial_fit(X, Y), second) > 1e-5


def test_passes_and_fits_go_through_the_same_chance():
    """Two epochs are two passes, but for the moments of the optimizer, which begin anew."""
    settings = QUICK | {"learning_rate": 1e-9, "noise": 0.5, "average": 0.0, "weight_decay": 0.0}
    whole = LSTMClassifier(**settings | {"epochs": 2}).fit(X, Y)
    parts = LSTMClassifier(**settings).partial_fit(X, Y)
    losses = [parts.history_[0].train_loss, parts.partial_fit(X, Y).history_[0].train_loss]
    np.testing.assert_allclose(losses, [one.train_loss for one in whole.history_], rtol=1e-5)


@pytest.mark.parametrize("way", ["files", "pickle"])
@pytest.mark.parametrize("kind", ["classes", "quantity", "convolutions"])
def test_a_pass_after_a_file_is_a_pass_without(way, kind, tmp_path):
    if kind == "quantity":
        estimator, y = LSTMRegressor(**QUICK), 900 + 50 * MADE.labels + np.arange(32)
    elif kind == "classes":
        estimator, y = LSTMClassifier(**QUICK), Y
    else:
        estimator, y = LSTMClassifier("best", **QUICK | {"epochs": 2}, filters=3, members=2, steps=0), Y
    estimator.partial_fit(X[:20], y[:20]).partial_fit(X[20:], y[20:])
    if way == "files":
        estimator.save(tmp_path)
        back = type(estimator).load(tmp_path)
    else:
        back = pickle.loads(pickle.dumps(estimator))
    assert gap(back.partial_fit(X[:20], y[:20]), estimator.partial_fit(X[:20], y[:20])) == 0
    assert gap(back.partial_fit(X, y), estimator.partial_fit(X, y)) == 0


def test_a_quantity_keeps_the_unit_of_the_first_cases():
    """A part far from the others moves the network by what it is wrong, in the unit of the first."""
    y = np.linspace(900, 1000, 32)
    regressor = LSTMRegressor(**QUICK).fit(X, y)
    first = (regressor._mean, regressor._scale)
    np.testing.assert_allclose(first, (y.mean(), y.std()))
    regressor.partial_fit(X[:4], y[:4] + 5000)
    assert (regressor._mean, regressor._scale) == first
    assert regressor.history_[0].train_loss > 100  # (5000 / 30)^2; a scale of its own would make it about 1
    again = LSTMRegressor(**QUICK).fit(X, y).fit(X, y + 5000)  # anew
    assert again._mean == pytest.approx(y.mean() + 5000)


@pytest.mark.parametrize("members", [1, 2])
def test_convolutions_go_on_from_where_they_were(members):
    settings = QUICK | {"epochs": 16, "steps": 0, "filters": 5, "members": members, "frames": 0}
    first = LSTMClassifier("best", **settings).fit(X, Y)
    gentle = {"learning_rate": 1e-9, "weight_decay": 0.0, "dropout": 0.0, "noise": 0.0, "batch_size": 32}
    again = pickle.loads(pickle.dumps(first)).set_params(**gentle).partial_fit(X, Y)
    np.testing.assert_allclose(again.predict_proba(X), first.predict_proba(X), atol=0.02)
    assert gap(again, first) > 0
    trained = pickle.loads(pickle.dumps(first)).set_params(warm_start=True, epochs=20).fit(X, Y)
    assert trained.history_[0].train_loss < first.history_[-1].train_loss + 0.05
    assert trained.score(X, Y) >= first.score(X, Y)
    with pytest.raises(InputError, match="filters: found 6, but the network to train further has 5"):
        trained.set_params(filters=6).partial_fit(X, Y)
    with pytest.raises(InputError, match=f"members: found 4, but the network to train further has {members}"):
        trained.set_params(filters=5, members=4).partial_fit(X, Y)
