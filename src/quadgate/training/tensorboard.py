"""The epochs of a training, for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quadgate.dependencies import require
from quadgate.training.history import Epoch
from quadgate.training.loop import Callback

SHOWN = ("train_loss", "valid_loss", "valid_accuracy", "learning_rate", "gradient_norm", "seconds")


class TensorBoard(Callback):
    """Write what `History` keeps of each epoch where `tensorboard --logdir FOLDER` shows it while training runs.

    Copies of it (`GridSearchCV` makes some) write to the same folder, each into a file of its own.

    Args:
        folder: made where it is missing.

    Raises:
        MissingDependencyError: the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        require("torch.utils.tensorboard", f"{folder} cannot be written", extra="tensorboard")
        self.folder = folder
        self._writer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_writer": None}

    def on_epoch(self, record: Epoch) -> None:
        """Write the numbers of the epoch that is over, under the name of its stage."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder))
        for name in SHOWN:
            value = getattr(record, name)
            if value is not None:
                self._writer.add_scalar(f"{record.stage}/{name}", value, record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the file; a later epoch opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
