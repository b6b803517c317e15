"""What is said of a training before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from quadgate.model import Patches
from quadgate.modules import LSTMFCN, SequenceClassifier
from quadgate.training.memory import recompute_every, size, step_memory
from quadgate.training.reach import Reach
from quadgate.training.settings import Settings

WORTH_A_LINE = 500_000_000  # bytes


@dataclass(frozen=True, eq=False)
class Preview:
    """What is about to be trained.

    Attributes:
        parameters: the number of trained numbers, of all members together.
        seconds: about how long training takes at most, by the time that one pass over a few cases took.
        streams: whether the result can answer after every sample.
        patches: how series are cut.
        memory: about how many bytes training takes beside the data.
        reach: how far back the gradient reaches in the untrained network, in patches.
        settings: how it is trained.
    """

    parameters: int
    seconds: float
    streams: bool
    patches: Patches
    memory: int
    reach: Reach
    settings: Settings

    @classmethod
    def of(
        cls, module: SequenceClassifier | LSTMFCN, settings: Settings, patches: Patches, reach: Reach, seconds: float,
        cases: int,
    ) -> Preview:  # fmt: skip
        """Work the numbers out; `seconds` is what a pass forward and back took for each case."""
        inputs = module.lstm.inputs if isinstance(module, LSTMFCN) else module.inputs
        held_out = bool(settings.valid_fraction)
        passes = settings.epochs * cases * (held_out * settings.searches + (settings.refit or not held_out))
        return cls(
            parameters=settings.members * sum(one.numel() for one in module.parameters()),
            seconds=settings.members * passes * seconds,
            streams=settings.streams and patches.length == 1,
            patches=patches,
            memory=step_memory(settings, reach.steps, inputs),
            reach=reach,
            settings=settings,
        )

    def lines(self) -> list[str]:
        """Return what to say before training begins."""
        own = self.settings
        branch = f", convolutions of {own.filters} filters beside" if own.filters else ""
        what = f"{own.members} networks" if own.members > 1 else "one network"
        where = "both directions" if own.bidirectional else "forward"
        cut = (
            f", in patches of {self.patches.length} steps every {self.patches.stride}"
            if self.patches.length > 1
            else ""
        )
        can = "can stream: it answers after every sample" if self.streams else "cannot stream: it answers at the end"
        steps = "patches" if self.patches.length > 1 else "steps"
        batch = f"{own.batch_size} cases of up to {self.reach.steps:,} {steps}"
        again = ", computing again on the way back" if recompute_every(own, self.reach.steps) else ""
        memory = [f"it takes about {size(self.memory)} beside the data: batches of {batch}{again}"]
        return [
            f"training {what}: {own.layers} x {own.units} units reading {where}{cut}, pool {own.pool}{branch}; "
            f"{self.parameters:,} numbers, at most about {_duration(self.seconds)}",
            f"the result {can}",
            *(memory if self.memory >= WORTH_A_LINE else []),
        ]


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
