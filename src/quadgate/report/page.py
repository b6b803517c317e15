"""The report of a run as one page: how good it is, whether to believe it, how it learned, and why it said that."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from quadgate.data.parquet import LeftOut
from quadgate.explain.case_page import case_blocks, case_lead
from quadgate.explain.pages import Figure, Note, Raw, Section, Table, drawing, render, svg
from quadgate.explain.pages.figures import COLOURS, count_along
from quadgate.report.findings import Curve, Findings, channel_statistics, quantiles
from quadgate.report.text import NAMES

_MOST_ROWS = 200  # of a table


def report_page(found: Findings, left_out: Sequence[LeftOut] = ()) -> str:
    """Return the page as HTML text that loads nothing; `left_out` is what of the data was damaged.

    Raises:
        MissingDependencyError: matplotlib or Jinja2 is not installed.
    """
    scores = found.scores
    low, high = scores.interval
    lead = (
        f"Accuracy {scores.model.accuracy:.1%} on {scores.cases:,} cases (95 % interval {low:.1%} to {high:.1%}); "
        f"always answering {scores.majority!r} gets {scores.baseline.accuracy:.1%}."
    )
    notes: list[Any] = [Note(one.text[0].upper() + one.text[1:] + ".", "warning") for one in found.doubts] or [
        Note(
            "No leak between the parts was found, the majority class is beaten, and the labels fit the series."
            if found.train is not None
            else "The majority class is beaten; the training part is not known, so leaks were not looked for.",
            "good",
        )
    ]
    cases = [
        Section(
            f"{one.case.name}: {one.why}",
            case_blocks(one.case, str(one.place)),
            case=f"case-{one.place}",
            lead=case_lead(one.case),
        )
        for one in found.cases
    ]
    sections = [
        Section("Can it be believed?", notes, id="believe"),
        Section("How good it is", _quality(found), id="quality"),
        *([Section("How it learned", [_learning(found.history)], id="learning")] if found.history else []),
        Section("The data", _data_card(found, left_out), id="data"),
        Section("Why it said that", [Raw(_chooser(found))], id="why"),
        *cases,
        Section("Variables", [_variables(found)], id="variables"),
    ]
    return render(f"{found.source}, judged on {found.test.source}", lead, sections, script="cases.js")


def _quality(found: Findings) -> list[Any]:
    scores = found.scores
    rows = [
        [shown, *(_measure(getattr(one, name)) for one in (scores.model, scores.baseline))]
        for name, shown in NAMES.items()
    ]
    roc = _against_the_rest("ROC", found.roc, ("share of others taken for it", "share of the class found"))
    precision = _against_the_rest("Precision and recall", found.precision, ("recall", "precision"))
    blocks = [
        Table(["", "model", f"always {scores.majority}"], rows),
        _confusion(found),
        roc,
        precision,
        _calibration(found),
        _by_length(found),
    ]
    if found.mistakes:
        head = ["case", "true class", "answered", "probability", "of the true class"]
        mistakes = [
            [one.case, one.true_class, one.answer, f"{one.probability:.3f}", f"{one.probability_of_true:.3f}"]
            for one in found.mistakes
        ]
        title = f"Mistakes: {len(mistakes)}, the surest first"
        blocks.append(Table(head, mistakes[:_MOST_ROWS], title, open=len(mistakes) <= 10))
    return blocks


def _confusion(found: Findings) -> Figure:
    counts, names = found.scores.confusion, [str(name) for name in found.scores.classes]
    with drawing(4.2, 3.4) as (figure, axes):
        axes.imshow(counts, cmap="Blues")
        for (row, column), count in np.ndenumerate(counts) if len(names) <= 12 else ():
            dark = count > counts.max() / 2
            axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "#222222")
        if len(names) <= 20:
            axes.set_xticks(range(len(names)), [name[:10] for name in names], rotation=60)
            axes.set_yticks(range(len(names)), [name[:10] for name in names])
        axes.set_xlabel("answered")
        axes.set_ylabel("true class")
        picture = svg(figure, "confusion")
    rows = [[name, *row] for name, row in zip(names, counts.tolist(), strict=True)]
    caption = "Confusion: true classes by row, answers by column."
    return Figure(picture, caption, caption, Table(["true / answered", *names], rows))


def _against_the_rest(kind: str, curves: list[Curve], labels: tuple[str, str]) -> Figure:
    rows = []
    with drawing(4.2, 3.0) as (figure, axes):
        for place, one in enumerate(curves):
            line = ("-", "--")[place // 8 % 2]
            axes.plot(one.x, one.y, label=one.name[:12], color=COLOURS[place % 8], linestyle=line)
            rows += [[one.name, f"{x:.3f}", f"{y:.3f}"] for x, y in zip(one.x, one.y, strict=True)][:_MOST_ROWS]
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if 0 < len(curves) <= 12:
            axes.legend(fontsize=7, loc="lower right" if kind == "ROC" else "lower left")
        picture = svg(figure, kind.split()[0].lower())
    caption = f"{kind}, each class against the rest."
    return Figure(picture, caption, caption, Table(["class", *labels], rows))


def _calibration(found: Findings) -> Figure:
    bins = found.calibration
    with drawing(4.2, 3.0) as (figure, axes):
        axes.plot([0, 1], [0, 1], color="#777777", linestyle=":")
        axes.plot([one.said for one in bins], [one.right for one in bins], marker="o")
        axes.set(xlabel="probability given to the answer", ylabel="share that was right")
        picture = svg(figure, "calibration")
    off = found.calibration_error
    caption = f"Calibration: said and true are {off:.1%} apart on average (expected calibration error, 10 bins)."
    rows = [[f"{one.said:.3f}", f"{one.right:.3f}", one.cases] for one in bins]
    return Figure(picture, caption, caption, Table(["said", "was right", "cases"], rows))


def _by_length(found: Findings) -> Figure:
    groups = found.lengths
    labels = [f"{o.shortest} to {o.longest}" if o.longest > o.shortest else str(o.longest) for o in groups]
    below = [max(0, one.accuracy - one.interval[0]) for one in groups]
    above = [max(0, one.interval[1] - one.accuracy) for one in groups]
    with drawing(4.2, 2.6) as (figure, axes):
        shares = [one.accuracy for one in groups]
        axes.bar(labels, shares, yerr=[below, above], color=COLOURS[4], ecolor="#777777")
        axes.set(xlabel="steps", ylabel="accuracy", ylim=(0, 1.02))
        picture = svg(figure, "length")
    caption = "Accuracy by length of the series, with 95 % intervals."
    rows = [
        [label, one.cases, f"{one.accuracy:.3f}", f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"]
        for label, one in zip(labels, groups, strict=True)
    ]
    return Figure(picture, caption, caption, Table(["steps", "cases", "accuracy", "interval"], rows))


def _learning(history: list[Any]) -> Figure:
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
        count_along(axes, "epoch")
        axes.set_ylabel("loss")
        axes.legend(fontsize=8)
        picture = svg(figure, "curves")
    caption = "Loss by epoch" + (f"; lowest on the validation part after epoch {best.epoch}." if search else ".")
    rows = [
        [o.stage, o.epoch, _measure(o.train_loss), _measure(o.valid_loss), _measure(o.valid_accuracy)] for o in history
    ]
    return Figure(picture, caption, caption, Table(["stage", "epoch", "training", "validation", "accuracy"], rows))


def _data_card(found: Findings, left_out: Sequence[LeftOut]) -> list[Any]:
    parts = found.parts
    rows = [[name, part.describe(), sum(one.size for one in part.series)] for name, part in parts.items()]
    blocks: list[Any] = [
        Table(["part", "sizes", "numbers"], rows, "None is missing: a missing value is refused when it is read.")
    ]
    if left_out:
        told = f"Left out, since it is damaged, and not read: {_cases_of(left_out)}."
        lost = [[one.what, "not known" if one.cases is None else one.cases] for one in left_out]
        blocks += [Note(told, "warning"), Table(["left out", "cases"], lost[:_MOST_ROWS], "What was left out")]
    classes = np.unique(np.concatenate([part.classes for part in parts.values()]))
    shares = [
        [str(c), *(f"{(p.labels == c).sum()} ({(p.labels == c).mean():.1%})" for p in parts.values())] for c in classes
    ]
    blocks.append(Table(["class", *parts], shares, "Cases of each class"))
    first = next(iter(parts.values()))
    channels = [
        [name, *(f"{value:.4g}" for value in one.values())]
        for name, one in zip(first.channels, channel_statistics(first), strict=True)
    ]
    head = ["channel", "mean", "deviation", "least", "most"]
    blocks.append(Table(head, channels[:_MOST_ROWS], "Channels", open=len(channels) < 15))
    with drawing(4.2, 2.2) as (figure, axes):
        lengths = np.concatenate([part.lengths for part in parts.values()])
        edges = np.arange(lengths.min(), lengths.max() + 2, max(1, -(-int(np.ptp(lengths)) // 20))) - 0.5
        for name, part in parts.items():
            axes.hist(part.lengths, bins=edges, alpha=0.6, label=name)
        axes.set(xlabel="steps", ylabel="cases")
        axes.legend(fontsize=8)
        picture = svg(figure, "lengths")
    caption = "Lengths of the series."
    counted = zip(("0%", "25%", "50%", "75%", "100%"), *map(quantiles, parts.values()), strict=True)
    rows = [[share, *(f"{value:g}" for value in values)] for share, *values in counted]
    blocks.append(Figure(picture, caption, caption, Table(["share of cases up to", *parts], rows)))
    return blocks


def _cases_of(left_out: Sequence[LeftOut]) -> str:
    known = sum(one.cases or 0 for one in left_out)
    counted = f"{known:,} case{'s' * (known != 1)}"
    if all(one.cases is not None for one in left_out):
        return counted if known else "no case"
    return f"at least {counted}" if known else "how many cases is not known"


def _chooser(found: Findings) -> str:
    options = "".join(
        f'<option value="case-{one.place}">{escape(one.case.name)}: {one.why}</option>' for one in found.cases
    )
    return f'<p class="wide"><label>Case <select id="case">{options}</select></label></p>'


def _variables(found: Findings) -> Table:
    table = found.variables
    rows = [[row.name, str(row.shape), f"{row.count:,}"] for row in table.rows]
    return Table(["variable", "shape", "numbers"], [*rows, ["total", "", f"{table.total:,}"]])


def _measure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
