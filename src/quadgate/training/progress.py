"""The progress of a fit on standard error: a bar with the time left, or plain lines where nobody watches."""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from quadgate.training.history import Epoch
from quadgate.training.loop import Callback
from quadgate.training.preview import Preview

PLAIN_EVERY = 5.0  # seconds between two plain lines, so that a log stays readable


class ShowProgress(Callback):
    """Show how far training is; use it as a context, so that the terminal is left in order.

    In a terminal one line is redrawn; elsewhere (a log, a pipe) an epoch's line is written at most every 5 seconds.
    """

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[losses]}"),
            TextColumn("at most"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=Console(stderr=True),
            transient=True,
        )
        self._watched = self._bar.console.is_terminal
        self._task = TaskID(0)
        self._stage = ""
        self._last_line = self._begin = monotonic()
        self._done_before = self._done = self._planned = 0

    def __enter__(self) -> ShowProgress:
        if self._watched:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watched:
            self._bar.stop()

    def on_preview(self, preview: Preview) -> None:
        """Say what is about to be trained, and warn if the gradient does not reach far enough."""
        for line in preview.lines():
            self._bar.console.print(line, highlight=False, soft_wrap=True)
        if preview.reach.is_short:
            self._bar.console.print(preview.reach.warning(), style="yellow", highlight=False, soft_wrap=True)

    def on_batch(self, stage: str, done: int, planned: int) -> None:
        """Move the bar; a new stage gets a new one."""
        if stage != self._stage:
            self._stage, self._begin, self._done_before = stage, monotonic(), done - 1
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._task = self._bar.add_task(stage, total=planned - self._done_before, losses="")
        self._done, self._planned = done, planned
        self._bar.update(self._task, completed=done - self._done_before)

    def on_epoch(self, record: Epoch) -> None:
        """Show the losses of the epoch that is over."""
        losses = f"loss {record.train_loss:.4f}"
        if record.valid_loss is not None:
            losses += f", validation {record.valid_loss:.4f}"
        if record.valid_accuracy is not None:
            losses += f" ({record.valid_accuracy:.1%} right)"
        self._bar.update(self._task, description=f"{record.stage} epoch {record.epoch}", losses=losses)
        now = monotonic()
        if not self._watched and now - self._last_line >= PLAIN_EVERY:
            self._last_line = now
            left = (now - self._begin) * (self._planned - self._done) / (self._done - self._done_before)
            sys.stderr.write(f"{record.stage} epoch {record.epoch}: {losses}, at most {left:.0f} s left\n")
            sys.stderr.flush()
