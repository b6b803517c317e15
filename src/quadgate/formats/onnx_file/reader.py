"""An ONNX file as a Model."""

from __future__ import annotations

from pathlib import Path

from quadgate.errors import FileFormatError, InputError
from quadgate.formats.onnx_file.description import KEY, Description
from quadgate.formats.onnx_file.graph import OnnxGraph, read_graph
from quadgate.formats.onnx_file.nodes import find_nodes
from quadgate.formats.recurrence import Recurrence
from quadgate.formats.spelled_out import find_spelled_out
from quadgate.layouts import Settings
from quadgate.model import Model


def read_model(path: Path, settings: Settings) -> Model:
    """Read the LSTMs and GRUs of an ONNX file: nodes of that kind, and LSTMs written as products and activations.

    Raises:
        FileFormatError: the file is damaged, or has no layer that can be used.
        MissingDependencyError: the package onnx is not installed.
    """
    graph = read_graph(path)
    cells, cannot, notes = find_nodes(graph)
    spelled_out, not_understood = find_spelled_out(graph.flow, "onnx.")
    found = Recurrence(graph.flow, [*cells, *spelled_out], [*cannot, *not_understood], notes)
    _account(graph, found)
    if KEY not in graph.metadata:
        return found.model(str(path), settings)
    told = Description.read(graph.metadata[KEY], str(path))
    head_alone = set() if told.head is None else told.head.shapes.keys()  # the rest is the pooling and the scaling
    found.rest = {name: one for name, one in found.rest.items() if name in head_alone}
    try:
        return told.complete(found.model(str(path), settings, told.head))
    except FileFormatError:
        raise
    except InputError as error:
        raise FileFormatError(f"{path}: metadata {KEY}: {error}") from None


def _account(graph: OnnxGraph, found: Recurrence) -> None:
    """Say of every tensor of the file where it went: kept under its name, or put together with others by the graph."""
    used = {name.partition("[")[0] for cell in found.cells for name, _ in cell.tensors.values()}
    part_of: dict[str, str] = {}
    for cell in found.cells:
        for name, sources in cell.sources.items():
            for source in sources:
                part_of.setdefault(source, name)
    for name, one in graph.initializers.items():
        if name in used:
            continue
        if name in part_of:
            found.notes[name] = f"part of {part_of[name]}, as the graph puts it together"
        elif one.dtype.kind == "f" and one.shape:
            found.rest[name] = one
