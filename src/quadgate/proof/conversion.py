"""From one framework's file to another's: written, read back, proved, and only then put in its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Unpack

from quadgate.errors import InputError
from quadgate.formats import load_network
from quadgate.formats.registry import Format, to_write
from quadgate.model import Asked, Cell, Model
from quadgate.proof.agreement import compared
from quadgate.proof.frameworks import run_framework
from quadgate.proof.like import arranged_like
from quadgate.proof.proof import Proof, Use
from quadgate.proof.recorded import settle_by_recording


def convert(
    src: str | Path,
    dst: str | Path,
    to: str | None = None,
    *,
    like: str | Path | None = None,
    against: str | Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
    **settings: Unpack[Asked],
) -> Proof:
    """Convert a file, prove it, and put the result in its place; nothing is written where the proof fails.

    Args:
        src: what to convert.
        dst: where to.
        to: the format's name, where the ending of `dst` does not tell it.
        like: a state dict of PyTorch whose names and shapes the result gets; what the source has not is kept.
        against: an `.npz` with inputs and outputs of the original, which settles what the source does not say.
        progress: called with a word on each step.
        **settings: what the source does not say, as in `quadgate.load`.

    Raises:
        InputError: a file cannot be read, or the format cannot hold the model; the text names what it lacks.
    """
    dst = Path(dst)
    target = _target(dst, to, like)
    progress(f"reading {src}")
    model = load_network(src, **settings)
    settled: tuple[str, ...] = ()
    if against is not None:
        progress(f"running the source against {against}")
        model, settled = settle_by_recording(model, Path(against))
    dst.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".quadgate-", dir=dst.parent) as folder:
        beside = Path(folder) / dst.name
        progress(f"writing {dst}")
        if like is None:
            target.write(model, beside)
        else:
            from quadgate.formats.torch_writer import write_archive

            write_archive(beside, arranged_like(model, load_network(like)))
        progress("reading it back and comparing")
        proof = compared(model, _read_back(beside, model))
        proof = replace(proof, a=str(src), b=str(dst), settled=settled, ledger=ledger(model))
        if like is None:
            progress("running the framework, where it is installed")
            proof = _with_framework(proof, target, model, beside, dst)
        if proof.holds:
            for file in sorted(Path(folder).rglob("*"), key=lambda file: file.suffix == ".index"):
                if file.is_file():
                    place = dst.parent / file.relative_to(folder)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    file.replace(place)
    return proof


def ledger(model: Model) -> tuple[Use, ...]:
    """Say what each tensor of a model is used for, and why the others are left out."""
    uses: dict[str, str] = {}
    for cell in (cell for layer in model.cells for cell in layer):
        uses |= {variable: f"{name} of {cell.name} ({cell.layout})" for name, variable in cell.tensors}
    if model.head is not None:
        head = model.head
        uses |= {name: "the head" for name in (head.weights, head.biases, head.query) if name is not None}
    left = dict(line.split(": ", 1) for line in model.left_out)
    uses |= {name: f"left out: {why}" for name, why in left.items()}
    return tuple(Use(name, use) for name, use in uses.items())


def _target(dst: Path, to: str | None, like: str | Path | None) -> Format:
    if like is not None:
        if to not in (None, "torch"):
            raise InputError(f"to: found {to!r} with like, which is written as PyTorch's state dict; leave to out")
        return to_write(dst, "torch")
    if to is None and dst.suffix == ".safetensors":
        raise InputError(
            f"{dst}: a safetensors file may be PyTorch's or quadgate's own; give --to safetensors or quadgate"
        )
    return to_write(dst, to)


def _read_back(path: Path, model: Model) -> Model:
    """Load what was written; what such a file cannot say is what was written into it, layer by layer."""
    found = load_network(path)
    if [len(layer) for layer in found.cells] != [len(layer) for layer in model.cells]:
        return found
    open_here = {one.setting for one in found.assumptions}
    cells = tuple(
        tuple(_told(there, here, open_here) for there, here in zip(*pair, strict=True))
        for pair in zip(found.cells, model.cells, strict=True)
    )
    head = found.head
    if head is not None and model.head is not None and "pool" in open_here and model.head.query is None:
        head = replace(head, pool=model.head.pool)
    return replace(found, network=None, cells=cells, head=head, assumptions=())


def _told(there: Cell, here: Cell, settings: set[str]) -> Cell:
    chosen: dict[str, Any] = {name: getattr(here, name) for name in settings if name in here.settings}
    return replace(there, **chosen)


def _with_framework(proof: Proof, target: Format, model: Model, written: Path, dst: Path) -> Proof:
    module = import_module(f"quadgate.formats.{target.writer}")
    arranged, code = getattr(module, "arranged", None), getattr(module, "loading_code", None)
    run = run_framework(target.name, model, written)
    return replace(
        proof,
        frameworks=() if run is None else (run,),
        folded=() if arranged is None else arranged(model)[1],
        code=_QUADGATE.format(dst) if code is None else code(model, dst),
    )


_QUADGATE = 'import quadgate\n\nmodel = quadgate.load("{}")'
