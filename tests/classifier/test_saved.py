"""What an estimator is after `save` and `load`: its parameters, names and classes, also for the command line."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

import quadgate
from quadgate import LSTMClassifier, LSTMRegressor
from quadgate.cli.app import app
from quadgate.data import make_sequences
from quadgate.errors import InputError

QUICK = {"units": 4, "epochs": 2, "valid_fraction": 0.0, "random_state": 1}
MADE = make_sequences(18, time=20, channels=2, classes=3, difficulty=0.05)
X, NUMBERS = np.stack(MADE.series), MADE.labels


def again(estimator, folder):
    estimator.save(folder)
    return type(estimator).load(folder)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ([0.0, 5.0, 10.0], (0, 5, 10)),
        ([-1, 3, 7], (-1, 3, 7)),
        (["a", "b", "c"], ("a", "b", "c")),
        (["1", "2", "10"], (1, 10, 2)),
        (["1", " 1", "2"], (" 1", "1", "2")),
        ([False, True, True], (0, 1)),
    ],
    ids=str,
)
def test_the_model_names_its_classes_as_the_labels_of_a_file_are_read(classes, names, tmp_path):
    y = np.array(classes)[NUMBERS]
    fitted = LSTMClassifier(**QUICK).fit(X, y)
    assert fitted.model_.labels == names
    back = again(fitted, tmp_path)
    assert quadgate.load(tmp_path).labels == back.model_.labels == names
    assert back.classes_.dtype == y.dtype
    np.testing.assert_array_equal(back.predict(X), fitted.predict(X))


@pytest.mark.parametrize("spelled", [float, str])
def test_the_command_line_gives_the_classes_of_the_estimator(spelled, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    y = (5 * NUMBERS).astype(spelled)
    fitted = LSTMClassifier(**QUICK | {"epochs": 10, "learning_rate": 0.03}).fit(X, y)
    fitted.save("estimator")
    part = X[NUMBERS > 0], y[NUMBERS > 0]  # the first class is not among them
    np.savez("part.npz", X=part[0], y=part[1])
    told = CliRunner().invoke(app, ["predict", "estimator", "part.npz", "--output", "classes.csv"])
    assert told.exit_code == 0, told.output
    answers = pd.read_csv("classes.csv").iloc[:, 1]
    assert answers.tolist() == fitted.predict(part[0]).astype(float).tolist()
    told = CliRunner().invoke(app, ["evaluate", "estimator", "part.npz"])
    assert told.exit_code == 0, told.output
    assert f"{fitted.score(*part):.4f}"[:4] in told.output


@pytest.mark.parametrize("weights", ["whole", "numpy", "text", "float"])
def test_class_weights_come_back(weights, tmp_path):
    classes = {"whole": [0, 1, 2], "numpy": [0, 1, 2], "text": ["a", "b", "c"], "float": [0.0, 1.0, 5.0]}[weights]
    y = np.array(classes)[NUMBERS]
    keys = np.unique(y) if weights == "numpy" else classes
    given = dict(zip(keys, np.array([1.0, 2.0, 5.0]) if weights == "numpy" else [1, 2, 5], strict=True))
    fitted = LSTMClassifier(**QUICK, class_weight=given).fit(X, y)
    back = again(fitted, tmp_path)
    assert back.get_params() == fitted.get_params()
    np.testing.assert_array_equal(back.fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_numbers_of_numpy_are_saved(tmp_path):
    search = GridSearchCV(LSTMClassifier(**QUICK | {"epochs": 1}), {"units": np.arange(2, 4)}, cv=2).fit(X, NUMBERS)
    best = search.best_estimator_.set_params(random_state=np.int64(3))
    assert again(best, tmp_path).get_params() == best.get_params()
    assert json.loads((tmp_path / "estimator.json").read_text())["parameters"]["units"] == best.units
    with pytest.raises(InputError, match=r"estimator\.json: found something that JSON cannot hold") as caught:
        best.set_params(optimizer=object()).save(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_names_of_features_come_back(tmp_path):
    names = [f"t{k}" for k in range(20)]
    rows = pd.DataFrame(X[:, :, 0], columns=names)
    fitted = LSTMClassifier(**QUICK).fit(rows, NUMBERS)
    back = again(fitted, tmp_path)
    assert back.feature_names_in_.tolist() == names
    assert back.feature_names_in_.dtype == fitted.feature_names_in_.dtype
    for one in (fitted, back):
        with pytest.raises(ValueError, match="feature names"):
            one.predict(rows[names[::-1]])
    back.fit(list(X), NUMBERS)  # another form of X forgets them
    assert not hasattr(back, "n_features_in_")
    assert not hasattr(back, "feature_names_in_")
    one_channel = LSTMClassifier(**QUICK).fit(X[:, :, 0], NUMBERS).fit(list(X[:, :, :1]), NUMBERS)
    assert one_channel.predict(X[:, :15, 0]).shape == (18,)


def test_chance_comes_back_where_it_is_a_number(tmp_path):
    fitted = LSTMRegressor(**QUICK).fit(X, NUMBERS)
    fitted.save(tmp_path)
    passes = [LSTMRegressor.load(tmp_path).partial_fit(X, NUMBERS).predict(X) for _ in range(2)]
    np.testing.assert_array_equal(*passes)
    np.testing.assert_array_equal(passes[0], fitted.partial_fit(X, NUMBERS).predict(X))
    fitted.set_params(random_state=np.random.RandomState(0), callbacks=[])
    assert again(fitted, tmp_path).get_params() == fitted.get_params() | {"random_state": None, "callbacks": None}
