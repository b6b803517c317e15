"""Recurrent cells that are no LSTM or GRU of the normal form: told by their names, so that they are not taken for one.

Source: tensorflow/contrib/rnn/python/ops/rnn_cell.py at v0.12.0 and v1.15.0, tensorflow_addons/rnn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from quadgate.formats.keras_layers import snake_case

NORMALISES = "a cell that normalises its gates, which changes what every weight means"
_GRID = "reads the frequencies of a step one after the other, as a second time"
_CONVOLVES = "convolves where an LSTM multiplies by a matrix"
_BY_UNIT = "multiplies h unit by unit and not by a matrix"
OTHERS = {
    "LayerNormBasicLSTMCell": "normalises its gates and its state; quadgate.rnn.LayerNormBasicLSTMCell computes it",
    "LayerNormLSTMCell": "normalises its gates and its state",
    "WeightNormLSTMCell": "divides its kernel by the length of each column",
    "CoupledInputForgetGateLSTMCell": "has no input gate and takes 1 - f for it",
    "PhasedLSTMCell": "opens and closes by a clock of each unit",
    "TimeFreqLSTMCell": _GRID,
    "GridLSTMCell": _GRID,
    "BidirectionalGridLSTMCell": _GRID,
    "ConvLSTMCell": _CONVOLVES,
    "conv_1d_lstm_cell": _CONVOLVES,
    "conv_2d_lstm_cell": _CONVOLVES,
    "conv_3d_lstm_cell": _CONVOLVES,
    "GLSTMCell": "keeps groups of units apart, with a kernel for each",
    "NASCell": "has eight gates",
    "UGRNNCell": "has one gate",
    "IntersectionRNNCell": "has gates of its input too",
    "SRUCell": "has gates that do not read h",
    "IndRNNCell": _BY_UNIT,
    "IndyLSTMCell": _BY_UNIT,
    "IndyGRUCell": _BY_UNIT,
    "BasicRNNCell": "has no gates",
}
_KINDS = {scope: name for name in OTHERS for scope in (name, snake_case(name))}
_SCOPE = re.compile(rf"(?P<scope>(?:.*/)?(?P<kind>{'|'.join(_KINDS)})(?:_\d+)?)/.+")
_MATRICES = ("kernel", "recurrent_kernel", "weights")  # a cell has one of them in its own scope
_GAMMA = re.compile(r"(?P<scope>.+?)/(?:input|transform|forget|output|kernel_norm|recurrent_norm)/gamma")


def other_cells(names: Iterable[str], known: Iterable[str] = ()) -> dict[str, str]:
    """Return the scopes of such cells among the names of variables, and what each is.

    Args:
        names: of variables.
        known: scopes that are cells of the normal form, which have no others within.

    >>> other_cells(["rnn/nas_cell/kernel", "rnn/lstm_cell/kernel"])
    {'rnn/nas_cell': 'a NASCell, which has eight gates'}
    >>> other_cells(["net/rnn/lstm_cell/kernel", "net/output/gamma", "net/output/kernel"])  # a layer of its own
    {}
    """
    taken, found, names = set(known), {}, list(names)
    cells = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in _MATRICES}
    for name in names:
        match = _SCOPE.fullmatch(name)
        if match is not None and match["scope"] not in taken:
            kind = _KINDS[match["kind"]]
            article = "an" if kind.startswith(("I", "SRU")) else "a"
            found[match["scope"]] = f"{article} {kind}, which {OTHERS[kind]}"
            continue
        match = _GAMMA.fullmatch(name)
        if match is not None and match["scope"] in cells - taken:
            found.setdefault(match["scope"], NORMALISES)
    return found


def left_out_with(cells: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the variables of such cells, and why they are no part of a model."""
    return {
        name: f"of {scope}, {what}" for name in names for scope, what in cells.items() if name.startswith(f"{scope}/")
    }
