"""The C functions of the recurrent layers: those of the compiled kernels, one unit after the other.

A block of 4 units has the sums of all its gates at once. Each sum is one chain of fused multiply-adds in the order
of the compiled kernels, so that it has their bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quadgate.cell import Activations, GRUParameters, LSTMParameters
from quadgate.export_c.functions import fma, real
from quadgate.export_c.program import Array, Program, blocks, panels
from quadgate.kernels.choice import computed_in

UNITS = 4  # of a block: 16 sums at a time, which stay in the registers of a Cortex-M4F


def layer(program: Program, k: int, p: LSTMParameters | GRUParameters) -> str:
    """Write layer k, a function that reads floats, and return where its output is, in float."""
    suffix = "d" if computed_in(p) == np.float64 else "f"
    if isinstance(p, LSTMParameters):
        kind, lines = "LSTM", _lstm(program, k, p, suffix)
    else:
        kind, lines = "GRU", _gru(program, k, p, suffix)
    output = f"s->h_{k}"
    if suffix == "d":
        # Between layers numbers are floats, as in `Model.run`.
        wide, output = _work(program, "d", "x", p.inputs), program.keep("f", f"y_{k}", p.state_width)
        lines = [
            f"for (u = 0; u < {p.inputs}; ++u) {wide}[u] = x[u];",
            *lines,
            f"for (u = 0; u < {p.state_width}; ++u) {output}[u] = (float)s->h_{k}[u];",
        ]
    program.bodies += [
        f"/* Layer {k}: {kind}, {p.inputs} inputs, {p.units} units, output of {p.state_width}. */",
        f"static void layer_{k}(@name_state *s, const float *x) {{",
        f"  const {real(suffix)} *w = kernel_{k};",
        "  int u;",
        *(f"  {line}" for line in lines),
        "}",
        "",
    ]
    return output


def _read(suffix: str) -> str:
    """Where a layer reads its input."""
    return "s->x_d" if suffix == "d" else "x"


def _work(program: Program, suffix: str, name: str, size: int) -> str:
    """Room that layers use in turn."""
    for place, (kind, known, least) in enumerate(program.state):
        if known == f"{name}_{suffix}":
            program.state[place] = (kind, known, max(least, size))
            return f"s->{known}"
    return program.keep(suffix, f"{name}_{suffix}", size)


def _lstm(program: Program, k: int, p: LSTMParameters, suffix: str) -> list[str]:
    C, H, P, dtype, kind = p.inputs, p.units, p.state_width, computed_in(p), real(suffix)
    bias = np.zeros((4, H), dtype)
    for one in (p.b_x, p.b_h):
        if one is not None:
            bias += one.astype(dtype)
    bias[2] += dtype.type(p.forget_bias)
    kernel = blocks(tuple(bias[:, None]), tuple(p.w_x), tuple(p.w_h), units=UNITS)
    program.constant(f"kernel_{k}", kernel, suffix)
    program.keep(suffix, f"c_{k}", H)
    program.keep(suffix, f"h_{k}", P)
    shown = _work(program, suffix, "next", H)
    gates = _basic_lstm(program, suffix) if _is_basic(p) else _general_lstm(program, k, p, suffix)

    def block(n: int, first: str) -> list[str]:
        width = 4 * n
        return [
            f"{kind} z[{width}], *c = s->c_{k} + {first};",
            f"memcpy(z, w, {width} * sizeof z[0]);",
            program.call_product(width, suffix, f"w + {width}", _read(suffix), C, "z"),
            program.call_product(width, suffix, f"w + {width * (1 + C)}", f"s->h_{k}", P, "z"),
            f"for (u = 0; u < {n}; ++u) {{",
            f"  const {kind} z_i = z[u], z_j = z[{n} + u], z_f = z[{2 * n} + u], z_o = z[{3 * n} + u];",
            *(f"  {line}".replace("@at", first) for line in gates),
            "}",
        ]

    lines = _blocks(H, block, 4 * (1 + C + P))
    if p.projection is None:
        return [*lines, f"memcpy(s->h_{k}, {shown}, sizeof s->h_{k});"]
    return [*lines, *_project(program, k, p, suffix, shown)]


def _blocks(H: int, block: Callable[[int, str], list[str]], size: int) -> list[str]:
    """Write the loop over whole blocks of units and what is left of them; `size` numbers of weights for each unit."""
    lines: list[str] = []
    whole, rest = divmod(H, UNITS)
    if whole:
        lines += ["{", "  int first;", f"  for (first = 0; first < {whole * UNITS}; first += {UNITS}) {{"]
        lines += [f"    {line}" for line in (*block(UNITS, "first"), f"w += {UNITS * size};")]
        lines += ["  }", "}"]
    if rest:
        lines += ["{", *(f"  {line}" for line in block(rest, str(whole * UNITS))), "}"]
    return lines


def _is_basic(p: LSTMParameters) -> bool:
    clips = (p.input_clip, p.cell_clip)
    return (
        p.activations == Activations()
        and p.peepholes is None
        and p.projection is None
        and all(one is None or np.isinf(one) for one in clips)
    )


def _basic_lstm(program: Program, suffix: str) -> list[str]:
    program.needs.add(f"basic_gates_{suffix}")
    return [f"s->next_{suffix}[@at + u] = basic_gates_{suffix}(z_i, z_j, z_f, z_o, c + u);"]


def _general_lstm(program: Program, k: int, p: LSTMParameters, suffix: str) -> list[str]:
    kind, multiply_add = real(suffix), fma(suffix)
    peepholes = None if p.peepholes is None else program.constant(f"peepholes_{k}", p.peepholes.T, suffix)

    def gate(function: str, z: str, peephole: int | None, c: str) -> str:
        if peepholes is not None and peephole is not None:
            z = f"{multiply_add}({peepholes}[3 * (@at + u) + {peephole}], {c}, {z})"
        return _activated(program, function, _limited(program, z, p.input_clip, suffix), suffix)

    a = p.activations
    opened = f"{multiply_add}(f, c[u], ij)"
    shown = _activated(program, a.output, "c_new", suffix)
    return [
        f"const {kind} i = {gate(a.gate, 'z_i', 0, 'c[u]')};",
        f"const {kind} j = {gate(a.cell, 'z_j', None, '')};",
        f"const {kind} f = {gate(a.gate, 'z_f', 1, 'c[u]')};",
        f"const {kind} ij = i * j;",
        f"const {kind} c_new = {_limited(program, opened, p.cell_clip, suffix)};",
        f"const {kind} o = {gate(a.gate, 'z_o', 2, 'c_new')};",
        "c[u] = c_new;",
        f"s->next_{suffix}[@at + u] = o * {shown};",
    ]


def _limited(program: Program, value: str, limit: float | None, suffix: str) -> str:
    if limit is None or np.isinf(limit):
        return value
    program.needs.add(f"limited_{suffix}")
    most = f"{limit:.16e}" if suffix == "d" else f"{np.float32(limit):.8e}f"
    return f"limited_{suffix}({value}, -{most}, {most})"


def _activated(program: Program, function: str, value: str, suffix: str) -> str:
    if function == "linear":
        return value
    program.needs.add(f"{function}_{suffix}")
    return f"{function}_{suffix}({value})"


def _project(program: Program, k: int, p: LSTMParameters, suffix: str, shown: str) -> list[str]:
    """H = shown @ projection, limited."""
    assert p.projection is not None  # noqa: S101
    parts = panels(p.projection, 4 * UNITS)
    name = program.constant(f"projection_{k}", np.concatenate([part.ravel() for part in parts]), suffix)
    P, H = p.state_width, p.units
    lines = [f"memset(s->h_{k}, 0, sizeof s->h_{k});"]
    at = 0
    for part in parts:
        width = part.shape[1]
        to = f"s->h_{k} + {at}"
        lines.append(program.call_product(width, suffix, f"{name} + {at * H}", shown, H, to))
        at += width
    limited = _limited(program, f"s->h_{k}[u]", p.projection_clip, suffix)
    if limited != f"s->h_{k}[u]":
        lines.append(f"for (u = 0; u < {P}; ++u) s->h_{k}[u] = {limited};")
    return lines


def _gru(program: Program, k: int, p: GRUParameters, suffix: str) -> list[str]:
    C, H, kind = p.inputs, p.units, real(suffix)
    (w_z, w_r, w_n), (u_z, u_r, u_n) = p.w_x, p.w_h
    sums = 4 if p.reset_after else 3
    of_h = (u_z, u_r, u_n) if p.reset_after else (u_z, u_r)
    kernel = blocks(_gru_bias(p, sums), (w_n, w_z, w_r), of_h, units=UNITS)
    program.constant(f"kernel_{k}", kernel, suffix)
    program.keep(suffix, f"h_{k}", H)
    _work(program, suffix, "next", H)
    names = ("sum_n", "sum_z", "sum_r", "sum_u")[:sums]
    gates = _gru_after(program, p, k, suffix) if p.reset_after else _gru_before(program, p, k, suffix)

    def block(n: int, first: str) -> list[str]:
        after = (sums + 3 * C) * n
        return [
            f"{kind} z[{sums * n}];",
            f"memcpy(z, w, {sums * n} * sizeof z[0]);",
            program.call_product(3 * n, suffix, f"w + {sums * n}", _read(suffix), C, "z"),
            program.call_product(len(of_h) * n, suffix, f"w + {after}", f"s->h_{k}", H, f"z + {n}"),
            f"for (u = 0; u < {n}; ++u) {{",
            f"  const {kind} {', '.join(f'{one} = z[{g * n} + u]' for g, one in enumerate(names))};",
            *(f"  {line}".replace("@at", first) for line in gates),
            "}",
        ]

    lines = _blocks(H, block, sums + 3 * C + len(of_h) * H)
    if not p.reset_after:
        lines += _gru_feed(program, k, p, u_n, suffix)
    return [*lines, f"memcpy(s->h_{k}, s->next_{suffix}, sizeof s->h_{k});"]


def _gru_bias(p: GRUParameters, sums: int) -> tuple[Array, ...]:
    """Return the rows of n, z, r and, with the reset after the product, u: the part of n that r multiplies."""
    dtype = computed_in(p)
    bias = np.zeros((sums, 1, p.units), dtype)
    for gate, row in enumerate((1, 2, 0)):  # z, r, n
        if p.b_x is not None:
            bias[row] += p.b_x[gate].astype(dtype)
        if p.b_h is not None:
            bias[3 if gate == 2 and p.reset_after else row] += p.b_h[gate].astype(dtype)
    return tuple(bias)


def _next(program: Program, p: GRUParameters, k: int, suffix: str, sum_z: str, sum_n: str, at: str) -> list[str]:
    """Write what the sums of z and n make of a unit."""
    to, h = f"s->next_{suffix}[{at}]", f"s->h_{k}[{at}]"
    if (p.activations.gate, p.activations.cell) == ("sigmoid", "tanh"):
        program.needs.add(f"basic_gru_{suffix}")
        return [f"{to} = basic_gru_{suffix}({sum_z}, {sum_n}, {h});"]
    kind, one = real(suffix), "1.0" if suffix == "d" else "1.0f"
    return [
        f"const {kind} of_z = {_activated(program, p.activations.gate, sum_z, suffix)};",
        f"const {kind} n = {_activated(program, p.activations.cell, sum_n, suffix)};",
        f"const {kind} rest = {one} - of_z, fresh = rest * n;",
        f"{to} = {fma(suffix)}(of_z, {h}, fresh);",
    ]


def _gru_after(program: Program, p: GRUParameters, k: int, suffix: str) -> list[str]:
    reset = _activated(program, p.activations.gate, "sum_r", suffix)
    kind = real(suffix)
    return [
        f"const {kind} r = {reset};",
        f"const {kind} with_u = {fma(suffix)}(r, sum_u, sum_n);",
        *_next(program, p, k, suffix, "sum_z", "with_u", "@at + u"),
    ]


def _gru_before(program: Program, p: GRUParameters, k: int, suffix: str) -> list[str]:
    for one in ("sum_n", "sum_z", "fed"):
        _work(program, suffix, one, p.units)
    reset = _activated(program, p.activations.gate, "sum_r", suffix)
    return [
        f"s->sum_n_{suffix}[@at + u] = sum_n;",
        f"s->sum_z_{suffix}[@at + u] = sum_z;",
        f"s->fed_{suffix}[@at + u] = {reset} * s->h_{k}[@at + u];",
    ]


def _gru_feed(program: Program, k: int, p: GRUParameters, u_n: Array, suffix: str) -> list[str]:
    """N from r * h on."""
    H = p.units
    parts = panels(u_n, 4 * UNITS)
    name = program.constant(f"fed_{k}", np.concatenate([part.ravel() for part in parts]), suffix)
    lines, at = [], 0
    for part in parts:
        width = part.shape[1]
        sums = f"s->sum_n_{suffix} + {at}"
        lines.append(program.call_product(width, suffix, f"{name} + {at * H}", f"s->fed_{suffix}", H, sums))
        at += width
    body = _next(program, p, k, suffix, f"s->sum_z_{suffix}[u]", f"s->sum_n_{suffix}[u]", "u")
    return [*lines, f"for (u = 0; u < {H}; ++u) {{", *(f"  {line}" for line in body), "}"]
