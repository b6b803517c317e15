"""`modules.LSTM` against `torch.nn.LSTM`, in turn on the same numbers.

    python benchmarks/drop_in.py [--steps 100] > FILE

Every cell is the ratio of the best of several interleaved passes; the matching tests are tests/modules/test_lstm.py.
"""

import argparse
import json
import time
import warnings

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from quadgate.modules import LSTM

OPTIONS = {
    "1 layer": {},
    "2 layers": {"num_layers": 2},
    "3 layers": {"num_layers": 3},
    "both directions": {"bidirectional": True},
    "projection": {"proj_size": 16},
    "dropout, 2 layers": {"num_layers": 2, "dropout": 0.3},
}


def one_pass(layer, arguments, train):
    """Forward, and in training backward."""
    if not train:
        with torch.no_grad():
            layer(*arguments)
        return
    outputs = layer(*arguments)[0]
    data = outputs.data if isinstance(outputs, nn.utils.rnn.PackedSequence) else outputs
    data.backward(torch.ones_like(data))


def compared(runs, train, rounds):
    """Best milliseconds of each, taken in turn."""
    best = [float("inf")] * len(runs)
    for turn in range(rounds + 1):
        for k, (layer, arguments) in enumerate(runs):
            start = time.perf_counter()
            one_pass(layer, arguments, train)
            if turn:
                best[k] = min(best[k], 1e3 * (time.perf_counter() - start))
    return best


def main():
    """Print every ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--inputs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    T, C = asked.steps, asked.inputs
    rows = []
    for H in (64, 256):
        for N in (1, 32):
            for name, options in OPTIONS.items():
                theirs = nn.LSTM(C, H, batch_first=True, **options)
                ours = LSTM(C, H, batch_first=True, **options)
                x = torch.randn(N, T, C)
                for train in (False, True):
                    torch_ms, ms = compared([(theirs, (x,)), (ours, (x,))], train, asked.rounds)
                    rows.append((name, H, N, "train" if train else "infer", torch_ms, ms))
    for N in (32, 128):
        theirs, ours = nn.LSTM(C, 64, batch_first=True), LSTM(C, 64, batch_first=True)
        x, lengths = torch.randn(N, T, C), torch.randint(T // 10, T + 1, (N,))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        for train in (False, True):
            runs = [(theirs, (packed,)), (ours, (packed,)), (ours, (x, None, lengths)), (ours, (x,))]
            torch_ms, packed_ms, lengths_ms, full_ms = compared(runs, train, asked.rounds)
            mode = "train" if train else "infer"
            rows.append(("packed", 64, N, mode, torch_ms, packed_ms))
            rows.append(("lengths= against torch's packed", 64, N, mode, torch_ms, lengths_ms))
            rows.append(("lengths= against full length", 64, N, mode, full_ms, lengths_ms))
    names = ("case", "H", "N", "mode", "before_ms", "after_ms")
    print(
        json.dumps(
            {
                "steps": T,
                "inputs": C,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "rows": [
                    dict(zip(names, (*row[:4], *(round(ms, 3) for ms in row[4:])), strict=True))
                    | {"ratio": round(row[4] / row[5], 2)}
                    for row in rows
                ],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
