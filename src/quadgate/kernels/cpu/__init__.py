"""The compiled kernels for the processor, on NumPy arrays; equations and arguments are those of `quadgate.cell`."""

from quadgate.kernels.cpu._native import fma_peak, instruction_set, instruction_sets
from quadgate.kernels.cpu.gru import PackedGRU, gru_backward, gru_forward
from quadgate.kernels.cpu.lstm import PackedLSTM, lstm_backward, lstm_forward
from quadgate.kernels.threads import register_with_threadpoolctl

__all__ = [
    "PackedGRU",
    "PackedLSTM",
    "fma_peak",
    "gru_backward",
    "gru_forward",
    "instruction_set",
    "instruction_sets",
    "lstm_backward",
    "lstm_forward",
]

register_with_threadpoolctl()
