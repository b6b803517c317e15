"""The memory that a step of training takes, worked out before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from quadgate.errors import InputError
from quadgate.training.settings import Settings
from quadgate.training.workers import Workers

KEPT = 7  # numbers that a layer keeps of each unit and step for its way back: gates, states, and what hangs on them
KEPT_AT_MOST = 1 << 30  # bytes of them, of one layer; where it would be more they are computed again on the way back
WEIGHTS = 6  # copies of them: as they are, their gradients, two moments, the best, one on its way to a file
SURELY = 1.5  # times what is free is surely too much: the estimate is right to a third
EVERY = 256  # steps from one state that is kept to the next, where the rest is computed again


def recompute_every(settings: Settings, steps: int) -> int:
    """Return how many steps of a batch of series of `steps` are computed again at a time on the way back; 0 for none.

    The bits are the same either way; computing again takes up to 1.4 times as long.

    >>> recompute_every(Settings(), 820), recompute_every(Settings(batch_size=4, frames=0), 500_000)
    (0, 256)
    """
    kept = _cases(settings) * steps * settings.units * KEPT * _bytes(settings)
    return EVERY if kept > KEPT_AT_MOST else 0


def step_memory(settings: Settings, steps: int, inputs: int) -> int:
    """Return about how many bytes training takes beside the data, on batches of series of `steps` of `inputs` channels.

    What grows with the batch: the input and its changes, the outputs of each layer with their gradients, what is kept
    for the way back, and what pooling makes of it. What grows with the network: weights, gradients, moments, the best.

    >>> one = Settings(batch_size=4, frames=0, bidirectional=False, pool="last", noise=0.0)
    >>> round(step_memory(one, 500_000, 3) / 1e9, 1)
    0.6
    """
    D = 2 if settings.bidirectional else 1
    F = settings.units * D
    kept = 0 if recompute_every(settings, steps) else KEPT
    of_input = (4 if settings.noise or settings.scale or settings.warp else 2) * inputs
    of_layers = settings.layers * (1 + D + kept) * F - (F if settings.pool == "last" else 0)
    of_pool = {"last": 0, "mean": 0, "max": F, "attention": 2 * F}[settings.pool]
    numbers = of_input + of_layers + (3 * F if settings.every_step else of_pool) + 8 * settings.filters
    of_kernels = D * (inputs + (settings.layers - 1) * F + settings.layers * settings.units) * 4 * settings.units
    return (_cases(settings) * steps * numbers + WEIGHTS * of_kernels) * _bytes(settings)


def check_memory(settings: Settings, steps: int, inputs: int) -> None:
    """Refuse a training that this machine has no memory for, before the system ends it.

    Raises:
        InputError: says how much it takes, how much is free, and the batch size to try.
    """
    free = free_memory()
    if settings.device != "cpu" or free is None:
        return
    takes = step_memory(settings, steps, inputs) * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's, or alone
    if takes > SURELY * free:
        smaller = max(1, int(settings.batch_size * free / takes))
        raise InputError(
            f"batch_size: {settings.batch_size} cases of up to {steps:,} steps take about {size(takes)} to train"
            f" and {size(free)} are free; try --batch-size {smaller}, fewer --units, or patches (frames)"
        )


def free_memory() -> int | None:
    """Return how many bytes this machine could still give, where Linux says so."""
    file = Path("/proc/meminfo")
    if not file.exists():
        return None
    lines = dict(line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def size(count: int) -> str:
    """Write a number of bytes.

    >>> size(2_345_000_000), size(12_300_000)
    ('2.3 GB', '12 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _cases(settings: Settings) -> int:
    """Return how many cases this process works through at a time."""
    return -(-settings.batch_size // (settings.accumulate * Workers.here().size))


def _bytes(settings: Settings) -> int:
    return 8 if settings.precision == "float64" else 4
