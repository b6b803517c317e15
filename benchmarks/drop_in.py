"""`modules.LSTM` against `torch.nn.LSTM`, in turn on the same numbers, one cell of the table after the other.

    python benchmarks/drop_in.py FILE [--cells REGEX] [--seconds 1.5]     measures, and adds to FILE after every cell
    python benchmarks/drop_in.py FILE --table                             prints FILE as the table of docs/drop-in.md

A cell that FILE has already is not measured again, so a table can be made in pieces. A number is the median over the
turns of a cell of the processor time of one thread, which other work on the machine disturbs less than it does the
clock; a ratio is how many times longer the other takes. Where two threads are compared with one, it is the clock. The
matching tests are tests/modules/test_lstm.py and test_together.py.
"""

import argparse
import json
import re
import statistics
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from quadgate.modules import LSTM

OPTIONS = {
    "1 layer": {},
    "2 layers": {"num_layers": 2},
    "3 layers": {"num_layers": 3},
    "both directions": {"bidirectional": True},
    "projection": {"proj_size": 16},
    "dropout, 2 layers": {"num_layers": 2, "dropout": 0.3},
}
TOGETHER = {
    "both directions": {"bidirectional": True},
    "2 layers": {"num_layers": 2},
    "3 layers": {"num_layers": 3},
}
MODES = ("infer", "train")


def one_pass(layer, arguments, train):
    """Forward, and in training backward."""
    if not train:
        with torch.no_grad():
            layer(*arguments)
        return
    outputs = layer(*arguments)[0]
    data = outputs.data if isinstance(outputs, PackedSequence) else outputs
    data.backward(torch.ones_like(data))


def compared(runs, train, seconds):
    """Median milliseconds of each, taken in turn for about so many seconds, and at least three times."""
    times = {name: [] for name in runs}
    end = None
    together = any("2 threads" in name for name in runs)
    clock = time.perf_counter if together else time.process_time
    while end is None or len(min(times.values(), key=len)) < 3 or time.perf_counter() < end:
        for name, (layer, arguments) in runs.items():
            torch.set_num_threads(2 if "2 threads" in name else 1)
            if together:
                one_pass(layer, arguments, train)  # the threads of the one before go to sleep
            start = clock()
            one_pass(layer, arguments, train)
            if end is not None:  # the first turn warms up
                times[name].append(1e3 * (clock() - start))
        end = end or time.perf_counter() + seconds
    return {name: round(statistics.median(one), 4) for name, one in times.items()}


def cells(T, C):
    """Every cell of the table: its name, and a function that makes what is run."""
    for H in (64, 256):
        for N in (1, 32):
            for option, arguments in OPTIONS.items():
                for mode in MODES:

                    def plain(H=H, N=N, arguments=arguments):
                        x = torch.randn(N, T, C)
                        layers = {kind: kind(C, H, batch_first=True, **arguments) for kind in (nn.LSTM, LSTM)}
                        return {"torch": (layers[nn.LSTM], (x,)), "quadgate": (layers[LSTM], (x,))}

                    yield f"{option}; H={H} N={N} {mode}", plain
    for H in (64, 256):
        for N in (32, 128):
            for mode in MODES:

                def unequal(H=H, N=N):
                    lengths = torch.linspace(T / 10, T, N).round().long()[torch.randperm(N)]
                    x = torch.randn(N, T, C)
                    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                    theirs, ours = nn.LSTM(C, H, batch_first=True), LSTM(C, H, batch_first=True)
                    return {
                        "torch, packed": (theirs, (packed,)),
                        "quadgate, packed": (ours, (packed,)),
                        "quadgate, lengths=": (ours, (x, None, lengths)),
                        "quadgate, full length": (ours, (x,)),
                    }

                yield f"unequal lengths; H={H} N={N} {mode}", unequal
    for H in (64, 256):
        for steps in (T, 820):
            for option, arguments in TOGETHER.items():
                for mode in MODES if option == "both directions" else MODES[:1]:

                    def together(H=H, steps=steps, arguments=arguments):
                        x = torch.randn(1, steps, C)
                        theirs, ours = (kind(C, H, batch_first=True, **arguments) for kind in (nn.LSTM, LSTM))
                        return {
                            "torch, 2 threads": (theirs, (x,)),
                            "quadgate, 1 thread": (ours, (x,)),
                            "quadgate, 2 threads": (ours, (x,)),
                        }

                    yield f"{option} together; H={H} T={steps} {mode}", together


def main():
    """Measure what is asked for, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--cells", default="", metavar="REGEX", help="those whose name it is found in")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each cell")
    parser.add_argument("--again", action="store_true", help="measure what the file has already, too")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--inputs", type=int, default=12)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    found = json.loads(asked.file.read_text()) if asked.file.exists() else {"cells": {}}
    if asked.table:
        print(table(found["cells"]))
        return
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found["setting"] = {
        "steps": asked.steps,
        "inputs": asked.inputs,
        "threads": 1,
        "torch": torch.__version__,
        "instructions of torch": torch.backends.cpu.get_cpu_capability(),
    }
    todo = [one for one in cells(asked.steps, asked.inputs) if re.search(asked.cells, one[0])]
    todo = [one for one in todo if asked.again or one[0] not in found["cells"]]
    for k, (name, make) in enumerate(todo):
        torch.manual_seed(0)
        times = compared(make(), name.endswith("train"), asked.seconds)
        found["cells"][name] = times
        asked.file.write_text(json.dumps(found, indent=1) + "\n")
        shown = ", ".join(f"{who} {ms:.3f} ms" for who, ms in times.items())
        print(f"{k + 1}/{len(todo)} {name}: {shown}", file=sys.stderr, flush=True)


def table(measured):
    """Arrange the ratios as two tables."""
    settings = [f"H={H} N={N} {mode}" for H in (64, 256) for N in (1, 32) for mode in MODES]
    lines = ["| option | " + " | ".join(settings) + " |", "|---" * (len(settings) + 1) + "|"]
    for option in OPTIONS:
        row = [measured.get(f"{option}; {setting}") for setting in settings]
        lines.append(f"| {option} | " + " | ".join(ratio(one, "torch", "quadgate") for one in row) + " |")
    columns = {
        "`lengths=` against torch's packed sequence": ("torch, packed", "quadgate, lengths="),
        "a packed sequence against torch's": ("torch, packed", "quadgate, packed"),
        "`lengths=` against full length": ("quadgate, full length", "quadgate, lengths="),
    }
    lines += ["", "| unequal lengths | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, times in measured.items():
        if name.startswith("unequal"):
            cells = " | ".join(ratio(times, *pair) for pair in columns.values())
            lines.append(f"| {name.partition('; ')[2]} | {cells} |")
    lines += ["", "| N=1, two threads | against one thread | against torch's two |", "|---|---|---|"]
    for name, times in measured.items():
        if "together" in name:
            pairs = (("quadgate, 1 thread", "quadgate, 2 threads"), ("torch, 2 threads", "quadgate, 2 threads"))
            lines.append(f"| {name.replace(' together;', ',')} | " + " | ".join(ratio(times, *p) for p in pairs) + " |")
    return "\n".join(lines)


def ratio(times, other, own):
    """Write how many times longer the other takes."""
    return f"{times[other] / times[own]:.2f}" if times else "-"


if __name__ == "__main__":
    main()
