"""quadgate installs where nothing compiles, runs there, and says so."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROUND = """
import numpy as np
from quadgate.data import make_sequences
made = make_sequences(40, time=25, channels=4)
np.savez("data.npz", X=np.stack(made.series), y=made.labels)
"""


@pytest.mark.long
def test_without_a_compiler(tmp_path):
    """The build downloads what it needs, as everywhere; the packages that run are those of this environment."""
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = home / "bin" / "python"
    hidden = {**os.environ, "CC": "/no/such/compiler", "CXX": "/no/such/compiler"}
    hidden.pop("CMAKE_CXX_COMPILER_LAUNCHER", None)

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=hidden, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(python, "-m", "pip", "install", "--no-deps", "-C", f"build-dir={tmp_path / 'build'}", ROOT)
    (site,) = (home / "lib").glob("python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")

    assert not list(site.glob("quadgate/**/_native*.so"))
    told = run(home / "bin" / "quadgate", "doctor")
    assert "no  compiled kernels  not built: no C++ compiler" in told
    run(python, "-c", ROUND)
    quick = ["--units", "4", "--epochs", "2", "--out", "run"]
    assert "accuracy" in run(home / "bin" / "quadgate", "train", "data.npz", *quick)
    assert "40 cases" in run(home / "bin" / "quadgate", "evaluate", "run", "data.npz")
    assert run(home / "bin" / "quadgate", "predict", "run", "data.npz").startswith("case,class,")
