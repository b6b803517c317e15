"""Every number that decides a training run, and the two sets of them that have names."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from quadgate.errors import InputError, suggest
from quadgate.model.network import POOLS

INITIALIZERS = ("glorot", "chrono")
HEADS = ("scaled", "normal")
OPTIMIZERS = ("adam", "adamw")


@dataclass(frozen=True)
class Settings:
    """What is trained and how; the values here are the preset `default`.

    Attributes:
        units: H of each layer and direction.
        layers: L.
        bidirectional: whether a second cell reads each series from its end.
        pool: what of the outputs the head sees: the `last` step, the `mean`, the `max`, or an `attention` average.
        initializer: of the kernel and bias, `glorot` as in TensorFlow 1, or `chrono` (Tallec and Ollivier 2018).
        forget_bias: added to the forget gate while running.
        head: how its weights begin: `scaled` (Glorot), or standard `normal` as the seed's `tf.random_normal`.
        dropout: share of the pooled features (and of the outputs between layers) that training sets to zero.
        noise: standard deviation of the normal noise that training adds to the scaled input.
        optimizer: `adam`, or `adamw` with `weight_decay` on matrices.
        learning_rate: the first; it falls along half a cosine to 0 at the last epoch planned where `decay` is set.
        decay: whether the learning rate falls.
        weight_decay: of AdamW.
        label_smoothing: share of the target that is spread over all classes.
        clip: greatest norm of the whole gradient.
        batch_size: cases in a batch.
        epochs: at most so many.
        patience: epochs without a lower validation loss after which training stops.
        valid_fraction: share of the training cases that is held out to stop by.
        refit: whether to train once more on all training cases, for as many epochs as it took to stop.
        test_fraction: share of the cases that is held out as test set where the data have none.
        seed: the only source of chance.

    Raises:
        InputError: a value that makes no sense.

    >>> Settings().pool, PRESETS["seed"].pool
    ('mean', 'last')
    """

    units: int = 64
    layers: int = 1
    bidirectional: bool = True
    pool: str = "mean"
    initializer: str = "glorot"
    forget_bias: float = 1.0
    head: str = "scaled"
    dropout: float = 0.3
    noise: float = 0.5
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    decay: bool = True
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    clip: float = 1.0
    batch_size: int = 32
    epochs: int = 60
    patience: int = 20
    valid_fraction: float = 0.2
    refit: bool = True
    test_fraction: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {"pool": POOLS, "initializer": INITIALIZERS, "head": HEADS, "optimizer": OPTIMIZERS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name}: found {value!r}; {suggest(value, known)}")
        for name in ("units", "layers", "batch_size", "epochs", "patience"):
            self._expect(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "clip"):
            self._expect(name, getattr(self, name) > 0, "more than 0")
        for name in ("noise", "weight_decay", "seed"):
            self._expect(name, getattr(self, name) >= 0, "0 or more")
        for name in ("dropout", "label_smoothing"):
            self._expect(name, 0 <= getattr(self, name) < 1, "0 or more, below 1")
        for name in ("valid_fraction", "test_fraction"):
            self._expect(name, 0 < getattr(self, name) < 1, "a share between 0 and 1")

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"{name}: found {getattr(self, name)}, expected {expected}")

    def changed(self, **given: Any) -> Settings:
        """Return a copy with other values.

        Raises:
            InputError: a name that no setting has.
        """
        known = [field.name for field in fields(self)]
        for name in given:
            if name not in known:
                raise InputError(f"{name}: no such setting; {suggest(name, known)}")
        return replace(self, **given)

    def check_same(self, other: Settings) -> None:
        """Refuse to go on with other settings than a run was begun with: it would not end where it would have.

        Raises:
            InputError: a setting differs; `other` is what was asked for.
        """
        begun, asked = asdict(self), asdict(other)
        for name, value in begun.items():
            if asked[name] != value:
                raise InputError(
                    f"{name}: found {asked[name]!r}, but the run was begun with {value!r}; "
                    "give the same options to resume, or another --out to begin anew"
                )


PRESETS = {
    "default": Settings(),
    "seed": Settings(
        bidirectional=False,
        pool="last",
        head="normal",
        dropout=0.0,
        noise=0.0,
        optimizer="adam",
        learning_rate=1e-3,
        decay=False,
        weight_decay=0.0,
        refit=False,
    ),
}


def preset(name: str) -> Settings:
    """Return the settings called `name`: `default`, or `seed` for one cell read at its last step, with Adam.

    Raises:
        InputError: no preset has this name.
    """
    if name not in PRESETS:
        raise InputError(f"preset: found {name!r}; {suggest(name, PRESETS)}")
    return PRESETS[name]
