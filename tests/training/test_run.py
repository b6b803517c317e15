import json

import numpy as np
import pytest

import quadgate
from quadgate.data import Dataset, Sequences, fit_scaling, make_sequences, split
from quadgate.errors import InputError
from quadgate.training import Callback, Settings, StoppedError, hold_out, new_folder, preset, train
from quadgate.training.blueprint import Blueprint
from small_training import assert_same_bits

QUICK = Settings(units=4, batch_size=8, batches=1, epochs=3, steps=0, patience=3, least_valid=0, seed=5)


def made(cases=30, seed=0):
    found = make_sequences(cases, time=(20, 25), channels=3, low=2, high=9, seed=seed)
    return Sequences(found.series, np.array(["b", "a"])[found.labels], channels=("u", "v", "w"), source="made")


class Stop(Callback):
    def __init__(self, stage, batches):
        self.where = stage, batches

    def on_batch(self, *progress):
        if progress[:2] == self.where:
            raise KeyboardInterrupt


def numbers(model):
    return {name: np.asarray(array) for name, array in model.variables.items()}


def test_a_run_leaves_a_folder_that_loads(tmp_path):
    run = train(made(), QUICK, tmp_path / "run")
    model = quadgate.load(tmp_path / "run")
    assert_same_bits(numbers(run.model), numbers(model))
    assert model.labels == ("a", "b")
    assert model.channels == ("u", "v", "w")
    scaling = fit_scaling(made())
    np.testing.assert_array_equal(model.scaling.mean, scaling.mean)
    np.testing.assert_array_equal(model.scaling.scale, scaling.scale)
    assert (run.fitted_cases, run.validation_cases) == (24, 6)
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    stages = [json.loads(line)["stage"] for line in lines]
    assert stages == ["search"] * stages.count("search") + ["refit"] * stages.count("refit")
    assert run.parameters == sum(array.size for array in numbers(model).values())


@pytest.mark.parametrize(
    ("stage", "batches"), [("search", 2), ("search", 5), ("search", 9), ("refit", 1), ("refit", 6)]
)
def test_a_stopped_run_keeps_the_best_and_goes_on_to_the_same_bits(tmp_path, stage, batches):
    whole = train(made(), QUICK, tmp_path / "whole")
    folder = tmp_path / "stopped"
    with pytest.raises(StoppedError) as stopped:
        train(made(), QUICK, folder, callbacks=[Stop(stage, batches)])
    if (stage, batches) == ("search", 2):
        assert str(stopped.value) == f"stopped before the first epoch was over; {folder} holds no model yet"
        assert not (folder / "model.safetensors").exists()
    else:
        assert f"the best network so far is saved in {folder}" in str(stopped.value)
        assert quadgate.load(folder).labels == ("a", "b")
    resumed = train(made(), QUICK, folder, resume=True)
    assert_same_bits(numbers(whole.model), numbers(resumed.model))
    assert resumed.search == whole.search
    assert [(r.stage, r.epoch, r.train_loss) for r in resumed.history.epochs] == [
        (r.stage, r.epoch, r.train_loss) for r in whole.history.epochs
    ]


def stopped_at(folder, settings, stage, batches):
    """Return the numbers that a run holds which was stopped after some batches of a stage."""
    with pytest.raises(StoppedError, match="the best network so far is saved"):
        train(made(), settings, folder, callbacks=[Stop(stage, batches)])
    return numbers(quadgate.load(folder))


