"""`quadgate doctor`: what this machine offers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Tell what quadgate can use on this machine, and if not, why."""
    from quadgate.kernels.machine import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps({finding.subject: asdict(finding) for finding in findings}, indent=2))
        return
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        typer.echo(f"{'ok ' if finding.usable else 'no '} {finding.subject:<{width}}  {finding.found}")
