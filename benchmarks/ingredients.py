"""How accurate the presets are, and what each ingredient of the default gives.

    python benchmarks/ingredients.py [archive] [ingredients] [sets] [long]     (all without arguments; one thread each)

archive: JapaneseVowels in the archive's own parts, five seeds of both presets. The test part is measured once for each
    seed and decides nothing.
ingredients: two times five-fold cross-validation on the 270 training cases, with one ingredient taken away at a time.
    This, and not the test part, is what the default was chosen by.
sets: three-fold cross-validation on the training parts of six sets, of what was last decided about the default.
long: series of 820 steps with a known answer, by where in the series the evidence is.

Results go to `benchmarks/results/ingredients.json`, each part in its own place.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from quadgate.data import Sequences, make_sequences, read
from quadgate.report import evaluate
from quadgate.training import Run, Settings, preset, train

RESULTS = Path(__file__).parent / "results" / "ingredients.json"
SEEDS = range(5)
LESS = {
    "the default": {},
    "without input noise": {"noise": 0.0},
    "without dropout": {"dropout": 0.0},
    "without decay of the learning rate": {"decay": False},
    "without weight decay": {"weight_decay": 0.0},
    "without the second fit on all cases": {"refit": False},
    "one direction": {"bidirectional": False},
    "read at the last step": {"pool": "last"},
    "attention in place of the mean": {"pool": "attention"},
    "a head that begins with standard normal weights": {"head": "normal"},
    "label smoothing of 0.1": {"label_smoothing": 0.1},
}
SETS = ("GunPoint", "ArrowHead", "OSULeaf", "JapaneseVowels", "BasicMotions", "ItalyPowerDemand")
DECIDED = {
    "always a validation part": {"valid_fraction": 0.2},
    "never one": {"valid_fraction": 0.0},
    "forward only": {"valid_fraction": 0.2, "bidirectional": False},
}
LONG_EPOCHS = {"epochs": 12, "patience": 6}  # 820 steps take their time, and the answer is found in a few epochs


def run_once(learn: Sequences, judge: Sequences, settings: Settings) -> tuple[Run, dict[str, float]]:
    """Train as `quadgate train` does, and measure on `judge`."""
    with TemporaryDirectory() as folder:
        run = train(learn, settings, Path(folder) / "run")
        scores = evaluate(run.model, judge)
    return run, {
        "accuracy": scores.model.accuracy,
        "log_loss": scores.model.log_loss,
        "seconds": round(run.history.seconds(), 1),
        "epochs": len(run.history.epochs),
    }


def archive() -> dict[str, Any]:
    """Measure both presets on the archive's own split."""
    data = read("JapaneseVowels")
    found: dict[str, Any] = {}
    for name in ("default", "seed"):
        runs = [run_once(data.train, data.test, preset(name).changed(seed=seed))[1] for seed in SEEDS]
        accuracies = [run["accuracy"] for run in runs]
        found[name] = {
            "median": median(accuracies),
            "least": min(accuracies),
            "greatest": max(accuracies),
            "runs": runs,
        }
        print(f"{name}: {accuracies}")
    return found


def folds(cases: Sequences, count: int, seed: int) -> list[tuple[Sequences, Sequences]]:
    """Cut the cases into parts that keep the class shares, each once what is judged."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cases))
    order = order[np.argsort(cases.labels[order], kind="stable")]  # class by class, so that each fold gets its share
    part = np.empty(len(cases), int)
    part[order] = np.arange(len(cases)) % count
    return [(cases.take(np.flatnonzero(part != k)), cases.take(np.flatnonzero(part == k))) for k in range(count)]


def ingredients() -> dict[str, Any]:
    """Cross-validate the default, and the default with one thing changed."""
    cases = read("JapaneseVowels").train
    found = {}
    variants = {name: preset("default").changed(**change) for name, change in LESS.items()}
    for name, settings in ({"the seed preset": preset("seed")} | variants).items():
        runs = [
            run_once(learn, judge, settings.changed(seed=10 * repeat + fold))[1]
            for repeat in range(2)
            for fold, (learn, judge) in enumerate(folds(cases, 5, repeat))
        ]
        found[name] = {what: round(mean(run[what] for run in runs), 4) for what in ("accuracy", "log_loss", "seconds")}
        print(f"{name}: {found[name]}")
    return found


def sets() -> dict[str, Any]:
    """Cross-validate what the default was last changed by, on the training parts of several sets."""
    found: dict[str, Any] = {}
    for name in SETS:
        cases = read(name).train
        for variant, change in DECIDED.items():
            runs = [
                (len(judge), run_once(learn, judge, preset("default").changed(seed=fold, **change))[1])
                for fold, (learn, judge) in enumerate(folds(cases, 3, 0))
            ]
            accuracy = sum(count * run["accuracy"] for count, run in runs) / len(cases)
            found.setdefault(name, {})[variant] = round(accuracy, 4)
            print(f"{name}, {variant}: {accuracy:.4f}")
    return found


def long() -> list[dict[str, Any]]:
    """Train both presets on 820 steps, with the evidence in different places."""
    found = []
    for kind in ("phase", "order"):
        for place in ("all", "late", "early", "middle"):
            learn = make_sequences(320, kind=kind, evidence=place, seed=1)
            judge = make_sequences(200, kind=kind, evidence=place, seed=2)
            for name in ("seed", "default"):
                run, measures = run_once(learn, judge, preset(name).changed(**LONG_EPOCHS))
                found.append(
                    {"kind": kind, "place": place, "preset": name}
                    | measures
                    | {"steps_reached": run.reach_before.reached, "warned": run.reach_before.is_short}
                )
                print(found[-1])
    return found


def machine() -> dict[str, Any]:
    """Say where and with what a part was measured."""
    processors = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": date.today().isoformat(),
        "processor": f"{processors[0]}, {len(processors)} cores, one thread",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


PARTS: dict[str, Callable[[], Any]] = {"archive": archive, "ingredients": ingredients, "sets": sets, "long": long}


def main(parts: list[str]) -> None:
    """Measure the parts, and put each into the results as soon as it is there."""
    torch.set_num_threads(1)
    for part in parts or PARTS:
        measured = PARTS[part]()
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[part] = {"machine": machine(), "results": measured}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
