"""What the command line does with errors, whatever the subcommand."""

import subprocess
import sys

import pytest


def without(package, folder, *arguments):
    """Run a command line where `package` cannot be imported."""
    text = f"import sys; sys.modules[{package!r}] = None; from quadgate.cli import main; main()"
    return subprocess.run([sys.executable, "-c", text, *arguments], cwd=folder, capture_output=True, encoding="utf-8")


@pytest.mark.parametrize(
    ("package", "arguments"), [("torch", ("train", "data.npz")), ("sklearn", ("evaluate", "model", "data.npz"))]
)
def test_a_missing_extra_is_named_with_its_pip_line(folder, package, arguments):
    told = without(package, folder, *arguments)
    assert told.returncode == 2
    needed = f"error: this command needs the package {package}, which is not installed; pip install 'quadgate[train]'\n"
    assert told.stderr.splitlines(keepends=True)[-1] == needed
    assert "Traceback" not in told.stderr


def test_prediction_needs_no_extra(folder):
    for package in ("torch", "sklearn"):
        told = without(package, folder, "predict", "model", "data.npz")
        assert (told.returncode, told.stdout[:11]) == (0, "case,class,")