def test_a_stopped_refit_that_nothing_went_before_leaves_its_last_epoch(tmp_path):
    settings = QUICK.changed(valid_fraction=0.0, epochs=4)
    drawn = numbers(
        Blueprint.of(made(), settings).model([Blueprint.of(made(), settings).build(settings, None)], made())
    )
    steps = -(-30 // settings.batch_size)
    two, in_third = (stopped_at(tmp_path / str(n), settings, "refit", n) for n in (2 * steps + 1, 3 * steps - 1))
    assert_same_bits(two, in_third)
    assert all(np.abs(two[name] - drawn[name]).max() > 1e-4 for name in drawn)


def test_a_search_that_is_over_is_kept_until_the_refit_is_over(tmp_path):
    alone = train(made(), QUICK.changed(refit=False))
    searching = QUICK.changed(searches=2)
    assert_same_bits(numbers(alone.model), stopped_at(tmp_path / "search", searching, "search 2", 2))
    assert_same_bits(numbers(alone.model), stopped_at(tmp_path / "refit", QUICK, "refit", 6))


def test_each_fit_of_each_network_has_a_name_of_its_own(tmp_path):
    settings = QUICK.changed(searches=2, members=2, epochs=2)
    whole = train(made(), settings, tmp_path / "whole")
    stages = list(dict.fromkeys(one.stage for one in whole.history.epochs))
    first = ["search", "search 2", "refit"]
    assert stages == [*first, *(f"network 2 {stage}" for stage in first)]
    assert len(list((tmp_path / "whole" / "checkpoints").iterdir())) >= 6
    with pytest.raises(StoppedError, match="the best network so far is saved"):
        train(made(), settings, tmp_path / "one", callbacks=[Stop("network 2 search", 1)])
    assert_same_bits(numbers(quadgate.load(tmp_path / "one")), numbers(whole.model.members[0].model))
    assert_same_bits(numbers(train(made(), settings, tmp_path / "one", resume=True).model), numbers(whole.model))


def test_a_finished_run_resumes_to_itself(tmp_path):
    one = train(made(), QUICK, tmp_path)
    again = train(made(), QUICK, tmp_path, resume=True)
    assert_same_bits(numbers(one.model), numbers(again.model))


def test_the_seed_preset_trains_once(tmp_path):
    run = train(made(), preset("seed").changed(units=3, epochs=2), tmp_path)
    assert {record.stage for record in run.history.epochs} == {"search"}
    assert set(run.model.variables) == {
        "rnn/basic_lstm_cell/kernel",
        "rnn/basic_lstm_cell/bias",
        "out/weights",
        "out/biases",
    }


def test_the_module_and_the_saved_model_say_the_same(tmp_path):
    """What training measured on its validation part is what the saved model gives, scaling included."""
    settings = QUICK.changed(refit=False)
    run = train(made(), settings, tmp_path)
    _, held = split(made(), settings.valid_fraction, settings.seed)
    logits, _ = run.model.run(list(held.series))
    right = np.array(["a", "b"])[logits.argmax(1)] == held.labels
    record = run.history.epochs[run.search.best_epoch - 1]
    assert right.mean() == pytest.approx(record.valid_accuracy)
    chances, _ = run.model.run(list(held.series), output="probabilities")
    true = np.searchsorted(["a", "b"], held.labels)
    loss = -np.log(chances[np.arange(len(true)), true]).mean()
    assert loss == pytest.approx(record.valid_loss, rel=1e-4)


def test_the_reach_is_announced_before_training(tmp_path):
    seen = []
    run = train(made(), QUICK, tmp_path, callbacks=[], announce=seen.append)
    (preview,) = seen
    assert preview.reach is run.reach_before
    assert preview.parameters == run.parameters
    assert not preview.streams
    assert run.reach_before.steps == run.reach_after.steps == 25


def test_folders_in_use_and_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"exists already; go on with --resume, or give another --out"):
        train(made(), QUICK, tmp_path)
    with pytest.raises(InputError, match="exists already"):
        train(made(), QUICK, tmp_path / "file")
    with pytest.raises(InputError, match="found no run to resume"):
        train(made(), QUICK, tmp_path, resume=True)


def test_a_run_that_was_killed_before_it_began_resumes_from_its_beginning(tmp_path):
    whole = train(made(), QUICK, tmp_path / "whole")
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        assert_same_bits(numbers(whole.model), numbers(train(made(), QUICK, tmp_path / name, resume=True).model))


def test_resuming_with_other_data_or_settings_is_refused(tmp_path):
    train(made(), QUICK, tmp_path)
    with pytest.raises(InputError, match="other training data"):
        train(made(seed=1), QUICK, tmp_path, resume=True)
    with pytest.raises(InputError, match="units: found 5, but the run was begun with 4"):
        train(made(), QUICK.changed(units=5), tmp_path, resume=True)


def test_data_that_cannot_be_trained_on_leaves_no_folder(tmp_path):
    one_class = Sequences([[[0.0]]] * 4, labels=["x"] * 4)
    for sequences, text in ((one_class, "one class only"), (Sequences([[[0.0]]] * 4), "found no labels")):
        with pytest.raises(InputError, match=text):
            train(sequences, QUICK, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_test_part_is_held_out_and_it_is_said_which():
    given = Dataset(made(), made(8, seed=1))
    assert hold_out(given, QUICK) == (given.train, given.test, None)
    learn, judge, line = hold_out(Dataset(made(40)), QUICK)
    assert (len(learn), len(judge)) == (30, 10)
    assert (
        line == "no test part was given: 10 of 40 cases are held out (every class keeps its share, drawn with seed 5)"
    )
    groups = Sequences(made(40).series, made(40).labels, groups=np.arange(40) // 5)
    learn, judge, line = hold_out(Dataset(groups), QUICK)
    assert not set(learn.groups) & set(judge.groups)
    assert line.endswith(f"(whole groups: {', '.join(map(str, np.unique(judge.groups)))})")


def test_examples_are_scaled_and_numbered():
    found = Blueprint.of(made(), QUICK.changed(frames=0)).examples(made())
    every = np.concatenate(found.series)
    np.testing.assert_allclose(every.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(every.std(0), 1, rtol=1e-5)
    assert found.targets.tolist() == [int(label == "b") for label in made().labels]


def test_a_new_folder_has_the_date_and_is_new(tmp_path):
    one = new_folder(tmp_path, "JapaneseVowels")
    assert one.name.endswith("-JapaneseVowels")
    one.mkdir()
    two = new_folder(tmp_path, "JapaneseVowels")
    two.mkdir()
    assert two.name == f"{one.name}-2"
    assert new_folder(tmp_path, "JapaneseVowels").name == f"{one.name}-3"
