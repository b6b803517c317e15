"""The report of a run as one page: how good it is, whether to believe it, how it learned, and why it said that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.data import Sequences
from quadgate.explain import TrainingCases, explain_case
from quadgate.explain.case_page import case_blocks, case_lead
from quadgate.explain.pages import Figure, Note, Raw, Section, Table, drawing, render, svg
from quadgate.explain.pages.figures import COLOURS
from quadgate.model import Ensemble, Model
from quadgate.report.evaluation import Predictions
from quadgate.report.metrics import Scores, find_classes, wilson_interval
from quadgate.report.suspicion import Suspicion
from quadgate.report.text import NAMES

MOST_CASES = 8  # that are drawn with all that led to their answer


def report_page(
    model: Model | Ensemble,
    train: Sequences | None,
    test: Sequences,
    scores: Scores,
    predictions: Predictions,
    found: list[Suspicion],
    history: list[Any],
    case: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> str:
    """Return the page as HTML text that loads nothing.

    Args:
        model: the classifier.
        train: the training part, or None.
        test: the part that was judged, with labels.
        scores: of it.
        predictions: of it.
        found: reasons to doubt the scores.
        history: the epochs of its training, or none.
        case: one more case to draw.
        progress: called with a word on each step.

    Raises:
        MissingDependencyError: matplotlib or Jinja2 is not installed.
    """
    truth = find_classes(np.asarray(test.labels), predictions.classes)[1]
    low, high = scores.interval
    lead = (
        f"Accuracy {scores.model.accuracy:.1%} on {scores.cases:,} cases (95 % interval {low:.1%} to {high:.1%}); "
        f"always answering {scores.majority!r} gets {scores.baseline.accuracy:.1%}."
    )
    notes: list[Any] = [Note(one.text[0].upper() + one.text[1:] + ".", "warning") for one in found] or [
        Note(
            "No leak between the parts was found, the majority class is beaten, and the labels fit the series."
            if train is not None
            else "The majority class is beaten; the training part is not known, so leaks were not looked for.",
            "good",
        )
    ]
    drawn = _chosen(truth, predictions, case)
    sections = [
        Section("Can it be believed?", notes, id="believe"),
        Section("How good it is", _quality(truth, scores, predictions, test), id="quality"),
        *([Section("How it learned", [_curves(history)], id="learning")] if history else []),
        Section("The data", _data_card(train, test), id="data"),
        Section("Why it said that", [Raw(_chooser(drawn, test))], id="why"),
        *_cases(model, train, test, drawn, progress),
        Section("Variables", [_variables(model)], id="variables"),
    ]
    title = f"{model.source or 'model'} on {test.source}"
    return render(title, lead, sections, script="cases.js", data=None)


def _quality(truth: NDArray[Any], scores: Scores, predictions: Predictions, test: Sequences) -> list[Any]:
    from sklearn.metrics import precision_recall_curve, roc_curve

    names = [str(name) for name in scores.classes]
    given = predictions.probabilities.astype(np.float64)
    rows = [
        [shown, *(_measure(getattr(one, name)) for one in (scores.model, scores.baseline))]
        for name, shown in NAMES.items()
    ]
    blocks: list[Any] = [Table(["", "model", f"always {scores.majority}"], rows)]
    with drawing(4.2, 3.4) as (figure, axes):
        axes.imshow(scores.confusion, cmap="Blues")
        for (row, column), count in np.ndenumerate(scores.confusion) if len(names) <= 12 else ():
            dark = count > scores.confusion.max() / 2
            axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "#222222")
        if len(names) <= 20:
            axes.set_xticks(range(len(names)), [name[:10] for name in names], rotation=60)
            axes.set_yticks(range(len(names)), [name[:10] for name in names])
        axes.set_xlabel("answered")
        axes.set_ylabel("true class")
        picture = svg(figure, "confusion")
    table = Table(
        ["true / answered", *names], [[n, *row] for n, row in zip(names, scores.confusion.tolist(), strict=True)]
    )
    caption = "Confusion: true classes by row, answers by column."
    blocks.append(Figure(picture, caption, caption, table))
    present = [k for k in range(len(names)) if 0 < (truth == k).sum() < len(truth)]
    for kind, curve, labels in (
        ("ROC", roc_curve, ("share of others taken for it", "share of the class found")),
        ("Precision and recall", precision_recall_curve, ("recall", "precision")),
    ):
        rows = []
        with drawing(4.2, 3.0) as (figure, axes):
            for place, k in enumerate(present):
                first, second, _ = curve(truth == k, given[:, k])
                x, y = (first, second) if kind == "ROC" else (second, first)
                axes.plot(x, y, label=names[k][:12], color=COLOURS[place % 8], linestyle=("-", "--")[place // 8 % 2])
                rows += [[names[k], f"{a:.3f}", f"{b:.3f}"] for a, b in zip(x, y, strict=True)][:200]
            axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            if len(present) <= 12:
                axes.legend(fontsize=7)
            picture = svg(figure, kind.split()[0].lower())
        caption = f"{kind}, each class against the rest."
        blocks.append(Figure(picture, caption, caption, Table(["class", *labels], rows)))
    blocks += [_calibration(truth, given), _by_length(truth, given, test)]
    return blocks


def _calibration(truth: NDArray[Any], given: NDArray[np.float64]) -> Figure:
    sure, right = given.max(axis=1), given.argmax(axis=1) == truth
    edges = np.linspace(0, 1, 11)
    place = np.clip(np.digitize(sure, edges) - 1, 0, 9)
    bins = [
        (float(sure[place == k].mean()), float(right[place == k].mean()), int((place == k).sum()))
        for k in np.unique(place)
    ]
    off = sum(count * abs(said - was) for said, was, count in bins) / len(truth)
    with drawing(4.2, 3.0) as (figure, axes):
        axes.plot([0, 1], [0, 1], color="#777777", linestyle=":")
        axes.plot([b[0] for b in bins], [b[1] for b in bins], marker="o")
        axes.set(xlabel="probability given to the answer", ylabel="share that was right")
        picture = svg(figure, "calibration")
    caption = f"Calibration: said and true are {off:.1%} apart on average (expected calibration error, 10 bins)."
    rows = [[f"{said:.3f}", f"{was:.3f}", count] for said, was, count in bins]
    return Figure(picture, caption, caption, Table(["said", "was right", "cases"], rows))


def _by_length(truth: NDArray[Any], given: NDArray[np.float64], test: Sequences) -> Figure:
    right = given.argmax(axis=1) == truth
    lengths = test.lengths
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, 7)).astype(int))
    place = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, max(0, len(edges) - 2))
    rows, bars = [], []
    for k in np.unique(place):
        inside = place == k
        share, interval = right[inside].mean(), wilson_interval(int(right[inside].sum()), int(inside.sum()))
        label = f"{lengths[inside].min()} to {lengths[inside].max()}"
        bars.append((label, share, interval))
        rows.append([label, int(inside.sum()), f"{share:.3f}", f"{interval[0]:.3f} to {interval[1]:.3f}"])
    with drawing(4.2, 2.6) as (figure, axes):
        shares = np.array([bar[1] for bar in bars])
        errors = np.array([[max(0, s - b[2][0]), max(0, b[2][1] - s)] for s, b in zip(shares, bars, strict=True)]).T
        axes.bar([bar[0] for bar in bars], shares, yerr=errors, color=COLOURS[4], ecolor="#777777")
        axes.set(xlabel="steps", ylabel="accuracy", ylim=(0, 1.02))
        picture = svg(figure, "length")
    caption = "Accuracy by length of the series, with 95 % intervals."
    return Figure(picture, caption, caption, Table(["steps", "cases", "accuracy", "interval"], rows))


def _curves(history: list[Any]) -> Figure:
    search = [one for one in history if one.valid_loss is not None]
    with drawing(4.2, 2.8) as (figure, axes):
        for stage in dict.fromkeys(one.stage for one in history):
            part = [one for one in history if one.stage == stage]
            axes.plot([one.epoch for one in part], [one.train_loss for one in part], label=f"training, {stage}")
        if search:
            axes.plot(
                [one.epoch for one in search], [one.valid_loss for one in search], label="validation", color=COLOURS[5]
            )
            best = min(search, key=lambda one: one.valid_loss)
            axes.axvline(best.epoch, color="#777777", linestyle=":")
        axes.set(xlabel="epoch", ylabel="loss")
        axes.legend(fontsize=8)
        picture = svg(figure, "curves")
    caption = "Loss by epoch" + (f"; lowest on the validation part after epoch {best.epoch}." if search else ".")
    rows = [
        [o.stage, o.epoch, _measure(o.train_loss), _measure(o.valid_loss), _measure(o.valid_accuracy)] for o in history
    ]
    return Figure(picture, caption, caption, Table(["stage", "epoch", "training", "validation", "accuracy"], rows))


def _data_card(train: Sequences | None, test: Sequences) -> list[Any]:
    parts = {"training": train, "judged": test} if train is not None else {"judged": test}
    there = {name: part for name, part in parts.items() if part is not None}
    rows = [[name, part.describe(), sum(one.size for one in part.series)] for name, part in there.items()]
    blocks: list[Any] = [
        Table(["part", "sizes", "numbers"], rows, "None is missing: a missing value is refused when it is read.")
    ]
    classes = np.unique(np.concatenate([part.classes for part in there.values()]))
    shares = [
        [str(c), *(f"{(p.labels == c).sum()} ({(p.labels == c).mean():.1%})" for p in there.values())] for c in classes
    ]
    blocks.append(Table(["class", *there], shares, "Cases of each class"))
    steps = np.concatenate((train or test).series)
    channels = [
        [name, *(f"{value:.4g}" for value in (one.mean(), one.std(), one.min(), one.max()))]
        for name, one in zip(test.channels, steps.T.astype(np.float64), strict=True)
    ]
    blocks.append(
        Table(["channel", "mean", "deviation", "least", "most"], channels[:200], "Channels", open=len(channels) < 15)
    )
    with drawing(4.2, 2.2) as (figure, axes):
        for name, part in there.items():
            axes.hist(part.lengths, bins=20, alpha=0.6, label=name)
        axes.set(xlabel="steps", ylabel="cases")
        axes.legend(fontsize=8)
        picture = svg(figure, "lengths")
    caption = "Lengths of the series."
    quantiles = [0, 0.25, 0.5, 0.75, 1]
    rows = [[f"{q:.0%}", *(f"{np.quantile(part.lengths, q):g}" for part in there.values())] for q in quantiles]
    blocks.append(Figure(picture, caption, caption, Table(["share of cases up to", *there], rows)))
    return blocks


def _chosen(truth: NDArray[Any], predictions: Predictions, case: int | None) -> dict[int, str]:
    """Choose the cases that are drawn, and say why each: asked for, a sure mistake, a narrow call, a sure hit."""
    given = predictions.probabilities
    answer, sure = given.argmax(axis=1), given.max(axis=1)
    ordered = np.sort(given, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    found: dict[int, str] = {} if case is None else {case: "asked for"}
    wrong = np.flatnonzero(answer != truth)
    for k in wrong[np.argsort(-sure[wrong], kind="stable")][:4]:
        found.setdefault(int(k), "a confident mistake")
    for k in np.argsort(margin, kind="stable")[:2]:
        found.setdefault(int(k), "a narrow call")
    for k in np.argsort(-sure, kind="stable"):
        if len(found) >= MOST_CASES:
            break
        if answer[k] == truth[k] and list(found.values()).count("a sure answer") < 2:
            found.setdefault(int(k), "a sure answer")
    return found


def _chooser(drawn: dict[int, str], test: Sequences) -> str:
    from html import escape

    options = "".join(f'<option value="case-{k}">{escape(test.name(k))}: {why}</option>' for k, why in drawn.items())
    return f'<p class="wide"><label>Case <select id="case">{options}</select></label></p>'


def _cases(
    model: Model | Ensemble,
    train: Sequences | None,
    test: Sequences,
    drawn: dict[int, str],
    progress: Callable[[str], None],
) -> list[Section]:
    trained = None
    if train is not None:
        progress(f"the states of {len(train):,} training cases")
        trained = TrainingCases.of(model, train)
    sections = []
    for number, (k, why) in enumerate(drawn.items(), start=1):
        progress(f"case {number} of {len(drawn)}: {test.name(k)}")
        truth = None if test.labels is None else test.labels[k].item()
        case = explain_case(model, test.series[k], test.name(k), test.channels, truth, trained)
        title = f"{case.name}: {why}"
        sections.append(Section(title, case_blocks(case, str(k)), case=f"case-{k}", lead=case_lead(case)))
    return sections


def _variables(model: Model | Ensemble) -> Table:
    table = model.summary()
    rows = [[row.name, str(row.shape), f"{row.count:,}"] for row in table.rows]
    return Table(["variable", "shape", "numbers"], [*rows, ["total", "", f"{table.total:,}"]])


def _measure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
