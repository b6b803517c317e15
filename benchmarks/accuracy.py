"""Test accuracy and training time of quadgate's presets and of their peers, on labelled sets that anyone has.

    python benchmarks/accuracy.py [--sets NAME ...] [--learners NAME ...] [--seeds 5] [--arem FOLDER]
    python benchmarks/accuracy.py --table

Every (set, learner, seed) is measured once and added as a line to `benchmarks/results/accuracy.jsonl`; a second call
goes on with what is not there yet, seed by seed over all sets, so that an unfinished table is even. The sets are those
in aeon's package, in the archive's own two parts, and AReM (UCI) from a folder with a folder for each class: files 1
and 2 of both bendings and 1 to 3 of the rest are the test part. The test part is measured once for each seed and
decides nothing.

Each learner runs on one thread with its library's own settings, but for what LEARNERS says. Time is processor time of
the process while it learns, its library imported before: on a machine with other work, the clock on the wall would
measure the work.

The learners `tsai` (`pip install aeon tsai`) and `fcn` (`pip install aeon tensorflow-cpu`) run in environments of
their own, this repository's `src` in PYTHONPATH; `keras` runs on torch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from datetime import date
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402 (threads are set before NumPy starts them)

from quadgate.data import Sequences, pad, read  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
SETS = (
    "JapaneseVowels", "BasicMotions", "ItalyPowerDemand", "GunPoint", "ArrowHead", "AReM", "OSULeaf", "ACSF1",
)  # fmt: skip
EPOCHS, PATIENCE, BATCH = 60, 20, 32  # of the Keras LSTM: as quadgate's `seed`
TSAI_EPOCHS = 100  # as in its introduction
FCN_EPOCHS = 200  # aeon's default is 2000, which takes hours here
Parts = tuple[Sequences, Sequences]
Learned = tuple[Callable[[Sequences], np.ndarray], dict[str, Any]]


def read_set(name: str, arem: Path) -> Parts:
    """Return the training and the test part of a set."""
    if name != "AReM":
        data = read(name)
        assert data.test is not None
        return data.train, data.test
    cases = read(arem).train
    assert cases.names is not None
    assert cases.labels is not None
    number = [int("".join(filter(str.isdigit, Path(case).stem))) for case in cases.names]
    tested = np.array(
        [n <= (2 if "bending" in str(label) else 3) for n, label in zip(number, cases.labels, strict=True)]
    )
    return cases.take(np.flatnonzero(~tested)), cases.take(np.flatnonzero(tested))


def by_preset(preset: str) -> Callable[[Sequences, int], Learned]:
    """Learn as `quadgate train --preset` does."""

    def learn(cases: Sequences, seed: int) -> Learned:
        from quadgate import training

        run = training.train(cases, training.preset(preset).changed(seed=seed))
        labels = np.array(run.model.labels)

        def predict(judged: Sequences) -> np.ndarray:
            return labels[run.model.run(list(judged.series), output="probabilities")[0].argmax(axis=1)]

        return predict, {"epochs": len(run.history.epochs), "parameters": run.parameters}

    return learn


def scaled(cases: Sequences) -> tuple[Callable[[Sequences], np.ndarray], int]:
    """Return what scales and pads series to the longest of the training part, and that length."""
    from quadgate.data import fit_scaling

    scaling, longest = fit_scaling(cases), int(cases.lengths.max())

    def prepare(judged: Sequences) -> np.ndarray:
        x = pad([scaling.apply(one) for one in judged.series])[0][:, :longest]
        return np.pad(x, ((0, 0), (0, longest - x.shape[1]), (0, 0)))

    return prepare, longest


def keras_lstm(cases: Sequences, seed: int) -> Learned:
    """Keras's own LSTM of 64 units and a softmax layer, masked, with early stopping on a fifth of the cases."""
    import keras

    keras.utils.set_random_seed(seed)
    prepare, longest = scaled(cases)
    classes, targets = np.unique(cases.labels, return_inverse=True)
    unequal = bool((cases.lengths != longest).any())
    network = keras.Sequential(
        [
            keras.Input((longest, len(cases.channels))),
            *([keras.layers.Masking()] if unequal else []),
            # On a CPU, its way for cuDNN makes the gradient of all steps anew at each of them: faster on short series,
            # while an epoch of ACSF1 takes 161 s in place of 13, with the same losses.
            keras.layers.LSTM(64, use_cudnn="auto" if longest < 300 else False),
            keras.layers.Dense(len(classes), activation="softmax"),
        ]
    )
    network.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    order = np.random.default_rng(seed).permutation(len(cases))  # validation_split takes the last ones
    stop = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    told = network.fit(
        prepare(cases)[order], targets[order], batch_size=BATCH, epochs=EPOCHS, validation_split=0.2,
        callbacks=[stop], verbose=0,
    )  # fmt: skip

    def predict(judged: Sequences) -> np.ndarray:
        return classes[network.predict(prepare(judged), verbose=0).argmax(axis=1)]

    return predict, {"epochs": len(told.epoch), "parameters": network.count_params()}


