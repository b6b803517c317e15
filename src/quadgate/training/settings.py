"""Every number that decides a training run, and the sets of them that have names."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from quadgate.data.resolution import GREATEST
from quadgate.errors import InputError, suggest
from quadgate.model.network import POOLS

INITIALIZERS = ("glorot", "chrono")
HEADS = ("scaled", "normal")
OPTIMIZERS = ("adam", "adamw")
PRECISIONS = ("float32", "float64", "mixed")
LEAST_BATCH = 4  # cases: a small set is not cut any finer


@dataclass(frozen=True)
class Settings:
    """What is trained and how; the values here are the preset `default`.

    Attributes:
        units: H of each layer and direction.
        layers: L.
        bidirectional: whether a second cell reads each series from its end.
        pool: what of the outputs the head sees: the `last` step, the `mean`, the `max`, or an `attention` average.
        frames: a series of at least twice as many steps is read in about so many patches that overlap by half; 0 to
            read every series step by step.
        chunk: steps (or patches) that a gradient goes back at most: a long series is read in chunks, from one of which
            the state goes on to the next, but not its gradient; 0 for the whole series.
        filters: of each of three convolutions beside the LSTM, as in LSTM-FCN (Karim and others 2018); 0 for none.
        members: how many networks are trained, each from its own seed and with its own validation part; their
            probabilities are averaged.
        initializer: of the kernel and bias, `glorot` as in TensorFlow 1, or `chrono` (Tallec and Ollivier 2018).
        forget_bias: added to the forget gate while running.
        head: how its weights begin: `scaled` (Glorot), or standard `normal` as the seed's `tf.random_normal`.
        dropout: share of the pooled features (and of the outputs between layers) that training sets to zero.
        noise: standard deviation of the normal noise that training adds to the scaled input.
        optimizer: `adam`, or `adamw` with `weight_decay` on matrices.
        scale: standard deviation of the factor that each case is multiplied by in training, around 1.
        warp: greatest share by which a window of a case is stretched or squeezed in training.
        every_step: whether the loss is that of the answers after every step, for a network that streams.
        learning_rate: the first; it falls along half a cosine to 0 at the last epoch planned where `decay` is set.
        decay: whether the learning rate falls.
        weight_decay: of AdamW.
        label_smoothing: share of the target that is spread over all classes.
        clip: greatest norm of the whole gradient.
        average: the weights are averaged over the steps, and an older step counts so much less than the next; 0 for
            the weights as they are.
        batch_size: cases in a batch.
        batches: least number of batches in an epoch: a small set is cut into smaller ones, of 4 cases at least.
        accumulate: parts that a batch is worked through in, to save memory; their gradients are added. Where there are
            `filters` each part is normalised by itself.
        epochs: at most so many.
        steps: least number of steps that are planned: a small set gets more epochs.
        patience: epochs without a lower validation loss after which training stops.
        valid_fraction: share of the training cases that is held out to stop by; 0 to train on all, all epochs.
        least_valid: least number of cases that are held out: where the share gives fewer, which would say too little of
            when to stop, all cases are trained on for all epochs.
        searches: how many validation parts are drawn, each with a fit of its own; more than one is cross-validation.
        refit: whether to train once more on all training cases, for as many epochs as it took to stop (the median of
            the searches).
        test_fraction: share of the cases that is held out as test set where the data have none.
        seed: the only source of chance.
        device: where training runs: `cpu`, `cuda`, or `cuda:1` and so on.
        precision: `float32`, `float64`, or on a GPU `mixed` (bfloat16 products).

    Raises:
        InputError: a value that makes no sense.

    >>> Settings().pool, PRESETS["seed"].pool
    ('max', 'last')
    """

    units: int = 64
    layers: int = 1
    bidirectional: bool = True
    pool: str = "max"
    frames: int = 64
    chunk: int = 0
    filters: int = 0
    members: int = 1
    initializer: str = "glorot"
    forget_bias: float = 1.0
    head: str = "scaled"
    dropout: float = 0.3
    noise: float = 0.1
    scale: float = 0.0
    warp: float = 0.0
    every_step: bool = False
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    decay: bool = True
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    clip: float = 1.0
    average: float = 0.0
    batch_size: int = 32
    batches: int = 10
    accumulate: int = 1
    epochs: int = 60
    steps: int = 600
    patience: int = 20
    valid_fraction: float = 0.2
    least_valid: int = 50
    searches: int = 1
    refit: bool = True
    test_fraction: float = 0.25
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", str(self.device))  # a torch.device is given as well as its name
        choices = {
            "pool": POOLS, "initializer": INITIALIZERS, "head": HEADS, "optimizer": OPTIMIZERS, "precision": PRECISIONS,
        }  # fmt: skip
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name}: found {value!r}; {suggest(value, known)}")
        counts = ("units", "layers", "members", "batch_size", "batches", "accumulate", "epochs", "patience", "searches")
        for name in counts:
            self._expect(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "clip"):
            self._expect(name, getattr(self, name) > 0, "more than 0")
        for name in ("learning_rate", "weight_decay"):
            self._expect(name, getattr(self, name) <= GREATEST, f"at most {GREATEST:.1e}, the largest of float32")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise InputError(f"device: found {self.device!r}, expected cpu, cuda, or cuda:1 and so on")
        for name in ("noise", "scale", "weight_decay", "frames", "chunk", "filters", "steps", "least_valid", "seed"):
            self._expect(name, getattr(self, name) >= 0, "0 or more")
        for name in ("dropout", "label_smoothing", "warp", "average", "valid_fraction"):
            self._expect(name, 0 <= getattr(self, name) < 1, "0 or more, below 1")
        self._expect("test_fraction", 0 < self.test_fraction < 1, "a share between 0 and 1")
        self._check_together()

    def _check_together(self) -> None:
        if self.every_step and (self.bidirectional or self.filters or self.frames):
            raise InputError(
                "every_step: found with bidirectional, filters or frames, expected a network that reads forward, step "
                "by step: its answer after a step must not need the next one"
            )
        if self.chunk and self.bidirectional:
            raise InputError(
                "chunk: found with a network that reads both ways, expected one that reads forward: --no-bidirectional "
                "(in Python bidirectional=False), or the preset stream"
            )
        if self.precision == "mixed" and self.device == "cpu":
            raise InputError("precision: found 'mixed' on the cpu, where it is slower; expected it with device cuda")

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"{name}: found {getattr(self, name)}, expected {expected}")

    @property
    def streams(self) -> bool:
        """Whether what is trained can answer after every sample of a series that has not ended."""
        return not (self.bidirectional or self.filters or self.members > 1)

    def stride(self, longest: int) -> int:
        """Return by how many steps a patch begins after the one before, for series of up to `longest` steps.

        >>> Settings(frames=64).stride(820), Settings(frames=64).stride(127)
        (12, 1)
        """
        return max(1, longest // self.frames) if self.frames else 1

    def for_cases(self, cases: int) -> Settings:
        """Return the settings for a training part of so many cases: what depends on their number is worked out.

        >>> few = Settings(batches=10, steps=900).for_cases(40)
        >>> few.batch_size, few.epochs, few.valid_fraction
        (4, 90, 0.0)
        """
        batch_size = max(1, min(self.batch_size, max(LEAST_BATCH, cases // self.batches)))
        batches = -(-cases // batch_size)
        return replace(
            self,
            batch_size=batch_size,
            batches=1,
            epochs=max(self.epochs, -(-self.steps // batches)),
            steps=0,
            valid_fraction=self.valid_fraction if self.valid_fraction * cases >= self.least_valid else 0.0,
            least_valid=0,
        )

    def changed(self, **given: Any) -> Settings:
        """Return a copy with other values.

        Who gives `epochs`, `batch_size`, `valid_fraction`, `searches` or `patience` means that number: what `steps`,
        `batches` and `least_valid` would make of it for a small set is given up, where it is not given too.

        Raises:
            InputError: a name that no setting has.
        """
        known = [field.name for field in fields(self)]
        for name in given:
            if name not in known:
                raise InputError(f"{name}: no such setting; {suggest(name, known)}")
        plain = {"epochs": ("steps", 0), "batch_size": ("batches", 1)}
        plain |= dict.fromkeys(("valid_fraction", "searches", "patience"), ("least_valid", 0))
        meant = dict(plain[name] for name in given if name in plain)
        return replace(self, **(meant | given))

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
        frames=0,
        head="normal",
        dropout=0.0,
        noise=0.0,
        optimizer="adam",
        learning_rate=1e-3,
        decay=False,
        weight_decay=0.0,
        batches=1,
        steps=0,
        least_valid=0,
        refit=False,
    ),
    "best": Settings(
        frames=200,
        filters=64,
        members=3,
        units=32,
        pool="mean",
        noise=0.0,
        learning_rate=1e-3,
        batches=4,  # batch normalisation wants more cases at a time than the LSTM
        steps=800,
        valid_fraction=0.0,
    ),
    "stream": Settings(bidirectional=False, pool="mean", frames=0, every_step=True),
}


def preset(name: str) -> Settings:
    """Return the settings called `name`.

    `default`; `seed` for one cell read at its last step, with Adam; `best`, which spends more: several networks, each
    with convolutions beside the LSTM; or `stream` for a network that answers after every sample.

    Raises:
        InputError: no preset has this name.
    """
    if name not in PRESETS:
        raise InputError(f"preset: found {name!r}; {suggest(name, PRESETS)}")
    return PRESETS[name]
