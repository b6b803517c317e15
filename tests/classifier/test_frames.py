"""Long tables of pandas and polars as X."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from quadgate import LSTMClassifier, LSTMRegressor
from quadgate.data import make_sequences
from quadgate.errors import InputError

QUICK = {"units": 4, "epochs": 2, "valid_fraction": 0.0, "random_state": 1}
MADE = make_sequences(12, time=(20, 25), channels=3)
IDS = [f"run {number}" for number in np.random.default_rng(0).permutation(12)]
Y = np.array(["no", "yes"])[MADE.labels]


def table(**more):
    parts = [
        pd.DataFrame(
            {"case": name, "time": np.arange(len(one)), "u": one[:, 0], "v": one[:, 1], "w": one[:, 2], **more}
        )
        for name, one in zip(IDS, MADE.series, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def fitted():
    return LSTMClassifier(**QUICK).fit(table(), Y)


def test_a_table_is_the_list_of_its_cases(fitted):
    plain = LSTMClassifier(**QUICK).fit(list(MADE.series), Y)
    expected = plain.predict_proba(list(MADE.series))
    np.testing.assert_array_equal(fitted.predict_proba(table()), expected)
    np.testing.assert_array_equal(fitted.predict_proba(pl.from_pandas(table())), expected)
    assert fitted.channel_names_in_ == ("u", "v", "w")
    assert fitted.model_.channels == ("u", "v", "w")
    named = table().rename(columns={"case": "id", "time": "when"})
    own = LSTMClassifier(**QUICK, case="id", time="when").fit(pl.from_pandas(named), Y)
    np.testing.assert_array_equal(own.predict_proba(named), expected)


def test_channels_are_matched_by_name_and_rows_of_cases_may_be_mixed(fitted):
    expected = fitted.predict_proba(table())
    np.testing.assert_array_equal(fitted.predict_proba(table()[["w", "case", "v", "time", "u"]]), expected)
    mixed = table().sort_values("time", kind="stable")
    order = [IDS.index(name) for name in dict.fromkeys(mixed["case"])]
    np.testing.assert_array_equal(fitted.predict_proba(mixed), expected[order])


def test_labels_by_id_and_labels_in_order():
    by_id = pd.Series(Y, index=IDS).sample(frac=1, random_state=2)
    expected = LSTMClassifier(**QUICK).fit(table(), Y).predict_proba(table())
    np.testing.assert_array_equal(LSTMClassifier(**QUICK).fit(table(), by_id).predict_proba(table()), expected)
    in_order = pd.Series(Y)
    np.testing.assert_array_equal(LSTMClassifier(**QUICK).fit(table(), in_order).predict_proba(table()), expected)


def test_score_matches_labels_by_id_as_fit_does(fitted):
    by_id = pd.Series(Y, index=IDS).sample(frac=1, random_state=2)
    assert fitted.score(table(), by_id) == fitted.score(table(), Y)
    with pytest.raises(ValueError, match="inconsistent"):
        fitted.score(table(), Y[:1])
    amounts = pd.Series(np.arange(12.0), index=IDS)
    regressor = LSTMRegressor(**QUICK).fit(table(), amounts)
    assert regressor.score(table(), amounts.sample(frac=1, random_state=2)) == regressor.score(table(), amounts)


def test_labels_of_which_some_are_by_id_are_refused():
    by_id = pd.Series(Y, index=["run x", *IDS[1:]])
    with pytest.raises(InputError, match=rf"y: found none of case '{IDS[0]}'; index it by the ids of the cases"):
        LSTMClassifier(**QUICK).fit(table(), by_id)


def test_a_column_without_a_name_is_row_numbers_in_fit_and_predict(fitted):
    numbered = table()
    numbered.insert(0, "", range(len(numbered)))
    np.testing.assert_array_equal(fitted.predict(numbered), fitted.predict(table()))


def test_missing_values_of_a_table_are_those_of_a_list():
    holes = table()
    holes.loc[[3, 4, 40], "v"] = np.nan
    bounds = np.cumsum([len(one) for one in MADE.series])[:-1]
    series = np.split(holes[["u", "v", "w"]].to_numpy(np.float32), bounds)
    for missing in ("forward", "interpolate"):
        found, expected = (
            LSTMClassifier(**QUICK, missing=missing).fit(X, Y).predict_proba(X) for X in (holes, list(series))
        )
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(InputError, match=r"X, case 0 \('run \d+'\), step 3, channel 'v': found NaN"):
        LSTMClassifier(**QUICK).fit(holes, Y)


def test_a_saved_estimator_knows_its_channels(fitted, tmp_path):
    fitted.save(tmp_path)
    again = LSTMClassifier.load(tmp_path)
    np.testing.assert_array_equal(
        again.predict_proba(table()[["v", "u", "w", "time", "case"]]), fitted.predict_proba(table())
    )


def later(frame, row, time):
    frame.loc[row, "time"] = time
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (later(table(), 5, 3), f"X, case {IDS[0]}: found the time 3 after 4, expected times that rise"),
        (later(table(), 5, 4), f"X, case {IDS[0]}: found the time 4 twice, expected times that rise"),
        (later(table().astype({"time": float}), 5, np.nan), "row 6: found no time in the column 'time'"),
        (table().drop(columns="v"), "found no column of the channel 'v' of fit"),
        (table().rename(columns={"v": "V"}), "found no column of the channel 'v' of fit"),
        (table(x=1.0), "found the column 'x', which is no channel of fit (u, v, w)"),
        (table(label=1), "found the column 'label' among the channels, expected it as y"),
        (table(subject=1), "found the column 'subject' among the channels, expected it as groups="),
        (table(v="much"), "row 1, column 'v': found 'much', expected a number"),
        (table().drop(columns="case"), "found no column of the case among time, u, v, w; name it with case="),
        (table().assign(case=2.0**53), "found the case 9007199254740992 as float64"),
    ],
    ids=range(11),
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(fitted, frame, message):
    with pytest.raises(InputError) as caught:
        fitted.predict(frame)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", ["sample_weight", "groups"])
def test_weights_and_groups_by_id_are_those_of_y(argument, monkeypatch):
    from quadgate.training import run

    numbers = np.arange(12) % 3
    given, seen, split = [], [], run.split
    monkeypatch.setattr(run, "split", lambda cases, *more: seen.append(cases) or split(cases, *more))
    by_id = pd.Series(numbers, index=IDS).sample(frac=1, random_state=2)
    settings = QUICK | {"valid_fraction": 0.4}
    for values in (numbers, by_id):
        fitted = LSTMClassifier(**settings).fit(table(), Y, **{argument: values})
        given.append(fitted.predict_proba(table()))
        if argument == "sample_weight":
            assert fitted._places.tolist() == np.flatnonzero(numbers).tolist()
            assert fitted.score(table(), Y, by_id) == fitted.score(table(), Y, numbers)
        else:
            assert seen[-1].groups.tolist() == numbers.tolist()
    np.testing.assert_array_equal(*given)
    with pytest.raises(InputError, match=rf"{argument}: found none of case '{IDS[0]}'; index it by the ids"):
        LSTMClassifier(**settings).fit(table(), Y, **{argument: pd.Series(numbers, index=["run x", *IDS[1:]])})


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_tables_in_a_list_are_matched_by_name(kind):
    def tables(order="uvw"):
        return [kind({name: one[:, "uvw".index(name)] for name in order}) for one in MADE.series]

    fitted = LSTMClassifier(**QUICK).fit(tables(), Y)
    expected = LSTMClassifier(**QUICK).fit(list(MADE.series), Y).predict_proba(list(MADE.series))
    assert fitted.channel_names_in_ == fitted.model_.channels == ("u", "v", "w")
    for same in (tables(), tables("wvu"), list(MADE.series), table()):
        np.testing.assert_array_equal(fitted.predict_proba(same), expected)
    mixed = [one if k % 2 else two for k, (one, two) in enumerate(zip(tables("wuv"), tables(), strict=True))]
    np.testing.assert_array_equal(LSTMClassifier(**QUICK).fit(mixed, Y).predict_proba(mixed), expected)
    long = LSTMClassifier(**QUICK).fit(table(), Y)
    np.testing.assert_array_equal(long.predict_proba(tables("vwu")), expected)
    other = [kind({"u": one[:, 0], "v": one[:, 1], "x": one[:, 2]}) for one in MADE.series]
    with pytest.raises(InputError, match="X, case 0: found the channels u, v, x, expected u, v, w"):
        fitted.predict(other)
    with pytest.raises(InputError, match="X, case 1: found the channels u, v, x, expected u, v, w"):
        LSTMClassifier(**QUICK).fit([tables()[0], *other[1:]], Y)


def test_tables_whose_columns_are_numbers_are_matched_by_them():
    tables = [pd.DataFrame(one) for one in MADE.series]
    fitted = LSTMClassifier(**QUICK).fit(tables, Y)
    expected = fitted.predict_proba(tables)
    np.testing.assert_array_equal(fitted.predict_proba([one[[2, 0, 1]] for one in tables]), expected)
    turned = LSTMClassifier(**QUICK, axes="NCT").fit([one.T for one in tables], Y)
    np.testing.assert_array_equal(turned.predict_proba([one.T for one in tables]), expected)


def test_a_table_without_rows_or_with_a_column_twice_is_refused(fitted):
    twice = table().rename(columns={"w": "v"})
    for call, message in (
        (lambda: fitted.predict(table().iloc[:0]), "X: found a table without rows, expected at least one case"),
        (lambda: fitted.predict(pl.from_pandas(table())[:0]), "X: found a table without rows"),
        (lambda: LSTMClassifier(**QUICK).fit(twice, Y), "X: found two columns named 'v', expected a name for each"),
        (lambda: fitted.predict([twice]), "X, case 0: found two columns named 'v', expected a name for each"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
