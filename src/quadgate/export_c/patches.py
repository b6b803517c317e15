"""The C lines of an ensemble: a buffer where its networks read patches, and the mean of what they say."""

from __future__ import annotations

from quadgate.errors import InputError
from quadgate.export_c.head import head
from quadgate.export_c.layers import layer
from quadgate.export_c.program import Program
from quadgate.model import Ensemble, Patches


def ensemble_output(ensemble: Ensemble, output: str | None) -> str:
    """Return what a step answers with: of several networks only probabilities have bits that every compiler gives.

    Raises:
        InputError: another output.
    """
    if len(ensemble.members) == 1:
        return ensemble.choose(output)
    if output not in (None, "probabilities"):
        raise InputError(
            f"output: found {output!r}, expected 'probabilities': logits of several networks are a logarithm, whose "
            "last bit differs from one C library to the next"
        )
    return "probabilities"


def ensemble_lines(program: Program, ensemble: Ensemble, output: str) -> list[str]:
    """Write the layers and heads of all members, and return the lines that follow the scaling of a sample."""
    K, several = int(ensemble.classes or 0), len(ensemble.members) > 1
    x = program.keep("f", "patch", ensemble.patches.length * ensemble.inputs) if ensemble.patches.length > 1 else "s->x"
    lines: list[str] = [f"for (k = 0; k < {K}; ++k) y[k] = 0.0f;"] if several else []
    answer = program.keep("f", "one", K) if several else "y"
    number = 0
    for member, one in enumerate(ensemble.members):
        read = x
        for parameters in one.model.layers:
            lines.append(f"layer_{number}(s, {read});")
            read = layer(program, number, parameters[0])
            number += 1
        of = f"_{member}" if several else ""
        lines += head(program, one.model, read, output == "probabilities", answer, of)
        if several:
            lines.append(f"for (k = 0; k < {K}; ++k) y[k] += {answer}[k];")
    if several:
        lines.append(f"for (k = 0; k < {K}; ++k) y[k] /= {len(ensemble.members)}.0f;")
    return lines if ensemble.patches.length == 1 else _buffered(program, ensemble.patches, ensemble.inputs, lines)


def _buffered(program: Program, patches: Patches, C: int, lines: list[str]) -> list[str]:
    """Read a patch that is full for good; of one that is not, keep the answer alone."""
    length, stride = patches.length, patches.stride
    remembered = [one for one in program.state if one[1].split("_")[0] in ("c", "h", "carried")]
    for kind, name, size in remembered:
        program.keep("d" if kind == "double" else "f", f"kept_{name}", size)
    program.state.append(("int", "filled", 1))
    return [
        f"memcpy(s->patch + s->filled[0] * {C}, s->x, sizeof s->x);",
        "s->filled[0] += 1;",
        f"if (s->filled[0] < {length}) {{",
        *(f"  memcpy(s->kept_{name}, s->{name}, sizeof s->{name});" for _, name, _ in remembered),
        "}",
        *lines,
        f"if (s->filled[0] < {length}) {{",
        *(f"  memcpy(s->{name}, s->kept_{name}, sizeof s->{name});" for _, name, _ in remembered),
        "} else {",
        f"  memmove(s->patch, s->patch + {stride * C}, {(length - stride) * C} * sizeof s->patch[0]);",
        f"  memset(s->patch + {(length - stride) * C}, 0, {stride * C} * sizeof s->patch[0]);",
        f"  s->filled[0] = {length - stride};",
        "}",
    ]
