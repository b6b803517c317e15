"""The estimator as people use it: forms of X, weights, groups, missing values, files, and scikit-learn around it."""

import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import quadgate
from quadgate import LSTMClassifier
from quadgate.data import make_sequences
from quadgate.errors import FileFormatError, InputError
from quadgate.training import Callback

QUICK = {"units": 6, "epochs": 6, "random_state": 1}


def cases(N=24, steps=25, channels=4, seed=0):
    made = make_sequences(N, time=steps, channels=channels, seed=seed)
    return list(made.series), np.array(["no", "yes"])[made.labels]


@pytest.fixture(scope="module")
def fitted():
    X, y = cases()
    return LSTMClassifier(**QUICK).fit(np.stack(X), y)


def test_it_learns_from_series_of_unequal_length():
    X, y = cases(160, steps=(40, 60))
    classifier = LSTMClassifier(units=16, epochs=15, random_state=0).fit(X[:100], y[:100])
    assert classifier.score(X[100:], y[100:]) >= 0.95
    assert classifier.classes_.tolist() == ["no", "yes"]
    assert classifier.n_channels_in_ == 4
    assert not hasattr(classifier, "n_features_in_")


def test_every_form_of_x_gives_the_same_bits():
    X, y = cases()
    array = np.stack(X)
    expected = LSTMClassifier(**QUICK).fit(array, y).predict_proba(array)
    for form, axes in ((X, None), (array.transpose(0, 2, 1), "NCT"), ([one.T for one in X], "NCT"), (array, "NTC")):
        found = LSTMClassifier(**QUICK, axes=axes).fit(form, y).predict_proba(form)
        np.testing.assert_array_equal(found, expected)


def test_two_dimensions_are_one_channel():
    X, y = cases(channels=2)
    rows = np.stack(X)[:, :, 0]
    flat = LSTMClassifier(**QUICK).fit(rows, y)
    assert flat.n_features_in_ == 25
    deep = LSTMClassifier(**QUICK).fit(rows[:, :, None], y)
    np.testing.assert_array_equal(flat.predict_proba(rows), deep.predict_proba(rows[:, :, None]))


@pytest.mark.parametrize("classes", [[False, True], [3, -1, 7], [0.0, 2.0], ["b", "a"]], ids=str)
def test_classes_come_back_as_they_were(classes):
    rng = np.random.default_rng(0)
    y = np.array(classes)[np.arange(24) % len(classes)]
    classifier = LSTMClassifier(**QUICK).fit(rng.normal(size=(24, 5, 2)), y)
    assert classifier.classes_.dtype == y.dtype
    assert set(classifier.predict(rng.normal(size=(9, 5, 2))).tolist()) <= set(classes)


def test_a_case_gets_the_same_bits_in_any_company(fitted):
    X, _ = cases(40, seed=5)
    together = fitted.predict_proba(X)
    np.testing.assert_array_equal(together, np.concatenate([fitted.predict_proba([one]) for one in X]))
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=0, atol=1e-15)


def test_a_weight_of_zero_leaves_a_case_out():
    X, y = cases()
    keep = np.arange(24) % 3 > 0
    some = LSTMClassifier(**QUICK).fit(X, y, sample_weight=keep.astype(float))
    rest = LSTMClassifier(**QUICK).fit([x for x, k in zip(X, keep, strict=True) if k], y[keep], np.ones(keep.sum()))
    np.testing.assert_array_equal(some.predict_proba(X), rest.predict_proba(X))


def test_weights_of_one_scale_change_nothing_but_rounding():
    X, y = cases()
    plain = LSTMClassifier(**QUICK).fit(X, y).predict_proba(X)
    weighted = LSTMClassifier(**QUICK).fit(X, y, np.full(24, 7.0)).predict_proba(X)
    np.testing.assert_allclose(weighted, plain, rtol=0, atol=1e-4)


def test_class_weights_move_the_answer():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 10, 2)), np.arange(60) % 2  # nothing to learn but the shares
    for heavy in (0, 1):
        classifier = LSTMClassifier(**QUICK | {"epochs": 25}, class_weight={heavy: 20.0, 1 - heavy: 1.0}).fit(X, y)
        assert classifier.predict_proba(X)[:, heavy].mean() > 0.6
    y = (np.arange(60) % 6 == 0).astype(int)
    balanced = LSTMClassifier(**QUICK, class_weight="balanced").fit(X, y).predict_proba(X)[:, 1].mean()
    assert abs(balanced - 0.5) < abs(LSTMClassifier(**QUICK).fit(X, y).predict_proba(X)[:, 1].mean() - 0.5)


