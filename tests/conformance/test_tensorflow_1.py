"""TensorFlow 1 itself restores what quadgate writes, into its own cells.

It needs Python 3.7, so an interpreter that has it is named: `TENSORFLOW_1=.../bin/python pytest
tests/conformance/test_tensorflow_1.py`. Run with TensorFlow 1.15.5: every difference was below 4e-7.
"""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import quadgate
from networks import model_of
from proof_layers import gru_layer, lstm_layer

PYTHON = os.environ.get("TENSORFLOW_1", "")
C, H, P = 4, 5, 3


def basic(seed, inputs=C, **options):
    return replace(lstm_layer(seed, inputs, H, **options), b_h=None)


NETWORKS = {
    ("BasicLSTMCell", "one", 1.0): [(basic(0, forget_bias=1.0),)],
    ("BasicLSTMCell", "both", 0.0): [(basic(0), basic(1, reverse=True))],
    ("BasicLSTMCell", "stacked", 1.0): [(basic(0, forget_bias=1.0),), (basic(1, H, forget_bias=1.0),)],
    ("LSTMCell", "one", 0.5): [(basic(0, P=P, peepholes=True, forget_bias=0.5, cell_clip=0.5),)],
    ("GRUCell", "one", 0.0): [(replace(gru_layer(0, C, H, reset_after=False), b_h=None),)],
}


@pytest.mark.skipif(not PYTHON, reason="not run: TENSORFLOW_1 names no Python that has TensorFlow 1")
def test_tensorflow_1_restores_what_was_written_and_computes_the_same(tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 9, C)).astype(np.float32)
    for (kind, way, forget_bias), layers in NETWORKS.items():
        model = model_of(*layers, layout=f"tf1.{kind}")
        name = f"{kind}_{way}"
        quadgate.save(model, tmp_path / f"{name}.ckpt")
        y, _ = model.run(x, output="outputs")
        told = {"kind": kind, "way": way, "forget_bias": forget_bias, "units": H, "projection": P}
        np.savez(tmp_path / f"{name}.npz", x=x, y=y, **told)
    script = Path(__file__).with_name("restore_in_tensorflow_1.py")
    run = subprocess.run([PYTHON, script, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = dict(line.split() for line in run.stdout.splitlines() if line)
    assert found.keys() == {f"{kind}_{way}" for kind, way, _ in NETWORKS}
    assert max(map(float, found.values())) < 2e-6
