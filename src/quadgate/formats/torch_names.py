"""Recurrent layers among named arrays, by the names that PyTorch gives their parameters, under any prefix.

Files that no module of PyTorch's has written use them too: safetensors, pickled dictionaries, Candle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from quadgate.errors import FileFormatError
from quadgate.layouts import LAYOUTS, Settings
from quadgate.model import Dense, Found, Model, Variables, build

Shapes = Mapping[str, tuple[int, ...]]

INPUT_WEIGHTS = re.compile(r"(?P<prefix>(?:.*\.)?)weight_ih(?:_l(?P<layer>\d{1,4})(?P<reverse>_reverse)?)?")
NORM = re.compile(r"(?:\w*_)?(?:layer_?norm|norm|ln)(?:_?\w*)?\.weight", re.IGNORECASE)
OPTIMIZER = re.compile(
    r"(^|\.)(optim\w*|(?:exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer|square_avg|acc_delta|sum)$)(\.|$)"
)
ROWS = {
    (4, True): "torch.nn.LSTM",
    (4, False): "torch.nn.LSTMCell",
    (3, True): "torch.nn.GRU",
    (3, False): "torch.nn.GRUCell",
}


def build_named(arrays: Variables, source: Path, settings: Settings) -> Model:
    """Build a model from arrays with PyTorch's names.

    Raises:
        FileFormatError: there is no LSTM or GRU among them.
    """
    reasons, kept = {}, []
    for name in arrays:
        reason = _left_out(name, arrays.dtype(name).kind == "f")
        if reason is None:
            kept.append(name)
        else:
            reasons[name] = reason
    weights = arrays.only(set(kept))
    shapes = {name: weights.shape(name) for name in weights}
    found = find_layers(shapes)
    normalised = {norm: one for one in found for norm in _norms(one, shapes)}
    found = [one for one in found if one not in normalised.values()]
    if not found and normalised:
        norm, cell = next(iter(normalised.items()))
        raise FileFormatError(f"{source}: found no LSTM or GRU that can be used: {_normalises(cell, norm)}")
    reasons |= {name: _normalises(one, norm) for norm, one in normalised.items() for name in one.tensors.values()}
    if not found:
        raise FileFormatError(
            f"{source}: found no LSTM or GRU among its {len(arrays)} arrays ({', '.join(list(arrays)[:3]) or 'none'}, "
            "...), expected names such as lstm.weight_ih_l0"
        )
    return build(weights, found, source=str(source), settings=settings, dense=dense_layers(shapes), left_out=reasons)


def find_layers(shapes: Shapes) -> list[Found]:
    """Return the layers in the file's order; those of one module are a chain.

    Modules side by side may follow each other; those of different parents (an encoder and a decoder, two models in one
    file) are taken to be chains of their own.

    >>> shapes = {"net.rnn.weight_ih_l0": (12, 5), "net.rnn.weight_hh_l0": (12, 3), "net.out.weight": (2, 3)}
    >>> [(one.name, one.layout, one.tensors["weight_hh_l0"]) for one in find_layers(shapes)]
    [('net.rnn.l0', 'torch.nn.LSTM', 'net.rnn.weight_hh_l0')]
    """
    found: list[Found] = []
    for name, shape in shapes.items():
        match = INPUT_WEIGHTS.fullmatch(name)
        recurrent = shapes.get(name.replace("weight_ih", "weight_hh"), ())
        if match is None or len(shape) != 2 or len(recurrent) != 2:
            continue
        projection = shapes.get(name.replace("weight_ih", "weight_hr"), ())
        units = projection[1] if len(projection) == 2 else recurrent[1]
        gates = recurrent[0] // units if units else 0
        if (gates, True) not in ROWS:
            continue
        row = LAYOUTS[ROWS[gates, match["layer"] is not None]]
        reverse = match["reverse"] is not None
        suffix = "" if match["layer"] is None else f"_l{match['layer']}{match['reverse'] or ''}"
        tensors = {}
        for tensor in row.tensors:
            own = row.name_of(tensor, 0, reverse)
            there = f"{match['prefix']}{own.partition('_l0')[0]}{suffix}"
            if there in shapes:
                tensors[own] = there
        module = match["prefix"].removesuffix(".")
        side_by_side = not found or found[-1].group.rpartition(".")[0] == module.rpartition(".")[0]
        found.append(
            Found(
                name=".".join(part for part in (module, suffix.removeprefix("_")) if part),
                layout=row.name,
                tensors=tensors,
                told=Settings(reverse=reverse),
                group=module,
                layer=int(match["layer"] or 0),
                follows=None if side_by_side else False,
            )
        )
    return found


def _norms(found: Found, shapes: Shapes) -> list[str]:
    """Return the normalisations of all gates that a module has among its own parts, which no class of PyTorch's has."""
    prefix = f"{found.group}." if found.group else ""
    gates = next(shapes[name][:1] for role, name in found.tensors.items() if role.startswith("weight_ih"))
    return [
        name
        for name, shape in shapes.items()
        if shape == gates and name.startswith(prefix) and NORM.fullmatch(name.removeprefix(prefix))
    ]


def _normalises(found: Found, norm: str) -> str:
    return f"{found.name or 'its cell'} normalises its gates ({norm}), which changes what every weight means"


def dense_layers(shapes: Shapes) -> list[Dense]:
    """Return what may be `nn.Linear`: a matrix with or without a bias under the same name."""
    return [
        Dense(name, bias if shapes.get(bias) == shape[:1] else None, transposed=True)
        for name, shape in shapes.items()
        for bias in [f"{name.removesuffix('weight')}bias"]
        if len(shape) == 2 and re.fullmatch(r"(.*\.)?weight", name)
    ]


def _left_out(name: str, is_float: bool) -> str | None:
    if OPTIMIZER.search(name):
        return "the optimizer's"
    return None if is_float else "not floating point"
