"""One prediction as blocks of a page, and as a page of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.explain.case import Case
from quadgate.explain.pages import Figure, Note, Section, Table, drawing, render, svg
from quadgate.explain.pages.figures import COLOURS, DIVERGING, count_along
from quadgate.explain.texts.pages import words

MOST_DRAWN = 6  # channels of a series
MOST_NEIGHBORS = 3  # that are drawn over the series
ABOVE: dict[str, Any] = {"fontsize": 7, "loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
_MOST_ROWS = 240  # steps of a table; more are drawn, but not as numbers


def case_page(case: Case, source: str, language: str = "en") -> str:
    """Return one prediction as a page, one HTML text that loads nothing.

    Args:
        case: as `explain_case` gives it.
        source: what the model is called.
        language: of the text.

    Raises:
        MissingDependencyError: matplotlib or Jinja2 is not installed.
    """
    said = words(language)
    section = Section("", case_blocks(case, "case", language), lead=case_lead(case, language))
    lead = said["case"]["lead"].format(model=source)
    return render(case.name, lead, [section], language, numbers=said["numbers"])


def case_lead(case: Case, language: str = "en") -> str:
    """Return the answer in a sentence, and how its parts sum up."""
    said = words(language)["case"]
    told = case.contribution
    missing = said["missing"].format(missing=f"{told.missing:.2g}") if abs(told.missing) >= 0.005 else ""
    sentences = [said["answered"].format(answer=case.answer, chance=f"{case.probabilities[told.target]:.3f}")]
    if case.truth is not None:
        sentences.append(said["truth"].format(truth=case.truth))
    sentences.append(
        said["log_odds"].format(
            answer=case.answer, log_odds=f"{told.log_odds:.2f}", baseline=f"{told.baseline:.2f}", missing=missing
        )
    )
    return ("" if language == "zh" else " ").join(sentences)


def case_blocks(case: Case, place: str, language: str = "en") -> list[Any]:
    """Draw a prediction: the series, each channel's and step's contribution, gates and memory, the nearest cases.

    Args:
        case: as `explain_case` gives it.
        place: tells its figures from those of other cases on the page.
        language: of the text.
    """
    said = words(language)["case"]
    told = case.contribution
    blocks = [
        _series(case, place, said),
        _map(case, f"gradients-{place}", told.gradients, said["gradients"], said),
        _steps(case, place, said),
        _map(case, f"occlusion-{place}", told.occlusion, said["occlusion"], said),
        _gates(case, place, said),
    ]
    if not case.neighbors:
        return [*blocks, Note(said["unknown"])]
    rows = [[one.name, "" if one.label is None else one.label, f"{one.distance:.4g}"] for one in case.neighbors]
    head = [said["training_case"], said["label"], said["distance"]]
    return [*blocks, *_near(case, place, said), Table(head, rows, said["nearest"])]


def draw_series(axes: Any, case: Case, said: dict[str, Any]) -> None:
    """Draw the channels that counted most."""
    for place, channel in enumerate(case.order[:MOST_DRAWN]):
        label = str(case.channels[channel])[:14]
        axes.plot(case.series[:, channel], label=label, color=COLOURS[place], linewidth=1)
    count_along(axes, said["step"])
    axes.legend(ncols=3, **ABOVE)


def draw_map(axes: Any, case: Case, values: NDArray[Any], said: dict[str, Any]) -> Any:
    """Draw a contribution `[T, C]` as a map, orange for the answer."""
    largest = float(np.abs(values).max()) or 1.0
    image = axes.imshow(values.T, aspect="auto", cmap=DIVERGING, vmin=-largest, vmax=largest, interpolation="none")
    count_along(axes, said["step"])
    if len(case.channels) <= 16:
        axes.set_yticks(range(len(case.channels)), [str(name)[:10] for name in case.channels])
    else:
        axes.set_ylabel(said["channel"])
    return image


def draw_steps(axes: Any, case: Case, said: dict[str, Any]) -> None:
    """Draw what each step contributed."""
    steps = case.contribution.steps
    colours = np.where(steps >= 0, "#B35806", "#542788")  # the ends of the map's colours
    axes.bar(range(len(steps)), steps, width=1.0, color=colours.tolist())
    axes.axhline(0, color="#777777", linewidth=0.6)
    count_along(axes, said["step"])


def draw_gates(axes: Any, case: Case, said: dict[str, Any]) -> None:
    """Draw gates and memory of each unit, a plot for each; `axes` has as many."""
    ends = (0, len(case.starts) * case.patches.stride)
    for plot, (name, all_values) in zip(axes, case.activity.values.items(), strict=True):
        values = all_values[0].T
        largest = float(np.abs(values).max()) or 1.0
        gate = {"vmin": 0, "vmax": 1, "cmap": "cividis"}
        signed = {"vmin": -largest, "vmax": largest, "cmap": DIVERGING}
        extent = (*ends, len(values), 0)
        plot.imshow(values, aspect="auto", interpolation="none", extent=extent, **(gate if name in "ifozr" else signed))
        plot.set_ylabel(name, rotation=0, ha="right")
        plot.set_yticks([])
    count_along(axes[-1], said["step"])


def draw_near(axes: Any, case: Case, said: dict[str, Any]) -> None:
    """Draw the nearest training cases over the series, in the channel that counted most."""
    channel = case.order[0]
    axes.plot(case.series[:, channel], color=COLOURS[0], label=said["this"], linewidth=1.6)
    drawn = [one for one in case.neighbors if one.series is not None][:MOST_NEIGHBORS]
    for place, one in enumerate(drawn):
        label = one.name if one.label is None else f"{one.name}: {one.label}"
        assert one.series is not None  # noqa: S101
        axes.plot(one.series[:, channel], color=COLOURS[place + 1], label=label[:28], linewidth=0.8)
    count_along(axes, said["step"])
    axes.legend(ncols=2, **ABOVE)


def _series(case: Case, place: str, said: dict[str, Any]) -> Figure:
    with drawing(4.2, 2.6) as (figure, axes):
        draw_series(axes, case, said)
        picture = svg(figure, f"series-{place}")
    shown = case.order[:MOST_DRAWN]
    caption = said["series"].format(shown=len(shown), C=len(case.channels))
    rows = [[t, *(f"{v:.4g}" for v in case.series[t, shown])] for t in range(min(len(case.series), _MOST_ROWS))]
    return Figure(picture, caption, caption, Table([said["step"], *(case.channels[c] for c in shown)], rows))


def _map(case: Case, place: str, values: NDArray[Any], text: str, said: dict[str, Any]) -> Figure:
    with drawing(4.2, 2.6) as (figure, axes):
        figure.colorbar(draw_map(axes, case, values, said), ax=axes)
        picture = svg(figure, place)
    caption = text.format(answer=case.answer, top=case.channels[int(np.abs(values).sum(axis=0).argmax())])
    rows = [[name, f"{one:.4f}"] for name, one in zip(case.channels, values.sum(axis=0), strict=True)]
    return Figure(picture, caption, caption, Table([said["channel"], said["sum"]], rows))


def _steps(case: Case, place: str, said: dict[str, Any]) -> Figure:
    with drawing(4.2, 2.0) as (figure, axes):
        draw_steps(axes, case, said)
        picture = svg(figure, f"steps-{place}")
    steps = case.contribution.steps
    start, end = loudest_stretch(steps)
    stretch = said["stretch" if start < end else "one_step"].format(start=start, end=end)
    caption = said["steps"].format(stretch=stretch)
    rows = [[t, f"{value:.4f}"] for t, value in enumerate(steps[:_MOST_ROWS])]
    return Figure(picture, caption, caption, Table([said["step"], said["steps_head"]], rows))


def loudest_stretch(steps: NDArray[Any]) -> tuple[int, int]:
    """Return the first and the last step of the tenth of a series that counted most.

    >>> loudest_stretch(np.array([0.0] * 10 + [1.0, -2.0] + [0.0] * 8))
    (10, 11)
    """
    size = max(1, round(len(steps) / 10))
    sums = np.convolve(np.abs(steps), np.ones(size), "valid")
    start = int(sums.argmax())
    return start, start + size - 1


def _gates(case: Case, place: str, said: dict[str, Any]) -> Figure:
    values = case.activity.values
    with drawing(4.2, 0.75 * len(values) + 0.5, len(values), 1, sharex=True) as (figure, axes):
        draw_gates(axes, case, said)
        picture = svg(figure, f"gates-{place}")
    caption = said["gates"].format(layer=case.activity.name)
    if case.patches.length > 1:
        caption += " " + said["patches"].format(length=case.patches.length, stride=case.patches.stride)
    means = {name: one[0].mean(axis=1) for name, one in values.items()}
    rows = [[start, *(f"{one[k]:.3f}" for one in means.values())] for k, start in enumerate(case.starts[:_MOST_ROWS])]
    head = [said["step"], *(said["mean"].format(name=name) for name in means)]
    return Figure(picture, caption, caption, Table(head, rows))


def _near(case: Case, place: str, said: dict[str, Any]) -> list[Figure]:
    if all(one.series is None for one in case.neighbors):
        return []
    with drawing(4.2, 2.2) as (figure, axes):
        draw_near(axes, case, said)
        picture = svg(figure, f"near-{place}")
    caption = said["near"].format(channel=case.channels[case.order[0]])
    return [Figure(picture, caption, caption)]
