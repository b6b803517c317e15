"""What a wheel must do where nothing else is installed: `python installed.py`, run by a Python that has the wheel.

Loads a run, runs it, streams it to the same bits, and converts it to ONNX where the package onnx is installed.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np

import quadgate
from quadgate.kernels import explain_choice
from quadgate.model import Model, Network, Scaling


def main() -> None:
    assert importlib.util.find_spec("torch") is None, "found torch, expected an environment without it"
    assert explain_choice().implementation == "compiled", explain_choice()
    network, draw = Network(inputs=3, units=16, classes=2, pool="mean"), np.random.default_rng(0)
    drawn = {name: draw.normal(size=shape).astype("f4") for name, shape in network.shapes.items()}
    x = draw.normal(size=(5, 50, 3)).astype("f4")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        quadgate.save(Model(network, drawn, scaling=Scaling([0.5, 0, 1], [2, 1, 0.5])), path)
        model = quadgate.load(path)
        answers, _ = model.run(x, output="probabilities")
        stream = model.stream("probabilities")
        assert np.stack([stream.step(row) for row in x[0]])[-1].tobytes() == answers[0].tobytes()
        assert model.streams(5, "probabilities").run(x)[:, -1].tobytes() == answers.tobytes()
        done = "loads, runs and streams to the same bits"
        if importlib.util.find_spec("onnx") is not None:
            plain = Path(folder) / "plain"
            quadgate.save(Model(Network(3, 16, 2), {name: drawn[name] for name in Network(3, 16, 2).shapes}), plain)
            print(quadgate.convert(plain, Path(folder) / "model.onnx"))
            np.testing.assert_allclose(
                quadgate.load(Path(folder) / "model.onnx").run(x)[0], quadgate.load(plain).run(x)[0], atol=1e-6
            )
            done += ", converts to ONNX"
    assert "torch" not in sys.modules
    print(f"quadgate {quadgate.__version__} on Python {sys.version.split()[0]}: {done}")


if __name__ == "__main__":
    main()
