import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from quadgate.data import Sequences
from quadgate.errors import InputError
from quadgate.report import check_labels, score, wilson_interval


def random_answers(N, K, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(K), rng.integers(K, size=N - K)])
    chances = rng.dirichlet(np.ones(K), size=N) + 0.3 * np.eye(K)[labels]
    return labels, chances / chances.sum(1, keepdims=True)


@pytest.mark.parametrize(("N", "K"), [(40, 2), (53, 3), (200, 9)])
def test_measures_are_those_of_scikit_learn(N, K):
    labels, chances = random_answers(N, K)
    found = score(labels, chances, range(K)).model
    answers = chances.argmax(1)
    auc = roc_auc_score(labels, chances[:, 1] if K == 2 else chances, multi_class="ovr", average="macro")
    assert found.accuracy == accuracy_score(labels, answers)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, answers))
    assert found.macro_f1 == pytest.approx(f1_score(labels, answers, average="macro"))
    assert found.roc_auc == pytest.approx(auc)
    assert found.log_loss == pytest.approx(log_loss(labels, chances))


def test_a_small_case_by_hand():
    found = score(["cat", "cat", "cat", "dog"], [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]], ["cat", "dog"])
    assert found.confusion.tolist() == [[2, 1], [1, 0]]
    assert found.model.accuracy == 0.5
    assert found.model.balanced_accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert found.model.macro_f1 == pytest.approx((4 / 6 + 0) / 2)
    assert found.model.roc_auc == pytest.approx(2 / 3)
    assert found.model.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.3, 0.5]).mean())
    assert found.majority == "cat"
    assert found.baseline.accuracy == 0.75
    assert found.baseline.balanced_accuracy == 0.5
    assert found.baseline.macro_f1 == pytest.approx((6 / 7) / 2)
    assert found.baseline.roc_auc == 0.5
    assert found.baseline.log_loss == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_that_of_scipy(counts):
    expected = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_float32_rows_need_not_sum_to_one_exactly():
    labels, chances = random_answers(60, 9)
    one = score(labels, chances, range(9)).model
    other = score(labels, chances.astype(np.float32), range(9)).model
    assert other.log_loss == pytest.approx(one.log_loss, rel=1e-5)


def test_a_certain_mistake_has_a_finite_loss():
    found = score([0, 1], [[0.0, 1.0], [0.0, 1.0]], [0, 1]).model
    assert np.isfinite(found.log_loss)
    assert found.log_loss > 15


def test_unknown_labels_are_counted_apart():
    found = score(["a", "z", "b", "z", "y"], [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5]], ["a", "b"])
    assert (found.cases, found.model.accuracy, found.unknown) == (2, 1.0, {"y": 1, "z": 2})


def test_a_number_is_not_the_text_of_it():
    with pytest.raises(InputError, match="found no case of a class that the model knows"):
        score([1, 2], [[0.5, 0.5]] * 2, ["1", "2"])


def test_one_class_alone_leaves_the_area_undefined():
    found = score(["b", "b"], [[0.1, 0.9], [0.6, 0.4]], ["a", "b"])
    assert found.model.roc_auc is None
    assert found.baseline.roc_auc is None
    assert found.notes == ("ROC AUC is undefined: every case is of class 'b'",)
    assert found.model.balanced_accuracy == 0.5


def test_an_absent_class_is_left_out_of_the_means_and_named():
    labels, chances = random_answers(30, 3)
    found = score(labels, np.pad(chances, ((0, 0), (0, 1))), range(4))
    plain = score(labels, chances, range(3))
    assert found.model.roc_auc == pytest.approx(plain.model.roc_auc)
    assert found.model.balanced_accuracy == pytest.approx(plain.model.balanced_accuracy)
    assert found.notes == ("ROC AUC and balanced accuracy leave out classes without a case: 3",)


def test_json_holds_everything():
    found = json.loads(json.dumps(score(["a", "z"], [[0.9, 0.1]] * 2, ["a", "b"]).as_json()))
    assert found["unknown"] == [{"label": "z", "cases": 1}]
    assert found["model"]["roc_auc"] is None
    assert found["baseline"]["class"] == "a"
    assert found["confusion"] == [[1, 0], [0, 0]]


def test_labels_that_training_never_saw_are_named_and_counted():
    sequences = Sequences([[[0.0]]] * 4, labels=["a", "x", "y", "x"], source="new.npz")
    with pytest.raises(InputError) as caught:
        check_labels(sequences, ["a", "b"])
    assert str(caught.value) == (
        "new.npz: found 3 cases with labels that training never saw: 'x' (2), 'y' (1); expected 'a', 'b'; "
        "`evaluate --unknown-labels ignore` counts such cases apart"
    )
    assert check_labels(sequences, ["a", "b"], refuse=False).tolist() == ["a", "x", "y", "x"]
    with pytest.raises(InputError, match="found no labels, expected one for each case; use `quadgate predict`"):
        check_labels(Sequences([[[0.0]]]), ["a"])
