"""`quadgate tune`: measure what runs an LSTM layer the fastest on this GPU."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Annotated

import typer

from quadgate.errors import InputError


def tune(
    device: Annotated[str, typer.Option(help="The GPU, as torch names it.")] = "cuda",
    units: Annotated[list[int] | None, typer.Option(help="H; may be repeated; 32 to 1024 without it.")] = None,
    cases: Annotated[list[int] | None, typer.Option(help="N; may be repeated; 1 to 256 without it.")] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="float32, tf32, bfloat16 or float16; may be repeated; all without it.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each case and implementation.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time cuDNN and quadgate's kernels on this GPU, after checking their answers, and choose by that from now on.

    Until then cuDNN runs every layer. The measurements are kept in the user's folder for caches, a file for each kind
    of GPU; a second run adds to it.
    """
    from quadgate.kernels.gpu import findings
    from quadgate.kernels.gpu.crossover import Measured, place

    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise InputError(f"--device: found {device!r}, expected cuda, or cuda:1 for the second GPU")
    refused = findings.why_not(findings.look(int(device.partition(":")[2] or 0)))
    if refused:
        raise InputError(f"tune: no GPU is used: {refused}")
    import torch

    from quadgate.speed import tuning

    for wanted in dtype or ():
        if wanted not in tuning.DTYPES:
            raise InputError(f"--dtype: found {wanted!r}, expected one of {', '.join(tuning.DTYPES)}")
    for name, numbers in (("--units", units), ("--cases", cases)):
        if any(number < 1 for number in numbers or ()):
            raise InputError(f"{name}: found {min(numbers or ())}, expected at least 1")
    chosen = tuning.grid(units or tuning.UNITS, cases or tuning.CASES, dtype or tuning.DTYPES)
    gpu = torch.device(device)
    typer.echo(f"{torch.cuda.get_device_name(gpu)}: {len(chosen)} cases, T={tuning.STEPS}; median ms", err=as_json)

    def told(number: int, measured: Measured, errors: dict[str, float], failed: dict[str, str]) -> None:
        times = "  ".join(
            f"{name} {ms:.3f}" for name, ms in sorted(measured.milliseconds.items(), key=lambda one: one[1])
        )
        left = {name: error for name, error in errors.items() if name not in (*measured.milliseconds, *failed)}
        wrong = [f"{name} is off by {error:.1e}" for name, error in left.items()]
        wrong += [f"{name} failed ({why})" for name, why in failed.items()]
        line = f"{number + 1:>4}/{len(chosen)}  {measured.case}: {times or 'none could run'}"
        typer.echo("; ".join([line, *wrong]), err=as_json)

    table = tuning.tune(chosen, gpu, seconds, told=told)
    wins: dict[str, int] = {}
    for one in table.cases:
        if one.milliseconds:
            wins[one.fastest] = wins.get(one.fastest, 0) + 1
    typer.echo(", ".join(f"{name} is the fastest in {count}" for name, count in wins.items()), err=as_json)
    typer.echo(f"written to {place(table.device)}", err=as_json)
    if as_json:
        typer.echo(json.dumps(asdict(table), indent=2))
