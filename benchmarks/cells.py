"""Every kind of cell against the basic one, in turn on the same batch: C=12, T=820, float32, one thread.

    python benchmarks/cells.py [--units 64] [--cases 32] [--rounds 7]

Prints how many times as long as the basic LSTM each takes, the median over the rounds: inference, and a training step
(forward, and backward to the gradients of the weights). The matching tests are tests/kernels.
"""

import argparse
import statistics
import time

import torch

import quadgate
from quadgate.cell import Activations

C, T = 12, 820


def cells(H):
    """Each cell as a function of x, with the weights that it trains."""
    torch.manual_seed(0)

    def weights(*shape):
        return torch.empty(shape).uniform_(-(H**-0.5), H**-0.5).requires_grad_()

    def lstm(P=H, **options):
        kernel, bias = weights(C + P, 4 * H), weights(4 * H)
        more = {name: weights(*value) if isinstance(value, tuple) else value for name, value in options.items()}
        return lambda x: quadgate.lstm(x, kernel, bias, forget_bias=1.0, **more)[0], [kernel, bias]

    def gru(reset_after):
        w_x, w_h, b_x, b_h = weights(3 * H, C), weights(3 * H, H), weights(3 * H), weights(3 * H)
        named = {"recurrent_kernel": w_h, "recurrent_bias": b_h, "reset_after": reset_after}
        return lambda x: quadgate.gru(x, w_x, b_x, **named)[0], [w_x, w_h]

    return {
        "basic": lstm(),
        "peepholes": lstm(peepholes=(3, H)),
        "cell clip": lstm(cell_clip=3.0),
        "projection to H/2": lstm(P=H // 2, projection=(H, H // 2)),
        "projection to H/2, clipped": lstm(P=H // 2, projection=(H, H // 2), projection_clip=3.0),
        "relu": lstm(activations=Activations(cell="relu", output="relu")),
        "hard_sigmoid": lstm(activations=Activations(gate="hard_sigmoid")),
        "hard_sigmoid of Keras 3": lstm(activations=Activations(gate="hard_sigmoid_v3")),
        "GRU, reset after": gru(True),
        "GRU, reset before": gru(False),
    }


def seconds(cell, x, train):
    """Processor time of one pass."""
    run, trained = cell
    begin = time.process_time()
    if train:
        torch.autograd.grad(run(x).sum(), trained)
    else:
        with torch.inference_mode():
            run(x)
    return time.process_time() - begin


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randn(given.cases, T, C)
    contestants = cells(given.units)
    print(f"{'H=' + str(given.units) + ' N=' + str(given.cases):<30}{'infer':>10}{'train':>10}")
    ratios = {name: [] for name in contestants}
    for train in (False, True):
        taken = {name: [] for name in contestants}
        for turn in range(given.rounds + 1):
            for name, cell in contestants.items():
                once = seconds(cell, x, train)
                if turn:  # the first turn warms up
                    taken[name].append(once)
        basic = statistics.median(taken["basic"])
        for name, times in taken.items():
            ratios[name].append(statistics.median(times) / basic)
    for name, (infer, train) in ratios.items():
        print(f"{name:<30}{infer:>10.2f}{train:>10.2f}")


if __name__ == "__main__":
    main()
