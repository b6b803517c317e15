"""What each Triton kernel takes of a multiprocessor, as the compiler reports it; and that every form of them compiles.

    pip install 'quadgate[gpu]'
    python benchmarks/gpu/triton_resources.py

Needs no GPU. The kernels of whole sequences are compiled as they are launched, for each type, width of a tile and
architecture; then every kernel in each of its forms (lengths or none, reverse, kept or not, which gradients there are),
at the smallest width. Writes the first into benchmarks/results/gpu_resources.json and prints a table.
"""

import json
import os
import re
import subprocess
import tempfile
from itertools import product
from pathlib import Path

os.environ.pop("TRITON_INTERPRET", None)

import triton
from resources import RESULTS, write
from rich.console import Console
from rich.progress import track
from rich.table import Table
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from quadgate.kernels.gpu import triton_kernels
from quadgate.kernels.gpu.triton_lstm import _launch

ARCHITECTURES = {"sm_80": 80, "sm_90a": 90, "sm_100": 100}
MODES = {"exact": "fp32", "tf32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
WIDTHS = {"exact": (16, 32, 64), "tf32": (16, 32, 64), "bfloat16": (16, 32, 64, 128), "float16": (16, 32, 64, 128)}
WHOLE = {"c", "c_0", "c_T", "cells", "d_c", "d_c_0", "d_c_T", "d_h_0", "c_after", "c_before"}  # float32 in every type
NUMBERS = {"N", "T", "H", "start", "stop", "k", "count"}
FLAGS = {
    "forward": {"HAS_LENGTHS": ("lengths",), "REVERSE": (), "KEEP": ("gates", "cells")},
    "backward": {
        "HAS_LENGTHS": ("lengths",), "REVERSE": (), "HAS_OUTPUTS": ("d_outputs",), "HAS_C": ("d_c_T",),
        "HAS_H": ("d_h_T",),
    },
    "step": {"KEEP": ()},
    "step_back": {},
}  # fmt: skip


def compiled(name, kind, constants, architecture, warps=4, aligned=()):
    """Compile a kernel for tensors of a type; a tensor that a flag says is not there is the constant None."""
    function = getattr(triton_kernels, name)

    def declared(argument):
        if argument in constants:
            return "constexpr"
        if argument in ("lengths", "first"):
            return "*i32"
        if argument in NUMBERS:
            return "i32"
        if argument == "forget_bias":
            return "fp32"
        return "*fp32" if argument in WHOLE else f"*{kind}"

    signature = {argument: declared(argument) for argument in function.arg_names}
    places = {argument: (function.arg_names.index(argument),) for argument in signature}
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={places[argument]: value for argument, value in constants.items()},
        attrs={places[argument]: [["tt.divisibility", 16]] for argument in aligned},
    )
    target = GPUTarget("cuda", ARCHITECTURES[architecture], 32)
    return triton.compile(source, target=target, options={"num_warps": warps, "enable_fp_fusion": True})


def resources(name, mode, width, architecture):
    """Compile as it is launched, with everything there, and return what the machine code takes."""
    launch = _launch(width, mode == "exact")
    warps = launch.pop("num_warps")
    launch.pop("enable_fp_fusion")
    constants = {**launch, **dict.fromkeys(FLAGS[name], True), "REVERSE": False}
    pointers = [
        one for one in getattr(triton_kernels, name).arg_names if one not in {*constants, *NUMBERS, "forget_bias"}
    ]
    kernel = compiled(name, MODES[mode], constants, architecture, warps, [*pointers, "H"])
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        said = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)

    def number(what):
        return int(re.search(rf"{what}:(\d+)", said.stdout + said.stderr)[1])

    return {
        "kernel": name,
        "mode": mode,
        "H": width,
        "architecture": architecture,
        "cases": launch["CASES"],
        "threads": 32 * warps,
        "registers": number("REG"),
        "shared_bytes": kernel.metadata.shared,
        "spilled_bytes": number("STACK"),
    }


def forms():
    """Each kernel in each of its forms: its name, its type and its constants."""
    for (name, flags), mode in product(FLAGS.items(), MODES):
        sizes = {"BLOCK": 256} if name.startswith("step") else {
            key: value for key, value in _launch(16, mode == "exact").items() if key.isupper()
        }  # fmt: skip
        for chosen in product((False, True), repeat=len(flags)):
            constants = {**sizes, **dict(zip(flags, chosen, strict=True))}
            for there, absent in zip(chosen, flags.values(), strict=True):
                constants.update({} if there else dict.fromkeys(absent))
            yield name, MODES[mode], constants


def main():
    """Compile all, print, write."""
    console = Console(stderr=True)
    work = [
        (name, mode, width, architecture)
        for name, mode in product(("forward", "backward"), MODES)
        for width in WIDTHS[mode]
        for architecture in ARCHITECTURES
    ]
    rows = [resources(*one) for one in track(work, "as launched", console=console)]
    every = list(forms())
    for name, kind, constants in track(every, "every form", console=console):
        compiled(name, kind, constants, "sm_90a")
    shown = Table(title=f"registers a thread / bytes of stack; {len(every)} forms compile")
    for column in ("kernel", "mode", "H", "threads", "shared KB", *ARCHITECTURES):
        shown.add_column(column, justify="left" if column in ("kernel", "mode") else "right")
    for first, second, third in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        spent = [f"{row['registers']} / {row['spilled_bytes']}" for row in (first, second, third)]
        size = f"{max(row['shared_bytes'] for row in (first, second, third)) / 1024:.1f}"
        shown.add_row(first["kernel"], first["mode"], str(first["H"]), str(first["threads"]), size, *spent)
    Console(width=100).print(shown)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["Triton"] = {
        "command": "python benchmarks/gpu/triton_resources.py",
        "compiler": f"Triton {triton.__version__}",
        "forms_compiled": len(every),
        "kernels": rows,
    }
    write(found)


if __name__ == "__main__":
    main()
