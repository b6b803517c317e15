"""Write the two files of a network in C."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quadgate.errors import InputError
from quadgate.export_c.functions import functions
from quadgate.export_c.head import head
from quadgate.export_c.layers import layer
from quadgate.export_c.patches import ensemble_lines, ensemble_output
from quadgate.export_c.program import Program
from quadgate.model import Ensemble, Model, write_atomically
from quadgate.streaming.engine import check_streams

_RESERVED = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main
"""


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        source, header: the two files.
        name: what every public name begins with.
        flash: bytes of constants; the code comes on top.
        ram: bytes of the state of one stream, which is all the memory beside the stack.
        output: what a step answers with.
        outputs: K, how many numbers that is.
    """

    source: Path
    header: Path
    name: str
    flash: int
    ram: int
    output: str
    outputs: int


def export_c(model: Model | Ensemble, folder: str | Path, name: str = "network", output: str | None = None) -> Export:
    """Write a model as `NAME.c` and `NAME.h`: C99 with `NAME_init`, `NAME_step` and `NAME_reset`, without malloc.

    A step does what `model.stream(output).step` does to a float32 sample, with the same bits wherever the compiler's
    `fmaf` rounds once, as the C standard asks: scaling, every layer, pooling, dense layer, probabilities.

    Args:
        model: its layers read forward. Of an ensemble whose networks read patches, a step that leaves a patch unfilled
            costs as much as one that fills it.
        folder: made where it is not there.
        name: a C identifier.
        output: `logits`, `probabilities` or `outputs`, as in `Model.run`, with the same default; of several networks
            probabilities, which is the default then.

    Raises:
        InputError: a layer reads backwards, a variable holds a number that is not finite, or `name` or `output` cannot
            be what it is.

    >>> import tempfile
    >>> from quadgate.model import Model, Network
    >>> network = Network(inputs=2, units=4, classes=2)
    >>> model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = export_c(model, folder)
    ...     sorted(path.name for path in Path(folder).iterdir()), done.flash, done.ram
    (['network.c', 'network.h'], 488, 56)
    """
    _check_name(name)
    program = Program()
    if isinstance(model, Ensemble):
        _check_streams(model)
        output = ensemble_output(model, output)
        calls = _samples(program, model) + ensemble_lines(program, model, output)
    else:
        if output is None:
            output = "outputs" if model.head is None else "logits"
        model.head_for(output)  # refuses an output that is not known, and a model of several chains
        _check_streams(model)
        calls = _network(program, model, output)
    outputs = int(model.classes or 0)
    if output == "outputs" and isinstance(model, Model):
        outputs = model.layers[-1][0].state_width
    program.state.sort(key=lambda one: one[0] != "double")
    source, header = (Path(folder) / f"{name}{ending}" for ending in (".c", ".h"))
    source.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(header) as beside:
        beside.write_text(_header(model, program, name, output, outputs), encoding="ascii")
    with write_atomically(source) as beside:
        beside.write_text(_source(program, name, calls), encoding="ascii")
    return Export(source, header, name, program.flash, program.ram, output, outputs)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in _RESERVED.split():
        raise InputError(f"name: found {name!r}, expected a C identifier such as 'network'")


def _check_streams(model: Model | Ensemble) -> None:
    """Refuse what cannot answer after a step, and numbers that C cannot write down."""
    check_streams(model)
    variables = model.variables
    for name in variables:
        if not np.isfinite(variables[name]).all():
            raise InputError(f"variable {name}: found a number that is not finite, expected finite numbers alone")


def _network(program: Program, model: Model, output: str) -> list[str]:
    """Write the layers and the head, and return the lines of a step."""
    layers = [cells[0] for cells in model.layers]
    lines = _samples(program, model)
    x = "s->x"
    for k, one in enumerate(layers):
        lines.append(f"layer_{k}(s, {x});")
        x = layer(program, k, one)
    if output == "outputs":
        return [*lines, f"memcpy(y, {x}, {layers[-1].state_width} * sizeof y[0]);"]
    return lines + head(program, model, x, output == "probabilities")


def _samples(program: Program, model: Model | Ensemble) -> list[str]:
    """Scale in double and round once, as `Scaling.apply` does; nothing is read where a number is not finite."""
    program.keep("f", "x", model.inputs)
    value = "x[k]"
    if model.scaling is not None:
        program.constant("mean", model.scaling.mean, "d")
        program.constant("scale", model.scaling.scale, "d")
        value = "(float)((x[k] - mean[k]) / scale[k])"
    return [
        f"for (k = 0; k < {model.inputs}; ++k) {{",
        f"  const float value = {value};",
        "  if (!(value >= -FLT_MAX && value <= FLT_MAX)) return k + 1;",
        "  s->x[k] = value;",
        "}",
    ]


def _header(model: Model | Ensemble, program: Program, name: str, output: str, outputs: int) -> str:
    upper = name.upper()
    fields = [f"  {kind} {field}[{size}];" for kind, field, size in program.state]
    answer = {
        "logits": "the logits of the classes",
        "probabilities": "the probabilities of the classes",
        "outputs": "the outputs of the top layer",
    }[output]
    labels = [] if model.labels is None or output == "outputs" else [_comment(f"Classes: {_listed(model.labels)}.")]
    channels = [] if model.channels is None else [_comment(f"Channels: {_listed(model.channels)}.")]
    return "\n".join(
        [
            _comment(f"Written by quadgate export-c from {_plain(model.source or 'a model in memory')}."),
            *channels,
            *labels,
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "",
            f"#define {upper}_INPUTS {model.inputs}",
            f"#define {upper}_OUTPUTS {outputs}",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            f"/* All that one stream remembers, and its scratch memory: {program.ram} bytes. May be copied. */",
            "typedef struct {",
            *fields,
            f"}} {name}_state;",
            "",
            "/* Before the first step. */",
            f"void {name}_init({name}_state *state);",
            "",
            "/* Takes one sample and writes the answer to all of them so far, " + answer + ".",
            "   Returns 0; or 1 plus the channel of a number that is not finite, and then nothing was done. */",
            f"int {name}_step({name}_state *state, const float x[{upper}_INPUTS], float y[{upper}_OUTPUTS]);",
            "",
            "/* Forgets everything: the next sample is the first. */",
            f"void {name}_reset({name}_state *state);",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
            "",
        ]
    )


def _source(program: Program, name: str, lines: list[str]) -> str:
    upper = name.upper()
    text = "\n".join(
        [
            "/* C99; needs the C library's memcpy, memmove, memset, fma and fmaf alone.",
            "   Fast where fmaf is an instruction: ARM with hard float; x86-64 with -mfma. */",
            f'#include "{name}.h"',
            "",
            "#include <float.h>",
            "#include <math.h>",
            "#include <stdint.h>",
            "#include <string.h>",
            "",
            functions(program.needs),
            program.product_functions,
            *program.constants,
            "",
            *program.bodies,
            "void @name_init(@name_state *s) { memset(s, 0, sizeof *s); }",
            "",
            "void @name_reset(@name_state *s) { memset(s, 0, sizeof *s); }",
            "",
            f"int @name_step(@name_state *s, const float x[{upper}_INPUTS], float y[{upper}_OUTPUTS]) {{",
            "  int k;",
            *(f"  {line}" for line in lines),
            "  return 0;",
            "}",
            "",
        ]
    )
    return text.replace("@name", name)


def _comment(text: str) -> str:
    return f"/* {text} */"


def _listed(names: tuple[str | int, ...]) -> str:
    return ", ".join(f"{k} {_plain(str(name))}" for k, name in enumerate(names))


def _plain(text: str) -> str:
    """What a file says of itself may not end a comment."""
    return re.sub(r"[^A-Za-z0-9 _.,:+()\[\]/-]", "?", text)[:200]
