"""The rows in words: all of them in one table, and one of them with its picture."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import wrap
from typing import Any

from quadgate.errors import InputError
from quadgate.layouts.drawing import SYMBOLS, WIDTH, draw
from quadgate.layouts.layout import Layout, Part, Tensor
from quadgate.layouts.rows import LAYOUTS, find
from quadgate.layouts.sizes import Sizes, shape_text

_EVIDENCE = {
    "V": "read in the named source",
    "R": "checked by running it",
    "D": "documentation only",
    "U": "not verified",
}
_COLUMNS = ("class", "gates", "matrix", "x and h", "biases", "forget bias", "state", "evidence")
_LABEL = 14
_LARGEST = 100_000


def table() -> str:
    """List all rows within 100 cells, family by family.

    >>> print(table().splitlines()[2])
    tf1.BasicLSTMCell                   i j f o  in x out  joined    x        run time +1  (c,h)    V
    """
    lines = [_COLUMNS, *(_cells(row) for row in LAYOUTS.values())]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    texts.insert(1, "-" * max(map(len, texts)))
    return "\n".join(texts) + "\n\n" + _legend()


def describe(layout: Layout | str, inputs: int = 12, units: int = 64) -> str:
    """Tell all about one row, and draw it for a layer of C inputs and H units, within 100 cells.

    Raises:
        InputError: an unknown layout, or a size that is not from 1 to 100,000.
    """
    row = find(layout)
    lines = [row.name, "=" * len(row.name)]
    for label, text in _facts(row):
        lines += _hanging(label, text)
    for heading, texts in (("note", row.notes), ("not verified", row.unverified)):
        for place, text in enumerate(texts):
            lines += _hanging(heading if not place else "", f"- {text}", indent="  ")
    if row.refusal:
        return "\n".join([*lines, *_hanging("refused", row.refusal)])
    sizes = _example(inputs, units)
    lines += ["", f"A layer of C={inputs} inputs and H={units} units:"]
    for tensor in row.tensors:
        several = len(tensor.parts) > 1 or "g" in tensor.parts[0].letters
        heading = _heading(row, tensor, sizes)
        lines += ["", heading, "", draw(row, tensor, sizes)] if several else [heading]
    return "\n".join(lines)


def as_json(layout: Layout | str, inputs: int = 12, units: int = 64) -> dict[str, Any]:
    """Return one row as an object of plain values.

    Raises:
        InputError: an unknown layout, or a size that is not from 1 to 100,000.
    """
    row = find(layout)
    sizes = _example(inputs, units)
    return {
        "name": row.name,
        "cell": row.cell,
        "gates": list(row.gates),
        "orientation": row.orientation,
        "joined": row.joined,
        "interleaved": row.interleaved,
        "per_gate": row.per_gate,
        "biases": list(row.biases),
        "forget_bias": asdict(row.forget),
        "activations": asdict(row.activations),
        "clips": {clip.name: clip.default for clip in row.clips},
        "reset_after": row.reset_after,
        "state": list(row.state),
        "scope": row.scope,
        "tensors": [
            {
                "name": tensor.name,
                "shape": shape_text(row, tensor),
                "example": list(sizes.shape(row, tensor)),
                "optional": tensor.arrays <= row.optional,
                "axis": tensor.axis,
                "parts": [
                    {"array": part.array, "axes": part.axes, "gates": list(row.gates_of(part)), "reread": part.reread}
                    for part in tensor.parts
                ],
            }
            for tensor in row.tensors
        ],
        "notes": list(row.notes),
        "unverified": list(row.unverified),
        "refusal": row.refusal or None,
        "evidence": row.evidence,
        "source": row.source,
    }


def _cells(row: Layout) -> tuple[str, ...]:
    biases = ", ".join(side.removeprefix("b_") for side in row.biases) or "-"
    together = "-" if row.refusal else "joined" if row.joined else "apart"
    arranged = "per gate" if row.per_gate and not row.refusal else " ".join(row.gates)
    state = f"({','.join(row.state)})" if row.state else "-"
    return row.name, arranged, row.orientation, together, biases, row.forget.text, state, row.evidence


def _legend() -> str:
    return "\n".join(
        wrap(
            "gates: i input, j candidate (elsewhere g, c or z), f forget, o output; of a GRU z update, r reset, "
            "n candidate. biases: with x, with h, or both. forget bias: added at run time and not stored, or stored in "
            "a new layer. evidence: "
            + "; ".join(f"{letter} {meaning}" for letter, meaning in _EVIDENCE.items())
            + ". `quadgate layouts NAME` draws one.",
            WIDTH,
        )
    )


def _facts(row: Layout) -> list[tuple[str, str]]:
    return [
        (label, text)
        for label, text in (
            ("gates", f"{' '.join(row.gates)}, {_arrangement(row)}"),
            ("matrices", f"{row.orientation}; x and h {'in one tensor' if row.joined else 'in tensors of their own'}"),
            ("biases", " and ".join(f"one with {side[-1]}" for side in row.biases) or "none"),
            ("forget bias", _forget(row)),
            ("activations", _activations(row)),
            ("limits", ", ".join(_limit(clip.name, clip.default) for clip in row.clips)),
            ("reset", _reset(row)),
            ("state", ", ".join(row.state)),
            ("in files", row.scope),
            ("direction", _direction(row)),
            ("backwards", row.reading),
            ("evidence", f"{row.evidence}, {_EVIDENCE[row.evidence]}"),
            ("source", row.source),
        )
        if text and not (row.refusal and label in ("gates", "matrices", "biases", "forget bias", "activations"))
    ]


def _arrangement(row: Layout) -> str:
    if row.per_gate:
        return "a tensor for each"
    if row.interleaved:
        return "interleaved: the gates of unit 0, then those of unit 1, and so on"
    return "a block of H for each"


def _forget(row: Layout) -> str:
    forget = row.forget
    if row.cell == "gru":
        return f"a new layer has {forget.stored:g} in {forget.stored_in}" if forget.stored else ""
    if forget.choices is None:
        default = "no default" if forget.run_time is None else f"default {forget.run_time:g}"
        return f"added while running, stored in no tensor; {default}"
    if len(forget.choices) > 1:
        return f"a flag adds {forget.choices[-1]:g} while running"
    if forget.run_time:
        return f"{forget.run_time:g} is always added while running, stored in no tensor"
    if forget.stored:
        return f"stored: a new layer has {forget.stored:g} in {forget.stored_in}; nothing is added while running"
    return "none: nothing is added while running, nothing is stored in a new layer"


def _activations(row: Layout) -> str:
    rule = row.activations
    text = f"gates {rule.default.gate}, candidate {rule.default.cell}"
    if row.cell == "lstm":
        text += f", output {rule.default.output}"
    text += "; fixed" if rule.fixed else "; can be set"
    return text + "".join(f"; {versions}: gates {default.gate}" for versions, default in rule.history)


def _limit(name: str, default: float | None) -> str:
    meaning = {"cell_clip": "cell state", "projection_clip": "projected output", "input_clip": "pre-activations"}[name]
    return f"{meaning} ({name})" + (f", default {default:g}" if default is not None else "")


def _direction(row: Layout) -> str:
    if not any(row.directions):
        return ""
    forwards, backwards = row.directions
    return f"{forwards!r} in the names of a layer that reads forwards, {backwards!r} backwards"


def _reset(row: Layout) -> str:
    if row.cell == "lstm":
        return ""
    if row.reset_after is None:
        return "before or after the recurrent product, as a setting says"
    return "after the recurrent product" if row.reset_after else "before the recurrent product"


def _heading(row: Layout, tensor: Tensor, sizes: Sizes) -> str:
    projected = "projection" in tensor.arrays
    shape = shape_text(row, tensor, projected)
    if not projected:
        shape += f" = [{', '.join(map(str, sizes.shape(row, tensor)))}]"
    holds = ", ".join(_holds(row, part) for part in tensor.parts)
    absent = "; may be absent" if tensor.arrays <= row.optional else ""
    return f"{tensor.name}  {shape}  {holds}{absent}"


def _holds(row: Layout, part: Part) -> str:
    gates = row.gates_of(part)
    text = SYMBOLS[part.array] + (gates if len(gates) == 1 else "")
    return f"{text} * (each block is the memory of its transpose)" if part.reread else text


def _hanging(label: str, text: str, indent: str = "") -> list[str]:
    lines = wrap(text, WIDTH - _LABEL, subsequent_indent=indent)
    return [(label if not place else "").ljust(_LABEL) + line for place, line in enumerate(lines)]


def _example(inputs: int, units: int) -> Sizes:
    for name, size in (("inputs", inputs), ("units", units)):
        if not 1 <= size <= _LARGEST:
            raise InputError(f"{name}: found {size}, expected a number from 1 to {_LARGEST:,}")
    return Sizes(inputs, units, units)
