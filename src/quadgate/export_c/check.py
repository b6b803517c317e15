"""Compile what was written, where there is a C compiler, and compare it with `Model.run`."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quadgate.errors import InputError
from quadgate.export_c.export import Export
from quadgate.export_c.functions import template

if TYPE_CHECKING:
    from quadgate.model import Ensemble, Model

Array = NDArray[Any]

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Werror", "-O2")


@dataclass(frozen=True)
class Check:
    """What came of a comparison.

    Attributes:
        compiler: its name.
        steps: how many samples were taken.
        largest: the largest difference of any number of any answer from that of `model.stream`.
        bound: what it may be: 1e-5 of the largest answer, or 1e-5, where the model runs without the compiled kernels.
        same_bits: whether there was none at all, as it is beside the compiled kernels.
    """

    compiler: str
    steps: int
    largest: float
    bound: float
    same_bits: bool

    def __str__(self) -> str:
        found = "every answer has the same bits" if self.same_bits else f"largest difference {self.largest:.2e}"
        return f"compiled with {self.compiler} and run beside the model over {self.steps} samples: {found}"


def find_compiler() -> str | None:
    """Return the name of a C compiler of this machine, or None."""
    return next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def check(model: Model | Ensemble, done: Export, steps: int = 200, compiler: str | None = None) -> Check | None:
    """Compare the C program with the model's own stream on random samples; None where there is no compiler.

    Raises:
        InputError: it does not compile, or does not run.
    """
    compiler = compiler or find_compiler()
    if compiler is None:
        return None
    x = samples(model, steps)
    expected = model.stream(done.output).run(x)
    with tempfile.TemporaryDirectory() as folder:
        program = build(done, x, Path(folder), [compiler, *STRICT])
        found = answers(run([str(program)]), expected.shape)
    largest = float(np.abs(found.astype(np.float64) - expected).max(initial=0))
    bound = 1e-5 * max(1.0, float(np.abs(expected).max(initial=0)))
    return Check(compiler, steps, largest, bound, found.tobytes() == expected.tobytes())


def samples(model: Model | Ensemble, steps: int, seed: int = 0) -> Array:
    """Return `[steps, C]` in float32 of the size that the model's scaling expects."""
    x = np.random.default_rng(seed).normal(size=(steps, model.inputs))
    if model.scaling is not None:
        x = x * model.scaling.scale + model.scaling.mean
    return x.astype(np.float32)


def build(done: Export, x: Array, folder: Path, compile_with: Sequence[str], *more: str) -> Path:
    """Build the program that steps through `x` and prints the bits of each answer."""
    rows = ",\n".join("{" + ", ".join(f"{value:.8e}f" for value in row) + "}" for row in x.tolist())
    declared = f"#define SAMPLES {len(x)}\nstatic const float samples[{len(x)}][{x.shape[1]}] = {{\n{rows}\n}};\n"
    (folder / "samples.h").write_text(declared)
    main = folder / "check.c"
    main.write_text(template("check.c.txt").replace("@name", done.name).replace("@NAME", done.name.upper()))
    program = folder / "check"
    sources = [f"-I{done.source.parent}", f"-I{folder}", str(main), str(done.source)]
    run([*compile_with, *sources, *more, "-o", str(program), "-lm"])
    return program


def run(command: Sequence[str]) -> str:
    """Return what a command prints.

    Raises:
        InputError: it failed; says what it printed first.
    """
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        first = next((line for line in told if "error" in line), told[0])
        raise InputError(f"{command[0]}: found exit code {done.returncode}: {first}")
    return done.stdout


def answers(printed: str, shape: tuple[int, ...]) -> Array:
    """Return the numbers whose bits a program printed."""
    words = np.array([int(word, 16) for word in printed.split()], np.uint32)
    return words.view(np.float32).reshape(shape)