def test_groups_stay_on_one_side_of_the_split(monkeypatch):
    from quadgate.training import run

    seen = []

    def watched(sequences, *arguments):
        parts = split(sequences, *arguments)
        seen.append([set(part.groups.tolist()) for part in parts])
        return parts

    split = run.split
    monkeypatch.setattr(run, "split", watched)
    X, y = cases()
    LSTMClassifier(**QUICK, valid_fraction=0.2).fit(X, y, groups=np.arange(24) // 4)
    ((stay, held),) = seen
    assert held
    assert not stay & held
    with pytest.raises(InputError, match="found 1 group of class"):
        LSTMClassifier(**QUICK, valid_fraction=0.2).fit(X, y, groups=y)


@pytest.mark.parametrize("missing", ["forward", "interpolate"])
def test_missing_values_are_filled_in_alike_in_every_form(missing):
    X, y = cases()
    rng = np.random.default_rng(1)
    for one in X:
        one[rng.random(one.shape) < 0.2] = np.nan
    found = []
    for form, axes in ((X, None), (np.stack(X), None), (np.stack(X).transpose(0, 2, 1), "NCT")):
        classifier = LSTMClassifier(**QUICK, missing=missing, axes=axes).fit(form, y)
        found.append(classifier.predict_proba(form))
        assert classifier.model_.inputs == (8 if missing == "forward" else 4)
        assert classifier.n_channels_in_ == 4
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_does_not_fit_is_refused_in_one_line(fitted):
    X, y = cases()
    array = np.stack(X)
    hole = array.copy()
    hole[3, 7, 2] = np.nan
    deep = array.copy()
    deep[3, 7, 2] = np.inf
    make = LSTMClassifier
    refused = [
        (lambda: fitted.predict(array[:, :, :3]), "X: found 3 channels, expected 4 as in fit"),
        (lambda: fitted.predict(array.transpose(0, 2, 1)), "axes look swapped"),
        (lambda: fitted.predict(hole), r"X, case 3, step 7, channel '2': found NaN"),
        (lambda: fitted.predict(deep), r"X, case 3, step 7, channel '2': found an infinite number"),
        (
            lambda: make(**QUICK, missing="forward").fit(deep, y),
            r"case 3, step 7, channel '2': found an infinite number",
        ),
        (lambda: make(**QUICK).fit(hole, y), r"X, case 3, step 7"),
        (lambda: make(**QUICK, missing="foward").fit(X, y), "did you mean 'forward'"),
        (lambda: make(**QUICK).fit(X, np.zeros(24)), "y: found 1 class with cases to learn from, expected 2 classes"),
        (lambda: make(**QUICK).fit(X, y, y == "no"), "y: found 1 class with cases to learn from, expected 2 classes"),
        (lambda: make(**QUICK).fit(X, y, -np.ones(24)), "Negative values"),
        (lambda: make(**QUICK).fit(X, y[:-1]), "inconsistent numbers of samples"),
        (lambda: make(**QUICK).fit([*X[:-1], X[-1][:0]], y), "case 23: found no step"),
        (lambda: make("defualt").fit(X, y), "did you mean 'default'"),
        (lambda: make(pool="meen").fit(X, y), "did you mean 'mean'"),
        (lambda: make(axes="NTX").fit(X, y), "axes: found 'NTX'"),
    ]
    for call, expected in refused:
        with pytest.raises(ValueError, match=expected) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_before_fit_there_is_nothing_to_ask(tmp_path):
    for call in (lambda: LSTMClassifier().predict(cases()[0]), lambda: LSTMClassifier().save(tmp_path / "x")):
        with pytest.raises(NotFittedError):
            call()
    assert not (tmp_path / "x").exists()


def test_callbacks_see_every_epoch():
    class Watch(Callback):
        def __init__(self):
            self.epochs = []

        def on_epoch(self, record):
            self.epochs.append(record)

    watch = Watch()
    X, y = cases()
    classifier = LSTMClassifier(**QUICK, callbacks=[watch]).fit(X, y)
    assert watch.epochs == classifier.history_
    assert classifier.n_iter_ == len(watch.epochs) == 6


def test_the_seed_preset_is_the_seed_network():
    X, y = cases(40, channels=12)
    model = LSTMClassifier("seed", epochs=1, random_state=0).fit(X, y).model_
    assert sum(array.size for array in model.variables.values()) == 19842


@pytest.mark.parametrize("missing", ["error", "forward"])
def test_a_saved_estimator_comes_back_to_the_same_bits(tmp_path, missing):
    X, y = cases()
    classifier = LSTMClassifier(**QUICK, missing=missing).fit(X, y)
    classifier.save(tmp_path / "run")
    again = LSTMClassifier.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), classifier.predict(X))
    assert again.get_params() == classifier.get_params()
    assert quadgate.load(tmp_path / "run").labels == ("no", "yes")
    again.save(tmp_path / "run")  # in place
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "estimator.json",
        "model.safetensors",
        "training_states.safetensors",
    }