def tsai_lstm(cases: Sequences, seed: int) -> Learned:
    """The LSTM of tsai, of 100 units, with the defaults of its classifier."""
    import torch
    from tsai.data.core import TSClassification
    from tsai.tslearner import TSClassifier

    prepare, _ = scaled(cases)
    classes, targets = np.unique(cases.labels, return_inverse=True)
    with TemporaryDirectory() as folder:
        learner = TSClassifier(
            prepare(cases).transpose(0, 2, 1), targets, arch="LSTM", tfms=[None, TSClassification()], seed=seed,
            path=folder,
        )  # fmt: skip
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(TSAI_EPOCHS)

    def predict(judged: Sequences) -> np.ndarray:
        with torch.no_grad():
            answers = learner.model.eval()(torch.from_numpy(prepare(judged).transpose(0, 2, 1).copy()))
        return classes[answers.argmax(1).numpy()]

    return predict, {"epochs": TSAI_EPOCHS, "parameters": sum(one.numel() for one in learner.model.parameters())}


def of_aeon(cases: Sequences, learner: Any) -> Learned:
    """Fit one of aeon's classifiers, on series padded to the longest (none of these takes unequal lengths)."""
    prepare, _ = scaled(cases)
    learner.fit(prepare(cases).transpose(0, 2, 1).astype(np.float64), cases.labels)

    def predict(judged: Sequences) -> np.ndarray:
        return np.asarray(learner.predict(prepare(judged).transpose(0, 2, 1).astype(np.float64)))

    return predict, {}


def mini_rocket(cases: Sequences, seed: int) -> Learned:
    """Aeon's MiniRocket with its defaults."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    return of_aeon(cases, MiniRocketClassifier(random_state=seed, n_jobs=1))


def fcn(cases: Sequences, seed: int) -> Learned:
    """Aeon's fully convolutional network (Wang 2017) with its defaults, but fewer epochs."""
    import tensorflow as tf
    from aeon.classification.deep_learning import FCNClassifier

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with TemporaryDirectory() as folder:  # it keeps its best epoch in a file
        return of_aeon(cases, FCNClassifier(n_epochs=FCN_EPOCHS, random_state=seed, file_path=f"{folder}/"))


LEARNERS: dict[str, Callable[[Sequences, int], Learned]] = {
    "seed": by_preset("seed"),
    "default": by_preset("default"),
    "best": by_preset("best"),
    "keras": keras_lstm,
    "tsai": tsai_lstm,
    "fcn": fcn,
    "minirocket": mini_rocket,
}
MODULES = {
    "keras": "keras",
    "tsai": "tsai.basics",
    "fcn": "tensorflow",
    "minirocket": "aeon.classification.convolution_based",
}
LIBRARIES = {
    "keras": ("keras", "torch"),
    "tsai": ("tsai", "torch"),
    "fcn": ("aeon", "tensorflow_cpu"),
    "minirocket": ("aeon", "numba"),
}


def measure(name: str, learner: str, seed: int, parts: Parts) -> dict[str, Any]:
    """Learn once and measure once."""
    learn, judged = parts
    os.environ["KERAS_BACKEND"] = "tensorflow" if learner == "fcn" else "torch"
    import_module(MODULES.get(learner, "quadgate.training"))
    begin = process_time()
    predict, more = LEARNERS[learner](learn, seed)
    seconds = process_time() - begin
    accuracy = float((predict(judged) == judged.labels).mean())
    return {
        "set": name,
        "learner": learner,
        "seed": seed,
        "accuracy": round(accuracy, 4),
        "seconds": round(seconds, 1),
    } | more


def measured() -> list[dict[str, Any]]:
    """Return what is there already."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def machine(learner: str) -> dict[str, Any]:
    """Say where and with what it was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {}
    for library in LIBRARIES.get(learner, ("quadgate", "torch")):
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "unknown"
    where = {"date": date.today().isoformat(), "processor": processors[0], "python": platform.python_version()}
    return where | versions


def table() -> str:
    """Return the results as Markdown: the median accuracy over the seeds, and the mean processor time."""
    found = measured()
    learners = [name for name in LEARNERS if any(one["learner"] == name for one in found)]
    lines = ["| set | " + " | ".join(learners) + " |", "|---" * (len(learners) + 1) + "|"]
    means: dict[str, list[float]] = {name: [] for name in learners}
    for name in SETS:
        cells = []
        for learner in learners:
            runs = [one for one in found if one["set"] == name and one["learner"] == learner]
            if not runs:
                cells.append("-")
                continue
            middle = median(one["accuracy"] for one in runs)
            means[learner].append(middle)
            few = "" if len(runs) == 5 else f" ({len(runs)})"
            cells.append(f"{middle:.3f}{few}, {mean(one['seconds'] for one in runs):.0f} s")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    whole = [f"{mean(means[one]):.3f}" if len(means[one]) == len(SETS) else "-" for one in learners]
    return "\n".join([*lines, "| mean | " + " | ".join(whole) + " |"])


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=[*LEARNERS])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arem", type=Path, help="the folder of AReM; without it that set is left out")
    parser.add_argument("--table", action="store_true", help="print the results and measure nothing")
    asked = parser.parse_args()
    if asked.table:
        print(table())
        return
    there = {(one["set"], one["learner"], one["seed"]) for one in measured()}
    for seed in range(asked.seeds):
        for name in asked.sets:
            if name == "AReM" and asked.arem is None:
                continue
            parts = read_set(name, asked.arem)
            for learner in asked.learners:
                if (name, learner, seed) in there:
                    continue
                if learner != "fcn":
                    import torch

                    torch.set_num_threads(1)
                result = measure(name, learner, seed, parts)
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result | machine(learner)) + "\n")
                print(result, flush=True)


if __name__ == "__main__":
    main()
