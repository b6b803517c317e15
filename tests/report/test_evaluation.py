import csv
import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from quadgate.data import Dataset, Sequences
from quadgate.errors import InputError
from quadgate.model import Model, Network, Scaling
from quadgate.report import class_names, evaluate, part_to_judge, predict, predict_steps


def random_model(labels=("up", "down", "left"), classes=3, seed=0, source="model"):
    rng = np.random.default_rng(seed)
    network = Network(inputs=2, units=3, classes=classes, pool="mean")
    variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    return Model(network, variables, labels=labels, scaling=Scaling(mean=[1.0, -2.0], scale=[2.0, 0.5]), source=source)


def random_sequences(cases=7, channels=2, seed=1, **given):
    rng = np.random.default_rng(seed)
    return Sequences([rng.normal(size=(rng.integers(1, 9), channels)) for _ in range(cases)], **given)


def test_predictions_do_not_depend_on_their_company(monkeypatch):
    model, sequences = random_model(), random_sequences(11)
    together = predict(model, sequences)
    monkeypatch.setattr("quadgate.report.evaluation.CASES", 3)
    np.testing.assert_allclose(predict(model, sequences).probabilities, together.probabilities, rtol=1e-6)
    alone = np.concatenate([predict(model, sequences.take([n])).probabilities for n in range(11)])
    np.testing.assert_allclose(alone, together.probabilities, rtol=1e-6)
    expected, _ = model.run(list(sequences.series), output="probabilities")
    np.testing.assert_allclose(together.probabilities, expected, rtol=1e-6)


def test_the_csv_has_every_class_and_reads_back_exactly(tmp_path):
    names = ("x.csv", 'a "b", c.csv', "z")
    predictions = predict(random_model(), random_sequences(3, names=names))
    predictions.write_csv(tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text()
    assert text == predictions.as_csv()
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["case", "class", "probability of up", "probability of down", "probability of left"]
    assert [row[0] for row in rows] == list(names)
    chances = np.array([row[2:] for row in rows], np.float32)
    np.testing.assert_array_equal(chances, predictions.probabilities)
    assert [row[1] for row in rows] == np.array(header[2:])[chances.argmax(1)].astype(str).tolist() or [
        f"probability of {row[1]}" for row in rows
    ] == np.array(header[2:])[chances.argmax(1)].tolist()


def test_evaluation_scores_the_predictions():
    model, sequences = random_model(), random_sequences(9)
    answers = predict(model, sequences).answers
    labels = answers.copy()
    labels[:3] = np.where(answers[:3] == "up", "down", "up")
    scores = evaluate(model, Sequences(sequences.series, labels))
    assert scores.model.accuracy == pytest.approx(6 / 9)
    assert scores.classes == ("up", "down", "left")


def test_unknown_labels_are_refused_or_left_out():
    model, sequences = random_model(), random_sequences(3, labels=["up", "over", "down"])
    with pytest.raises(InputError, match=r"1 cases with labels that training never saw: 'over' \(1\)"):
        evaluate(model, sequences)
    assert evaluate(model, sequences, "ignore").unknown == {"over": 1}
    with pytest.raises(InputError, match=r"unknown_labels: found 'ignor'; did you mean 'ignore'\?"):
        evaluate(model, sequences, "ignor")


def test_a_model_without_names_has_numbered_classes():
    predictions = predict(random_model(labels=None), random_sequences(4))
    assert predictions.classes.tolist() == [0, 1, 2]
    assert predictions.cases == ("0", "1", "2", "3")


def test_series_that_do_not_fit_are_refused():
    with pytest.raises(InputError) as caught:
        predict(random_model(), random_sequences(3, channels=5, source="five.npz"))
    assert str(caught.value) == "five.npz: found 5 channels, expected 2 as in training"
    with pytest.raises(
        InputError, match=r"X2\.npy: found 1 channel, expected 2 .*\[cases, steps, 2\], or --channels 2 to cut"
    ):
        predict(random_model(), random_sequences(3, channels=1, source="X2.npy"))
    swapped = Sequences([np.zeros((2, 9))] * 3, source="X.npy")
    with pytest.raises(InputError, match=r"X\.npy: found 9 channels, expected 2 .* look swapped: give --axes NCT"):
        predict(random_model(), swapped)


def test_recurrent_layers_alone_cannot_classify():
    network = Network(inputs=2, units=1, classes=None)
    model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()}, source="rnn")
    with pytest.raises(InputError, match="rnn: found recurrent layers alone, expected a classifier with a head"):
        predict(model, random_sequences(2))


def test_the_test_part_is_judged_where_there_is_one():
    train, test = random_sequences(5), random_sequences(3, seed=2)
    assert part_to_judge(Dataset(train, test))[0] is test
    part, which = part_to_judge(Dataset(train))
    assert part is train
    assert which.startswith("all cases: 5 cases")


def test_a_model_is_not_flattered_in_silence():
    cases = random_sequences(5, source="mine.csv")
    _, which = part_to_judge(Dataset(cases), random_model(source="quadgate train on mine.csv"))
    assert "note: it was trained on data of this name" in which
    for model, data in (
        ("quadgate train on other.csv", Dataset(cases)),
        ("quadgate train on mine.csv", Dataset(cases, cases)),
    ):
        assert "note" not in part_to_judge(data, random_model(source=model))[1]


def test_a_class_at_each_step_is_held_against_the_answer_after_it():
    model, plain = random_model(), random_sequences(6)
    rng = np.random.default_rng(1)
    steps = tuple(rng.choice(class_names(model), length) for length in plain.lengths)
    cases = replace(plain, step_labels=steps)
    scores, said = evaluate(model, cases), predict_steps(model, cases)
    assert (scores.cases, scores.steps) == (6, plain.lengths.sum())
    assert scores.model.accuracy == np.mean(said.answers == np.concatenate(steps))
    assert scores.confusion.sum() == scores.steps
    low, high = scores.interval
    assert high - low > 0.4  # six cases, however many steps
    ends = np.cumsum(plain.lengths) - 1
    np.testing.assert_array_equal(said.probabilities[ends], predict(model, plain).probabilities)
    header, *rows = csv.reader(io.StringIO(said.as_csv()))
    assert header[:3] == ["case", "step", "class"]
    assert [row[1] for row in rows[: plain.lengths[0]]] == [str(step) for step in range(plain.lengths[0])]
    assert said.as_json()["step"][-1] == plain.lengths[-1] - 1
    odd = replace(plain, step_labels=tuple(np.full(length, "?") for length in plain.lengths))
    with pytest.raises(InputError, match=rf"found {scores.steps} steps with labels that training never saw"):
        evaluate(model, odd)


def test_evaluation_needs_no_torch():
    text = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not here")

sys.meta_path.insert(0, NoTorch())
from quadgate.report import score
score([0, 1], [[0.9, 0.1], [0.2, 0.8]], [0, 1])
"""
    subprocess.run([sys.executable, "-c", text], check=True, capture_output=True)
