"""The CUDA kernels on a CPU: their own source, compiled by the C++ compiler with `emulated/` in the place of a GPU."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch

from quadgate.kernels.gpu import cuda
from quadgate.kernels.gpu.cuda import Variant

HERE = Path(__file__).parent / "emulated"
KERNELS = Path(cuda.__file__).parent
C_TYPES = {int: ctypes.c_int, float: ctypes.c_float}


@cache
def library(variant: Variant) -> ctypes.CDLL:
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler, which the CUDA sources are compiled with for the CPU")
    name = "-".join(map(str, (variant.kernel, variant.mode, variant.units, variant.cases)))
    path = Path(folder()) / f"{name}.so"
    definitions = [f"-D{macro}={value}" for macro, value in variant.definitions.items()]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-clobbered"]
    options = ["-std=c++20", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", *warnings, *definitions]
    subprocess.run(
        [compiler, *options, f"-I{HERE}", f"-I{KERNELS}", str(HERE / "run.cpp"), "-o", str(path)], check=True
    )
    return ctypes.CDLL(str(path))


@cache
def folder() -> str:
    made = tempfile.mkdtemp(prefix="quadgate-emulated-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


class Emulated:
    """Takes the place of `cuda.launch`; the threads of a block run in ascending, descending or a shuffled order."""

    order = 0

    def __call__(self, variant: Variant, device: torch.device, blocks: int, arguments: tuple) -> None:  # noqa: ARG002
        values = [
            C_TYPES[type(one)](one)
            if type(one) in C_TYPES
            else ctypes.c_void_p(None if one is None else one.data_ptr())
            for one in arguments
        ]
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        library(variant).launch(ctypes.c_uint(blocks), ctypes.c_uint(self.order), addresses)
