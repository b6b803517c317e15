import numpy as np
import pytest

from quadgate.report import print_scores, score


def printed(capsys, labels, chances, classes):
    print_scores(score(labels, chances, classes))
    return capsys.readouterr().out


def test_the_measures_stand_beside_the_baseline(capsys):
    out = printed(capsys, ["a", "a", "b"], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], ["a", "b"])
    rows = {line[:18].strip(): line[18:].split() for line in out.splitlines()}
    assert rows["3 cases"] == ["model", "95", "%", "interval", "always", "a"]
    assert rows["accuracy"] == ["0.6667", "0.2077", "to", "0.9385", "0.6667"]
    assert rows["balanced accuracy"] == ["0.7500", "0.5000"]
    assert rows["ROC AUC"] == ["1.0000", "0.5000"]
    assert out.splitlines()[-1].split() == ["b", ".", "1"]


@pytest.mark.parametrize("K", [2, 9, 10, 11, 60])
def test_it_fits_eighty_columns(capsys, K):
    rng = np.random.default_rng(0)
    names = [f"a class with a long name {k}" for k in range(K)]
    out = printed(capsys, rng.choice(names, 300), rng.dirichlet(np.ones(K), 300), names)
    assert max(map(len, out.splitlines())) <= 80
    assert ("taken for" in out) == (K > 10)


def test_many_classes_list_the_commonest_mistakes(capsys):
    labels = np.repeat(np.arange(12), 3)
    answers = labels.copy()
    answers[[0, 1, 9]] = 7, 7, 5
    out = printed(capsys, labels, np.eye(12)[answers], range(12))
    assert [line.split() for line in out.rstrip().splitlines()[-2:]] == [["0", "7", "2"], ["3", "5", "1"]]


def test_what_is_undefined_or_left_out_is_said(capsys):
    out = printed(capsys, ["a", "a", "z", "z"], [[0.9, 0.1]] * 4, ["a", "b"])
    assert "undefined" in out
    assert "ROC AUC is undefined: every case is of class 'a'" in out
    assert "left out: 2 cases of the unknown label 'z'" in out


def test_names_of_classes_are_shown_as_they_are_and_command_nothing(capsys):
    names = ["[red]", "a\x1b[2J"]
    out = printed(capsys, names, [[0.9, 0.1], [0.2, 0.8]], names)
    assert "[red]" in out
    assert "\x1b" not in out
    assert "a\\x1b" in out.replace("\n", "")
