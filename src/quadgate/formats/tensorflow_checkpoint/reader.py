"""A TensorFlow 1 checkpoint as a Model."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from quadgate.cell import Activations
from quadgate.errors import FileFormatError
from quadgate.formats.tensorflow_checkpoint.bundle import read_bundle
from quadgate.formats.tensorflow_checkpoint.graph import Graph, read_graph
from quadgate.formats.tensorflow_checkpoint.others import left_out_with, other_cells
from quadgate.formats.tensorflow_checkpoint.single_file import read_single_file
from quadgate.formats.tensorflow_checkpoint.structure import OPAQUE, dense_layers, find_cells, left_out
from quadgate.formats.tensorflow_checkpoint.table import MAGIC, is_table
from quadgate.formats.tensorflow_checkpoint.tensors import Contents
from quadgate.layouts import Layout, Settings, find
from quadgate.layouts.layout import ArrayName
from quadgate.model import Found, Model, build

LATEST = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
LARGEST_STATE = 1 << 20


def find_checkpoint(path: Path) -> Path | None:
    """Return the prefix of the checkpoint that `path` names, or None where it names none.

    Args:
        path: the prefix, the `.index`, `.meta` or data file, a checkpoint of version 1, or the text file `checkpoint`
            that names the latest one, or its folder. Of that name only the last part counts: checkpoints are moved
            together with their folder, and a file must not point anywhere else.

    Raises:
        FileFormatError: the folder's `checkpoint` file names none.
    """
    if path.is_dir():
        state = path / "checkpoint"
        return _latest(state) if state.is_file() else None
    if path.name == "checkpoint" and path.is_file():
        return _latest(path)
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


def read_model(prefix: Path, settings: Settings) -> Model:
    """Read a checkpoint; its numbers are mapped into memory, and checked, when they are used.

    What the graph beside it (`PREFIX.meta`) says about forget bias, clips and activations is taken from there; what
    is said nowhere is listed in `assumptions`.

    Raises:
        FileFormatError: a file is damaged, or no recurrent cell is in it.
    """
    index, meta = Path(f"{prefix}.index"), Path(f"{prefix}.meta")
    if not index.is_file() and not prefix.is_file():
        raise FileFormatError(f"{prefix}: not found, nor {index.name}")
    contents = read_bundle(prefix) if index.is_file() else read_single_file(prefix)
    return build_model(contents, read_graph(meta) if meta.is_file() else None, str(prefix), settings)


def build_model(contents: Contents, graph: Graph | None, source: str, settings: Settings) -> Model:
    """Build the model of variables and of what the graph says about them, where there is one.

    Raises:
        FileFormatError: no recurrent cell is among the variables.
    """
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
    shapes = {name: one.shape for name, one in kept.items()}
    found = [_settled(one, graph) for one in find_cells(shapes, contents.objects)]
    others = other_cells(shapes, (one.name for one in found))
    reasons |= left_out_with(others, shapes)
    if not found:
        if others:
            told = "; ".join(f"{scope} is {what}" for scope, what in others.items())
            raise FileFormatError(f"{source}: found no LSTM or GRU that can be used: {told}")
        opaque = next((name for name, reason in reasons.items() if reason == OPAQUE), None)
        if opaque is not None:
            raise FileFormatError(
                f"{source}: {opaque} is {OPAQUE}, and its canonical tensors (cudnn_compatible_lstm_cell) are missing; "
                "cut it with quadgate.layouts.cut_flat"
            )
        names = ", ".join(list(contents.tensors)[:3]) or "none"
        raise FileFormatError(
            f"{source}: found no LSTM or GRU cell among its {len(contents.tensors)} variables ({names}, ...), "
            "expected names such as rnn/basic_lstm_cell/kernel"
        )
    return build(kept, found, source=source, settings=settings, dense=dense_layers(shapes), left_out=reasons)


def _settled(found: Found, graph: Graph | None) -> Found:
    """Add what the graph says about running the cell."""
    if graph is None:
        return replace(found, reason="a checkpoint does not hold it")
    row, told = find(found.layout), Settings(**found.told)
    if row.cell == "lstm":
        facts = graph.cell(_variable(row, found, "w_x"), _variable(row, found, "projection"))
        if facts.forget_bias is not None:
            told["forget_bias"] = facts.forget_bias
        if facts.cell is not None and facts.output is not None:
            told["activations"] = Activations(cell=facts.cell, output=facts.output)
            told |= Settings(cell_clip=facts.cell_clip, projection_clip=facts.projection_clip)
    return replace(found, told=told, reason="the graph does not tell it")


def _variable(row: Layout, found: Found, array: ArrayName) -> str:
    """Return the variable that holds an array of a cell, the first of its shards; empty where there is none."""
    names = (name for tensor in row.holding(array) for name in row.present(tensor, found.tensors))
    return found.tensors.get(next(names, ""), "")