def test_a_damaged_estimator_is_refused_in_one_line(tmp_path, fitted):
    folder = tmp_path / "run"
    fitted.save(folder)
    file = folder / "estimator.json"
    good = json.loads(file.read_text())
    damaged = [
        "{",
        "[]",
        json.dumps(good | {"format_version": 99}),
        json.dumps(good | {"classes_dtype": "no such"}),
        json.dumps(good | {"classes": ["no"]}),
        json.dumps(good | {"means": [0.0]}),
        json.dumps(good | {"means": "x"}),
        json.dumps(good | {"n_channels_in": 5}),
        json.dumps(good | {"parameters": {"unts": 3}}),
        json.dumps({name: value for name, value in good.items() if name != "parameters"}),
    ]
    for text in damaged:
        file.write_text(text)
        with pytest.raises(FileFormatError, match=r"estimator\.json") as caught:
            LSTMClassifier.load(folder)
        assert "\n" not in str(caught.value)
    file.unlink()
    with pytest.raises(FileFormatError, match=r"estimator\.json"):
        LSTMClassifier.load(folder)


def test_it_pickles_and_clones(fitted):
    X, _ = cases()
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.slow
def test_it_works_within_scikit_learn():
    X, y = cases(48)
    array, rows = np.stack(X), np.stack(X)[:, :, 0]
    assert cross_val_score(LSTMClassifier(**QUICK), array, y, cv=3).shape == (3,)
    search = GridSearchCV(LSTMClassifier(**QUICK), {"pool": ["mean", "last"]}, cv=2).fit(array, y)
    assert search.best_params_["pool"] in ("mean", "last")
    pipeline = make_pipeline(StandardScaler(), LSTMClassifier(**QUICK)).fit(rows, y)
    assert pipeline.predict(rows).shape == (48,)
    calibrated = CalibratedClassifierCV(LSTMClassifier(**QUICK), cv=2).fit(array, y)
    np.testing.assert_allclose(calibrated.predict_proba(array).sum(axis=1), 1, rtol=0, atol=1e-12)


def test_the_nearest_training_cases_are_places_in_x_and_are_kept_in_files(tmp_path):
    X, y = cases(12)
    weights = np.where(np.arange(12) == 3, 0.0, 1.0)  # left out of training, so it is nobody's neighbour
    classifier = LSTMClassifier(**QUICK).fit(X, y, sample_weight=weights)
    distances, places = classifier.kneighbors(X, 3)
    assert distances.shape == places.shape == (12, 3)
    assert (np.diff(distances) >= 0).all()
    own = np.flatnonzero(weights)
    assert places[own, 0].tolist() == own.tolist()
    np.testing.assert_allclose(distances[own, 0], 0, atol=1e-6)
    assert 3 not in places
    states = np.concatenate([end[-1] for end in classifier.model_.run(X)[1][-1]], axis=1).astype(np.float64)
    expected = np.linalg.norm(states[5] - states[places[5]], axis=1)
    np.testing.assert_allclose(distances[5], expected, atol=1e-6)
    classifier.save(tmp_path / "run")
    again = LSTMClassifier.load(tmp_path / "run").kneighbors(X, 3)
    np.testing.assert_array_equal(again[0], distances)
    np.testing.assert_array_equal(again[1], places)
    with pytest.raises(InputError, match="neighbors: found 12, expected 1 to 11, the number of training cases"):
        classifier.kneighbors(X, 12)
    with pytest.raises(NotFittedError):
        LSTMClassifier().kneighbors(X)
