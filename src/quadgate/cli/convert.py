"""`quadgate convert` and `quadgate verify`: move a model to another framework, with proof; compare two models."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quadgate.cli.options import Json
from quadgate.cli.progress import announcer
from quadgate.errors import InputError

if TYPE_CHECKING:
    from quadgate.proof import Proof

ForgetBias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[LAYER=]FLOAT",
        help="What is added to the forget gate while running, where the file does not say it; of one layer or scope "
        "with its name, and then several times.",
    ),
]
Functions = Annotated[
    str | None,
    typer.Option("--activations", help="Gate, candidate, maybe output, such as 'sigmoid tanh', likewise."),
]
CellClip = Annotated[str | None, typer.Option(help="Limit of the cell state, or none, likewise.")]
ProjectionClip = Annotated[str | None, typer.Option(help="Limit of the projected output, or none, likewise.")]


def convert(
    src: Annotated[Path, typer.Argument(metavar="SRC", help="A model of any format that quadgate reads.")],
    dst: Annotated[Path, typer.Argument(metavar="DST", help="Where to write.")],
    to: Annotated[str | None, typer.Option(help="tf1, keras, torch, safetensors, onnx, flax, quadgate.")] = None,
    forget_bias: ForgetBias = None,
    activations: Functions = None,
    cell_clip: CellClip = None,
    projection_clip: ProjectionClip = None,
    like: Annotated[Path | None, typer.Option(help="A state dict of PyTorch whose names the result gets.")] = None,
    against: Annotated[Path | None, typer.Option(help="An .npz with x and outputs of the original.")] = None,
    as_json: Json = False,
) -> None:
    """Write a model in another framework's format and prove it: 0 proved, 3 given an assumption, 1 not written."""
    from quadgate.proof import convert as run

    settings = _settings(forget_bias, activations, cell_clip, projection_clip)
    proof = run(src, dst, to, like=like, against=against, progress=announcer(), **settings)
    if not as_json:
        _print_conversion(proof)
    _finish(proof, as_json)


def verify(
    a: Annotated[Path, typer.Argument(metavar="A", help="A model of any format that quadgate reads.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    forget_bias: ForgetBias = None,
    activations: Functions = None,
    cell_clip: CellClip = None,
    projection_clip: ProjectionClip = None,
    as_json: Json = False,
) -> None:
    """Say whether two models are the same, whatever their formats and names, and if not, why: 0, 3 or 1 as convert."""
    from quadgate.proof import verify as run

    proof = run(a, b, **_settings(forget_bias, activations, cell_clip, projection_clip))
    if not as_json:
        typer.echo(str(proof))
    _finish(proof, as_json)


def _print_conversion(proof: Proof) -> None:
    text, _, verdict = str(proof).rpartition("\n")
    typer.echo(text.rstrip())
    typer.echo("\nledger")
    reasons = Counter(use.use for use in proof.ledger)
    first = {use.use: use.tensor for use in reversed(proof.ledger)}
    for reason, count in reasons.items():
        typer.echo(f"  {first[reason]}{f' and {count - 1} more' if count > 1 else ''}: {reason}")
    if proof.holds and proof.code:
        typer.echo("\nto load it\n")
        typer.echo("\n".join(f"    {line}".rstrip() for line in proof.code.splitlines()))
    typer.echo(f"\n{verdict}" + ("" if proof.holds else f": {proof.b} was not written"))


def _finish(proof: Proof, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(proof.as_json()))
    raise typer.Exit(proof.exit_code)


def _settings(
    forget_bias: list[str] | None, activations: str | None, cell_clip: str | None, projection_clip: str | None
) -> dict[str, Any]:
    from quadgate.cell import Activations

    settings: dict[str, Any] = {}
    for told in forget_bias or ():
        layer, _, number = told.rpartition("=")
        try:
            own = {"forget_bias": float(number)}
        except ValueError:
            raise InputError(f"--forget-bias: found {told!r}, expected a number or LAYER=NUMBER") from None
        if layer:
            settings.setdefault("layers", {})[layer] = own
        else:
            settings |= own
    if activations is not None:
        names = activations.split()
        if len(names) not in (2, 3):
            raise InputError(f"--activations: found {activations!r}, expected two or three, such as 'sigmoid tanh'")
        settings["activations"] = Activations(names[0], names[1], names[-1])
    for name, text in (("cell_clip", cell_clip), ("projection_clip", projection_clip)):
        if text is not None:
            try:
                settings[name] = None if text == "none" else float(text)
            except ValueError:
                raise InputError(f"--{name.replace('_', '-')}: found {text!r}, expected a number or none") from None
    return settings
