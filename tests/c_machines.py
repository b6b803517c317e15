"""Compilers for other processors, and QEMU to run what they build."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2")
HERE = Path(__file__).parent / "export_c" / "cortex_m4f"


@dataclass(frozen=True)
class Machine:
    compile_with: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    run_with: tuple[str, ...] = ()
    packages: str = "gcc"

    def need(self) -> None:
        """Leave the test out, loudly, where a tool is missing: tests/conftest.py lists it at the end."""
        missing = [tool for tool in (self.compile_with[0], *self.run_with[:1]) if shutil.which(tool) is None]
        if missing:
            pytest.skip(f"not run: found no {' and no '.join(missing)}; apt-get install {self.packages}")


HOST = Machine(("gcc", *STRICT))
MACHINES = {
    "gcc": HOST,
    "gcc with fused multiply-add": Machine(("gcc", *STRICT, "-O3", "-march=native")),
    "gcc, its own dialect": Machine(("gcc", "-Wall", "-Wextra", "-Werror", "-O3", "-march=native")),
    "aarch64": Machine(
        ("aarch64-linux-gnu-gcc", *STRICT, "-static"),
        run_with=("qemu-aarch64",),
        packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    ),
    "Cortex-M4F": Machine(
        ("arm-none-eabi-gcc", *STRICT, "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        libraries=("--specs=rdimon.specs", "-nostartfiles", "CRT0", str(HERE / "start.c"), f"-T{HERE / 'memory.ld'}"),
        run_with=(
            "qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-kernel",
        ),
        packages="gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    ),
}  # fmt: skip
