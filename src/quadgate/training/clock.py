"""When a checkpoint is due within an epoch: by the first process's clock, after the same batch for all."""

from __future__ import annotations

from time import monotonic

from quadgate.training.workers import Workers


class Clock:
    """Tells after each batch whether a time is over, and asks the first process seldom.

    Alone it looks at its own clock after each. Each time that the first of several is asked, it says how much of the
    time is over; from that all work out after which batch to ask again, half of what is left later, so that batches
    that take longer than those before are noticed.

    >>> clock = Clock(Workers(), every=0.0)
    >>> clock.is_due()
    True
    """

    def __init__(self, workers: Workers, every: float) -> None:
        self.workers, self.every = workers, every
        self.asked = 1
        self.begin()

    def begin(self) -> None:
        """Begin to count anew; batches are taken to be as long as they were."""
        self.started, self.batches = monotonic(), 0
        self.asked = max(1, self.asked // 2)

    def is_due(self) -> bool:
        """Count a batch, and tell whether the time is over; all processes get the same answer.

        Raises:
            LostWorkerError: another process does not answer.
        """
        self.batches += 1
        if self.workers.size > 1 and self.batches < self.asked:
            return False
        over = self.workers.gathered(monotonic() - self.started)[0]
        if over >= self.every:
            return True
        left = (self.every - over) * self.batches / max(over, 1e-6)
        self.asked = self.batches + max(1, int(min(left, 1e9) / 2))
        return False
