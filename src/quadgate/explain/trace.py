"""One step worked in numbers that a person can follow by hand: one product, and the eight that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quadgate.cell import LSTMParameters
from quadgate.cell.lstm import Step, lstm_step
from quadgate.explain.kernel_shape import KernelShape
from quadgate.explain.terminal import cells, centre, flow, left
from quadgate.explain.texts import Texts, texts

Array = NDArray[np.float64]

# What fits 80 cells: three numbers for each of four gates.
_MOST_INPUTS = 3
_MOST_UNITS = 3
_SMALL = KernelShape(inputs=2, units=3)


@dataclass(frozen=True)
class Trace:
    """One step of a small cell, float64, one case.

    Attributes:
        kernel: the sizes that the step has: C inputs, H units.
        x, h, c: `[C]`, `[H]`, `[H]`, the input and the state before the step.
        parameters: the weights, in steps of 0.1, and the forget bias.
        from_x, from_h: `[4, H]`, the eight small products `x @ W_x` and `h @ W_h` of i, j, f, o.
        eight: `[4, H]`, their sums and the bias.
        one: `[4, H]`, `[x, h] @ kernel + bias` cut into four.
        step: the step as `quadgate.cell` takes it, from the same numbers.
    """

    kernel: KernelShape
    x: Array
    h: Array
    c: Array
    parameters: LSTMParameters
    from_x: Array
    from_h: Array
    eight: Array
    one: Array
    step: Step

    @property
    def difference(self) -> float:
        """The largest difference between the eight products and the one."""
        return float(np.max(np.abs(self.eight - self.one)))

    def as_json(self) -> dict[str, Any]:
        """Return every number of the step as lists."""
        gates = {gate: getattr(self.step, gate)[0].tolist() for gate in "ijfo"}
        return {
            "inputs": self.kernel.inputs,
            "units": self.kernel.units,
            **{name: getattr(self, name).tolist() for name in ("x", "h", "c")},
            "kernel": self.parameters.kernel.tolist(),
            "bias": self.parameters.bias.tolist(),
            "forget_bias": self.parameters.forget_bias,
            "x_products": self.from_x.tolist(),
            "h_products": self.from_h.tolist(),
            "eight_products": self.eight.tolist(),
            "one_product": self.one.tolist(),
            "largest_difference": self.difference,
            "gates": gates,
            "c_next": self.step.c[0].tolist(),
            "h_next": self.step.h[0].tolist(),
        }


def trace(kernel: KernelShape) -> Trace:
    """Work one step of a cell of these sizes, or of 2 inputs and 3 units where they are too large to print.

    >>> t = trace(KernelShape(inputs=12, units=64))
    >>> t.kernel.inputs, t.kernel.units, t.difference < 1e-15
    (2, 3, True)
    """
    small = kernel.inputs <= _MOST_INPUTS and kernel.units <= _MOST_UNITS and kernel.projected is None
    kernel = kernel if small else _SMALL
    C, H = kernel.inputs, kernel.units
    x = np.array([0.5, -1.0, 0.8])[:C]
    h = np.array([0.2, -0.4, 0.6])[:H]
    c = np.array([0.3, -0.7, 0.9])[:H]
    row, column = np.indices((kernel.rows, kernel.columns))
    parameters = LSTMParameters.from_kernel(
        kernel=((7 * row + 5 * column + 3 * (column // H)) % 19 - 9) / 10,
        bias=(4 * np.arange(kernel.columns) % 7 - 3) / 10,
    )
    from_x = np.stack([x @ w for w in parameters.w_x])
    from_h = np.stack([h @ w for w in parameters.w_h])
    return Trace(
        kernel,
        x,
        h,
        c,
        parameters,
        from_x,
        from_h,
        eight=from_x + from_h + parameters.bias.reshape(4, H),
        one=(np.concatenate([x, h]) @ parameters.kernel + parameters.bias).reshape(4, H),
        step=lstm_step(x[None], c[None], h[None], parameters),
    )


def trace_text(asked: KernelShape, language: str = "en") -> str:
    """Tell the step of `trace(asked)` in a language, within 80 cells."""
    said = texts(language)
    t = trace(asked)
    smaller = said.trace_smaller.format(asked_rows=asked.rows, asked_columns=asked.columns)
    return flow(
        said.trace.format(
            **said.sizes(t.kernel),
            smaller="" if t.kernel == asked else smaller,
            x=_numbers(t.x, 1),
            h=_numbers(t.h, 1),
            c=_numbers(t.c, 1),
            kernel=_kernel_table(t),
            products=_product_table(t, said),
            difference=t.difference,
            forget_bias=t.parameters.forget_bias,
            gates=_gate_table(t),
            c_next=_numbers(t.step.c[0], 4),
            h_next=_numbers(t.step.h[0], 4),
        )
    )


def _numbers(values: Array, digits: int) -> str:
    return " ".join(f"{value + 0.0:{digits + 3}.{digits}f}" for value in values)


def _kernel_table(t: Trace) -> str:
    width = 5 * t.kernel.units
    labels = [f"x{r}" for r in range(t.kernel.inputs)] + [f"h{r}" for r in range(t.kernel.units)]
    rows = [
        _table_row(label, [_numbers(block, 1) for block in line.reshape(4, -1)])
        for label, line in zip(labels, t.parameters.kernel, strict=True)
    ]
    biases = [_numbers(block, 1) for block in t.parameters.bias.reshape(4, -1)]
    return "\n".join([_table_row("", [centre(gate, width) for gate in "ijfo"]), *rows, _table_row("b", biases)])


def _product_table(t: Trace, said: Texts) -> str:
    columns = (t.from_x, t.from_h, t.eight, t.one)
    heads = (said.x_part, said.h_part, said.eight, said.one)
    # A column is as wide as its numbers or its head, whichever is wider.
    widths = [max(6 * t.kernel.units - 1, cells(head)) for head in heads]
    lines = [_table_row("", [centre(head, width) for head, width in zip(heads, widths, strict=True)])]
    for gate, blocks in zip("ijfo", zip(*columns, strict=True), strict=True):
        shown = [centre(_numbers(block, 2), width) for block, width in zip(blocks, widths, strict=True)]
        lines.append(_table_row(gate, shown))
    return "\n".join(lines)


def _gate_table(t: Trace) -> str:
    functions = {"i": "sigmoid(i)", "j": "tanh(j)", "f": f"sigmoid(f + {t.parameters.forget_bias})", "o": "sigmoid(o)"}
    return "\n".join(
        f"  {left(function, 16)} = {_numbers(getattr(t.step, gate)[0], 4)}" for gate, function in functions.items()
    )


def _table_row(label: str, columns: list[str]) -> str:
    return f"  {left(label, 2)} {'  '.join(columns)}".rstrip()
