"""Training: the loop and its settings, history, checkpoints, how far back the gradient reaches, and the run folder."""

from quadgate.training.blueprint import Start
from quadgate.training.disk import parts_on_disk
from quadgate.training.examples import Examples
from quadgate.training.history import Epoch, History
from quadgate.training.loop import Callback, DivergedError, Plan, fit
from quadgate.training.preview import Preview
from quadgate.training.reach import Reach, measure_reach
from quadgate.training.run import Run, StoppedError, check_folder, hold_out, new_folder, train
from quadgate.training.settings import PRESETS, Settings, preset
from quadgate.training.tensorboard import TensorBoard
from quadgate.training.watch import watched
from quadgate.training.workers import LostWorkerError, Workers, of_torchrun

__all__ = [
    "PRESETS",
    "Callback",
    "DivergedError",
    "Epoch",
    "Examples",
    "History",
    "LostWorkerError",
    "Plan",
    "Preview",
    "Reach",
    "Run",
    "Settings",
    "Start",
    "StoppedError",
    "TensorBoard",
    "Workers",
    "check_folder",
    "fit",
    "hold_out",
    "measure_reach",
    "new_folder",
    "of_torchrun",
    "parts_on_disk",
    "preset",
    "train",
    "watched",
]
