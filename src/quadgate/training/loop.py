"""The training loop: a ladder of small steps, from a whole fit down to one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import cos, isfinite, pi
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from quadgate.errors import InputError, QuadgateError
from quadgate.modules.shared_batch import Share, shared_batch
from quadgate.training.augmentation import augmented
from quadgate.training.chance import drawn_from
from quadgate.training.checkpoint import Position, State, read_checkpoint, write_checkpoint
from quadgate.training.clock import Clock
from quadgate.training.divergence import where_it_began
from quadgate.training.examples import Examples, placed
from quadgate.training.history import Epoch, History
from quadgate.training.losses import Answers, loss_of, measure
from quadgate.training.settings import Settings
from quadgate.training.streamed import Streamed
from quadgate.training.workers import Workers

KEPT_EVERY = 120.0  # seconds of an epoch after which a checkpoint is written within it


class DivergedError(QuadgateError, ArithmeticError):
    """The loss is no longer a finite number."""


class Callback:
    """Watches training; what it does not override is passed over."""

    def on_batch(self, stage: str, done: int, planned: int) -> None:
        """See that `done` of at most `planned` batches of the fit are over."""

    def on_epoch(self, record: Epoch) -> None:
        """See the record of the epoch that is over."""


@dataclass(frozen=True)
class Plan:
    """What tells one fit of a run from the other.

    Attributes:
        stage: the name in the history.
        epochs: how many at most.
        checkpoint: the file that is written after every epoch, and gone on from where it exists; None for no file.
        before: epochs that the network was trained for before this fit, whose chance is not drawn again.
    """

    stage: str
    epochs: int
    checkpoint: Path | None = None
    before: int = 0


def fit(
    module: nn.Module,
    train: Examples | Streamed,
    valid: Examples | Streamed | None,
    settings: Settings,
    plan: Plan | None = None,
    history: History | None = None,
    callbacks: Sequence[Callback] = (),
) -> Position:
    """Train `module` in place, and leave the best weights in it.

    Best is lowest in validation loss; training stops when it has not fallen for `settings.patience` epochs. Without a
    validation part all epochs are run and the last weights stay. Every chance event of epoch e is drawn from
    (seed, plan.before + e), so the result depends on nothing but the arguments and a stopped fit goes on exactly.

    Args:
        module: called as `module(x [N, T, C], lengths [N]) -> logits [N, K]`.
        train: what is learned from.
        valid: what decides when to stop, or None.
        settings: how.
        plan: the stage, its epochs and its checkpoint; all of `settings.epochs` without a file by default.
        history: gets a record of each epoch.
        callbacks: see every batch and epoch.

    Returns:
        Where it ended, with the best epoch.

    Raises:
        DivergedError: the loss became infinite or NaN.
        InputError: the checkpoint belongs to other settings or data.
    """
    plan = plan or Plan("search", settings.epochs)
    history = history or History()
    workers = Workers.here()
    state = State(module, make_optimizer(module, settings), Position(), {}, averaged(module, settings))
    data = train.fingerprint()
    workers.check_same("training data", data)
    workers.check_same("settings", repr(settings))
    go_on(state, settings, data, plan.checkpoint, workers)
    if workers.size > 1:
        state.shared = workers.together(Answers(module, settings.every_step))

    def keep() -> None:
        if plan.checkpoint is not None:
            write_checkpoint(plan.checkpoint, state, settings, data)

    history.cut(plan.stage, state.position.epoch)
    try:
        while not is_over(state.position, settings, plan, valid is not None):
            record = run_epoch(state, train, valid, settings, plan, callbacks, keep)
            history.append(record)
            keep()
            for callback in callbacks:
                callback.on_epoch(record)
    finally:  # an interrupt, too, leaves the best weights
        if state.best:
            module.load_state_dict(state.best)
        module.eval()
    return state.position


def go_on(state: State, settings: Settings, data: str, checkpoint: Path | None, workers: Workers) -> None:
    """Bring `state` to where the checkpoint is, if there is one; other processes get it from the first, which has it.

    Raises:
        InputError: the checkpoint belongs to other settings or data.
    """
    if workers.size == 1:
        if checkpoint is not None and checkpoint.exists():
            read_checkpoint(checkpoint, state, settings, data)
    else:
        found = workers.told(lambda: checkpoint.read_bytes() if checkpoint is not None and checkpoint.exists() else b"")
        if found:
            with TemporaryDirectory() as folder:
                copy = Path(folder) / "checkpoint.safetensors"
                copy.write_bytes(found)
                read_checkpoint(copy, state, settings, data)
    position = state.position
    losses = position.losses or (position.loss,)
    if len(losses) == workers.size:
        position.loss = losses[workers.rank]
    else:  # another number of processes: it is added up over them
        position.loss = sum(losses) if workers.first else 0.0


def make_optimizer(module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return Adam or AdamW; weight decay is for matrices, since a bias shrunk to 0 would close what it opened."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(module.parameters(), settings.learning_rate)
    matrices = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in module.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.learning_rate)


def averaged(module: nn.Module, settings: Settings) -> AveragedModel | None:
    """Return the running average of the weights, or None where none is asked for."""
    if not settings.average:
        return None
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)


def is_over(position: Position, settings: Settings, plan: Plan, validated: bool) -> bool:
    """Tell whether the fit has had its epochs, or its patience has run out."""
    waited = position.epoch - position.best_epoch
    return position.epoch >= plan.epochs or (validated and waited >= settings.patience)


def run_epoch(
    state: State,
    train: Examples | Streamed,
    valid: Examples | Streamed | None,
    settings: Settings,
    plan: Plan,
    callbacks: Sequence[Callback] = (),
    keep: Callable[[], None] = lambda: None,
) -> Epoch:
    """Train on every example once, validate, and keep the weights if they are the best."""
    begin = perf_counter()
    epoch = state.position.epoch + 1
    train_loss, gradient_norm, rate = train_epoch(state, train, settings, plan, callbacks, keep)
    judged: nn.Module = state.module if state.average is None else state.average.module
    valid_loss, valid_accuracy = (None, None) if valid is None else measure(judged, valid, settings.batch_size)
    if valid_loss is not None and not isfinite(valid_loss):
        raise DivergedError(
            f"epoch {epoch}: the validation loss is no longer finite; try a lower --learning-rate "
            f"(now {settings.learning_rate:g}) or a lower --clip (now {settings.clip:g})"
        )
    position = state.position
    position.epoch = epoch
    if valid_loss is None or position.best_loss is None or valid_loss < position.best_loss:
        position.best_epoch, position.best_loss = epoch, valid_loss
        state.best = {name: tensor.clone() for name, tensor in judged.state_dict().items()}
    seconds = perf_counter() - begin
    return Epoch(plan.stage, epoch, train_loss, valid_loss, valid_accuracy, rate, gradient_norm, seconds)


def train_epoch(
    state: State,
    train: Examples | Streamed,
    settings: Settings,
    plan: Plan,
    callbacks: Sequence[Callback] = (),
    keep: Callable[[], None] = lambda: None,
) -> tuple[float, float, float]:
    """Take one step for each batch; return the mean loss, the mean gradient norm and the last learning rate.

    Within a long epoch `keep` is called every few minutes, when `state` says exactly where it is.
    """
    position = state.position
    done = position.epoch
    workers, drawn = Workers.here(), plan.before + done
    steps = train.steps(settings.batch_size, settings.seed, drawn)
    chance = np.random.SeedSequence((settings.seed, drawn))
    passing = train.epoch(settings.batch_size, settings.seed, drawn, position.batch, position.where, workers)
    state.module.train()
    N = len(train)
    rate, clock = 0.0, Clock(workers, KEPT_EVERY)
    device = next(state.module.parameters()).device
    on_gpu = device.type == "cuda"
    with drawn_from(int(chance.generate_state(1, np.uint64)[0]), device):
        if state.chance is not None:
            torch.set_rng_state(state.chance)
        if on_gpu and state.chance_on_gpu is not None:
            torch.cuda.set_rng_state(state.chance_on_gpu, device)
        for number, (x, lengths, targets, weights, share) in enumerate(passing.batches, position.batch):
            step = done * steps + number
            rate = learning_rate(step, plan.epochs * steps, settings)
            cases = len(x) if share is None else share.cases
            x, lengths, targets = (placed(one, state.module) for one in (x, lengths, targets))
            weights = None if weights is None else placed(weights, state.module)
            batch_loss, batch_norm = train_step(state, x, lengths, targets, rate, settings, weights, share)
            position.loss += batch_loss * cases / N
            position.norm += batch_norm / steps
            position.batch = number + 1
            for callback in callbacks:
                callback.on_batch(plan.stage, step + 1, plan.epochs * steps)
            if position.batch < steps and clock.is_due():
                position.where, state.chance = passing.where(), torch.get_rng_state()
                state.chance_on_gpu = torch.cuda.get_rng_state(device) if on_gpu else None
                position.losses = tuple(workers.gathered(position.loss))
                keep()
                clock.begin()
    loss, norm = workers.total(position.loss)[0], position.norm
    position.batch, position.loss, position.norm, position.where, state.chance = 0, 0.0, 0.0, "", None
    position.losses, state.chance_on_gpu = (), None
    return loss, norm, rate


def learning_rate(step: int, steps: int, settings: Settings) -> float:
    """Return the rate of one step out of `steps`: constant, or along half a cosine from the first rate to 0.

    >>> learning_rate(50, 100, Settings(learning_rate=0.1, decay=True))
    0.05
    """
    return settings.learning_rate * (0.5 + 0.5 * cos(pi * step / steps) if settings.decay else 1.0)


def train_step(
    state: State,
    x: Tensor,
    lengths: Tensor,
    targets: Tensor,
    rate: float,
    settings: Settings,
    weights: Tensor | None = None,
    share: Share | None = None,
) -> tuple[float, float]:
    """Move the parameters once against the gradient of the batch; return the loss and the gradient's norm.

    Several processes each give their share of the batch, and the loss is what that adds to the batch's.

    Raises:
        DivergedError: the loss is no longer finite.
        InputError: the batch does not fit into the memory.
    """
    workers = Workers.here()
    answers = state.shared or Answers(state.module, settings.every_step)
    cases = len(x) if share is None else share.cases
    with _in_memory(len(x), cases, x.shape[1], settings):
        x = augmented(x, lengths, settings, share)
    state.optimizer.zero_grad()
    total = 0.0
    parts = torch.arange(cases).tensor_split(min(settings.accumulate, cases))
    for part in parts:
        own, of_part = (part, None) if share is None else share.within(part)
        given = None if weights is None else weights[own]
        last = part is parts[-1]
        within = _in_memory(len(own), cases, x.shape[1], settings)
        with shared_batch(state.module, of_part), _adding(answers, not last), within:
            loss = loss_of(answers, x[own], lengths[own], targets[own], settings, given) / cases
            (workers.size * loss).backward()  # since what the processes get is the mean of their gradients
        total += loss.item()
        if not isfinite(total):
            raise DivergedError(
                f"epoch {state.position.epoch + 1}: the loss is no longer finite; "
                f"{where_it_began(state.module, x[own], lengths[own])}; try a lower --learning-rate "
                f"(now {settings.learning_rate:g}) or a lower --clip (now {settings.clip:g})"
            )
    norm = nn.utils.clip_grad_norm_(state.module.parameters(), settings.clip)
    if workers.size > 1 and not isfinite(norm):
        raise DivergedError(f"epoch {state.position.epoch + 1}: the loss of another process is no longer finite")
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    if state.average is not None:
        state.average.update_parameters(state.module)
    return total, norm.item()


def _adding(answers: nn.Module, more: bool) -> AbstractContextManager[None]:
    """While there is more of the batch to come, gradients are added up at home, and exchanged with its last part."""
    if more and isinstance(answers, DistributedDataParallel):
        return cast("AbstractContextManager[None]", answers.no_sync())
    return nullcontext()


@contextmanager
def _in_memory(own: int, cases: int, steps: int, settings: Settings) -> Iterator[None]:
    """Turn a lack of memory into what to do about it; `own` cases are worked on of a batch of `cases`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        says = ("not enough memory", "can't allocate memory")  # PyTorch's allocator, by system
        lacking = isinstance(error, MemoryError | torch.OutOfMemoryError) or any(one in str(error) for one in says)
        if not lacking:
            raise
        same = "which normalises by parts of a batch" if settings.filters else "which gives the same gradients"
        raise InputError(
            f"batch_size: {own} cases of {steps:,} steps do not fit into the memory; try --batch-size "
            f"{max(1, cases // 2)}, or --accumulate {2 * settings.accumulate}, {same}"
        ) from error
