"""quadgate trains, explains, converts, speeds up and streams LSTM sequence models.

Everything grows from one fact: a step of an LSTM is one matrix product, `[x, h] @ kernel + bias`, cut into four gates.
Names are imported when they are first used, so that `import quadgate` costs next to nothing and never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quadgate import cell, classifier, data, explain, formats, kernels, layouts, model, modules, proof, training
    from quadgate.classifier import LSTMClassifier, LSTMRegressor
    from quadgate.formats import load, save
    from quadgate.model import Model
    from quadgate.modules import accelerate, rnn
    from quadgate.modules.gru_operator import gru
    from quadgate.modules.operator import lstm
    from quadgate.proof import convert, verify

__version__ = "0.1.0"

__all__ = [
    "LSTMClassifier",
    "LSTMRegressor",
    "Model",
    "accelerate",
    "cell",
    "classifier",
    "convert",
    "data",
    "explain",
    "formats",
    "gru",
    "kernels",
    "layouts",
    "load",
    "lstm",
    "model",
    "modules",
    "proof",
    "rnn",
    "save",
    "streaming",
    "training",
    "verify",
]

_ROOMS = {
    "cell",
    "classifier",
    "data",
    "explain",
    "formats",
    "kernels",
    "layouts",
    "model",
    "modules",
    "streaming",
    "proof",
    "training",
}
_NAMES = {
    "LSTMClassifier": "classifier",
    "LSTMRegressor": "classifier",
    "Model": "model",
    "load": "formats",
    "save": "formats",
    "rnn": "modules",
    "accelerate": "modules",
    "lstm": "modules.operator",
    "gru": "modules.gru_operator",
    "convert": "proof",
    "verify": "proof",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"quadgate.{name}")
    if name in _NAMES:
        room = import_module(f"quadgate.{_NAMES[name]}")
        return getattr(room, name)
    raise AttributeError(f"module 'quadgate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
