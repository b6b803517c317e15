"""A layer as PyTorch's module holds it, in lines that run."""

from __future__ import annotations

from quadgate.cell import GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts import LAYOUTS, encode

PYTORCH = {"lstm": "torch.nn.LSTM", "gru": "torch.nn.GRU"}


def pytorch_code(p: LSTMParameters | GRUParameters, place: tuple[int, int], loaded: str = "") -> str:
    """Return lines that run as they stand: a layer as PyTorch's module, and what its forget or update gate reads.

    Args:
        p: the layer's numbers.
        place: its layer and direction in the model.
        loaded: the expression that loads the model; without it the module keeps the numbers that PyTorch draws.

    Returns:
        The lines, or nothing where PyTorch's module cannot hold the layer.

    >>> import numpy as np
    >>> print(pytorch_code(LSTMParameters.from_kernel(np.ones((5, 12)), np.zeros(12)), (0, 0)))
    import torch
    <BLANKLINE>
    lstm = torch.nn.LSTM(2, 3, batch_first=True)
    kernel = torch.cat([lstm.weight_ih_l0, lstm.weight_hh_l0], dim=1).T  # (5, 12): x above h, gates i, f, g, o
    forget = kernel[:, 3:6]  # the forget gate of units 0 to 2
    outputs, (h, c) = lstm(torch.zeros(1, 10, 2))  # cases, steps, inputs
    """
    kind = "GRU" if isinstance(p, GRUParameters) else "LSTM"
    try:
        names = encode(p, PYTORCH[kind.lower()]).tensors
    except InputError:
        return ""
    C, H, P = p.inputs, p.units, p.state_width
    options = "" if any("bias" in name for name in names) else ", bias=False"
    options += f", proj_size={P}" if P != H else ""
    module, gate = kind.lower(), "forget" if kind == "LSTM" else "update"
    lines = ["import torch", ""]
    if loaded:
        lines = ["import torch", "", "import quadgate", "from quadgate.layouts import encode", ""]
        lines += [f"layer = {loaded}.layers[{place[0]}][{place[1]}]"]
        lines += [f'tensors = encode(layer, "{PYTORCH[module]}").tensors']
    lines += [f"{module} = torch.nn.{kind}({C}, {H}{options}, batch_first=True)"]
    if loaded:
        name = 'name.removesuffix("_reverse")' if p.reverse else "name"
        lines += [f"{module}.load_state_dict({{{name}: torch.tensor(array) for name, array in tensors.items()}})"]
    rows, columns = C + P, len(names["weight_ih_l0_reverse" if p.reverse else "weight_ih_l0"])
    order = ", ".join(LAYOUTS[PYTORCH[module]].gates).replace("j", "g")
    comment = f"  # ({rows}, {columns}): x above h, gates {order}"
    lines += [f"kernel = torch.cat([{module}.weight_ih_l0, {module}.weight_hh_l0], dim=1).T{comment}"]
    lines += [f"{gate} = kernel[:, {H}:{2 * H}]  # the {gate} gate of units 0 to {H - 1}"]
    state = "(h, c)" if kind == "LSTM" else "h"
    series, comment = f"torch.zeros(1, 10, {C})", "  # cases, steps, inputs"
    if p.reverse:
        series, comment = f"{series}.flip(1)", "  # read from its end"
    return "\n".join([*lines, f"outputs, {state} = {module}({series}){comment}"])
