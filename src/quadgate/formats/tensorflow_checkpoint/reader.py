"""A TensorFlow 1 checkpoint as a Model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from quadgate.cell import Activations
from quadgate.errors import FileFormatError, InputError
from quadgate.formats.tensorflow_checkpoint.bundle import read_bundle
from quadgate.formats.tensorflow_checkpoint.graph import Graph, read_graph
from quadgate.formats.tensorflow_checkpoint.single_file import read_single_file
from quadgate.formats.tensorflow_checkpoint.structure import arrange, find_cells, find_head, left_out
from quadgate.formats.tensorflow_checkpoint.table import MAGIC, is_table
from quadgate.model.model import Model
from quadgate.model.network import Cell, Network
from quadgate.model.variables import Variables

LATEST = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
LARGEST_STATE = 1 << 20


def find_checkpoint(path: Path) -> Path | None:
    """Return the prefix of the checkpoint that `path` names, or None where it names none.

    Args:
        path: the prefix, the `.index`, `.meta` or data file, a checkpoint of version 1, or a folder whose text file
            `checkpoint` names the latest one. Of that name only the last part counts: checkpoints are moved together
            with their folder, and a file must not point anywhere else.

    Raises:
        FileFormatError: the folder's `checkpoint` file names none.
    """
    if path.is_dir():
        state = path / "checkpoint"
        return _latest(state) if state.is_file() else None
    for prefix in (path, path.with_suffix("")):
        if Path(f"{prefix}.index").is_file():
            return prefix
    if path.is_file() and path.stat().st_size >= len(MAGIC):
        with path.open("rb") as file:
            file.seek(-len(MAGIC), 2)
            return path if is_table(file.read()) else None
    return None


def _latest(state: Path) -> Path:
    with state.open("rb") as file:
        match = LATEST.search(file.read(LARGEST_STATE).decode("utf-8", "replace"))
    name = re.split(r"[/\\]", match[1])[-1] if match else ""
    if name in ("", ".", ".."):
        raise FileFormatError(f"{state}: found no model_checkpoint_path, expected the name of the latest checkpoint")
    return state.parent / name


def read(prefix: Path) -> Model:
    """Read a checkpoint; its numbers are mapped into memory, and checked, when they are used.

    What the graph beside it (`PREFIX.meta`) says about forget bias, clips and activations is taken from there; what
    is said nowhere is listed in `assumptions`.

    Raises:
        FileFormatError: a file is damaged, or no LSTM cell is in it.
    """
    index, meta = Path(f"{prefix}.index"), Path(f"{prefix}.meta")
    if not index.is_file() and not prefix.is_file():
        raise FileFormatError(f"{prefix}: not found, nor {index.name}")
    contents = read_bundle(prefix) if index.is_file() else read_single_file(prefix)
    graph = read_graph(meta) if meta.is_file() else None
    trainable = graph.trainable if graph else ()
    order = dict.fromkeys([*(name for name in trainable if name in contents.tensors), *contents.tensors])
    reasons = dict(contents.unread)
    kept = {}
    for name in order:
        one = contents.tensors[name]
        reason = left_out(name, one.shape, one.dtype.kind == "f", trainable)
        if reason is None:
            kept[name] = one
        else:
            reasons[name] = reason
    variables = Variables(kept)
    shapes = {name: one.shape for name, one in kept.items()}
    found = find_cells(shapes)
    cells = arrange(found)
    if not cells:
        names = ", ".join(list(contents.tensors)[:3]) or "none"
        raise FileFormatError(
            f"{prefix}: found no LSTM cell among its {len(contents.tensors)} variables ({names}, ...), "
            "expected names such as rnn/basic_lstm_cell/kernel"
        )
    settled = {cell.kernel: _settle(cell, graph) for layer in cells for cell in layer}
    assumptions = [] if all(settled.values()) else _assume(cells, settled, "graph" if graph else "checkpoint")
    cells = tuple(tuple(settled[cell.kernel] or cell for cell in layer) for layer in cells)
    if len({one.group for one in found}) > 1:
        assumptions.append("the layers of different scopes follow each other (assumed: in the file's order)")
    head = find_head(shapes, cells)
    if head is not None:
        assumptions.append(f"{head.weights} reads the last output (assumed: a checkpoint does not hold it)")
    try:
        return Model(
            network=Network.describing(cells, head),
            variables=variables,
            assumptions=tuple(assumptions),
            source=str(prefix),
            left_out=tuple(f"{name}: {reason}" for name, reason in reasons.items()),
            cells=cells,
            head=head,
        )
    except InputError as error:
        raise FileFormatError(f"{prefix}: {error}") from None


def _settle(cell: Cell, graph: Graph | None) -> Cell | None:
    """Return the cell with what the graph says about running it, or None where nothing does."""
    facts = None if graph is None else graph.cell(cell.kernel, cell.projection)
    if facts is None or facts.forget_bias is None or facts.cell is None or facts.output is None:
        return None
    return replace(
        cell,
        forget_bias=facts.forget_bias,
        cell_clip=facts.cell_clip,
        projection_clip=facts.projection_clip,
        activations=Activations(cell=facts.cell, output=facts.output),
    )


def _assume(cells: tuple[tuple[Cell, ...], ...], settled: Mapping[str, Cell | None], silent: str) -> list[str]:
    """Say what is taken for granted, naming the cells where it is not all of them."""
    open_cells = [cell for layer in cells for cell in layer if settled[cell.kernel] is None]
    whose = "" if len(open_cells) == len(settled) else " in " + ", ".join(cell.kernel for cell in open_cells)
    biases = sorted({cell.forget_bias for cell in open_cells})
    return [
        *(f"forget_bias={bias}{whose} (assumed: a {silent} does not hold it)" for bias in biases),
        f"activation tanh, no clips{whose} (assumed: a {silent} does not hold it)",
    ]
