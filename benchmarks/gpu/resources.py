"""What each kernel takes of a multiprocessor, as the compiler reports it: registers, shared memory, spills.

    pip install 'quadgate[gpu]' nvidia-cuda-nvdisasm
    python benchmarks/gpu/resources.py

Needs no GPU. The CUDA kernels are compiled by NVRTC as they are on a user's machine, once for each architecture, type,
number of units and tile. A spill is one of the steps where a load or store of local memory stands in the loop that has
the barrier of a step; the others happen once a launch, while the weights are loaded. Writes
benchmarks/results/gpu_resources.json, one line a kernel, and prints a table of the largest tiles. Takes minutes.
"""

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import cuda.core
from cuda.bindings import nvrtc
from cuda.core import Program, ProgramOptions
from rich.console import Console
from rich.progress import track
from rich.table import Table

from quadgate.kernels.gpu import cuda as kernels
from quadgate.kernels.gpu.cuda import Variant

RESULTS = Path(__file__).parents[1] / "results" / "gpu_resources.json"
ARCHITECTURES = ("sm_80", "sm_90a", "sm_100")
UNITS = (16, 32, 64, 96, 128)
MODES = ("exact", "tf32", "bfloat16", "float16")


def variants():
    """Each kernel, with each tile that a batch may be cut into."""
    return [
        Variant(kernel, mode, H, cases)
        for kernel in ("forward", "backward")
        for mode in MODES
        for H in UNITS
        for cases in kernels._tiles(mode)
    ]


def resources(variant, architecture, disassembler):
    """Compile, and return what the assembler says and what the machine code shows."""
    options = ProgramOptions(
        name=variant.name,
        arch=architecture,
        std="c++17",
        define_macro=list(variant.definitions.items()),
        ptxas_options=["-v"],
    )
    log = io.StringIO()
    code = Program(kernels.source(), "c++", options).compile("cubin", logs=log).code

    def number(pattern):
        return int(re.search(pattern, log.getvalue())[1])

    return {
        "kernel": variant.kernel,
        "mode": variant.mode,
        "H": variant.units,
        "architecture": architecture,
        "cases": variant.cases,
        "threads": variant.threads,
        "registers": number(r"Used (\d+) registers"),
        "shared_bytes": variant.shared_bytes,
        "spilled_bytes": number(r"(\d+) bytes spill stores"),
        "spills_in_steps": spills_in_steps(bytes(code), disassembler),
    }


def spills_in_steps(code, disassembler):
    """Count the loads and stores of local memory within the loops that have a barrier."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        text = subprocess.run([disassembler, "-c", file.name], capture_output=True, text=True, check=True).stdout
    lines = text.splitlines()
    labels = {found[1]: place for place, line in enumerate(lines) if (found := re.match(r"\s*(\.L_x_\d+):", line))}
    loops = [
        lines[labels[found[1]] : place]
        for place, line in enumerate(lines)
        if (found := re.search(r"BRA.*`\((\.L_x_\d+)\)", line)) and labels.get(found[1], place) < place
    ]
    steps = [loop for loop in loops if any("BAR.SYNC" in line for line in loop)]
    assert steps, "no loop with a barrier in the machine code"
    return max(sum(bool(re.search(r"\b(LDL|STL)\b", line)) for line in loop) for loop in steps)


def table(rows):
    """Print the largest tile of each kernel: registers, shared KB, and what is spilled, on each architecture."""
    shown = Table(title="registers a thread / spilled bytes, of which in the steps")
    for column in ("kernel", "mode", "H", "cases", "threads", "shared KB", *ARCHITECTURES):
        shown.add_column(column, justify="left" if column in ("kernel", "mode") else "right")
    cells = {}
    for row in rows:
        cells.setdefault((row["kernel"], row["mode"], row["H"], row["cases"]), {})[row["architecture"]] = row
    for (kernel, mode, H, cases), found in cells.items():
        if cases == kernels._tiles(mode)[-1]:
            one = found[ARCHITECTURES[0]]
            spent = [f"{r['registers']} / {r['spilled_bytes']}, {r['spills_in_steps']}" for r in found.values()]
            shown.add_row(
                kernel, mode, *map(str, (H, cases, one["threads"], round(one["shared_bytes"] / 1024, 1))), *spent
            )
    Console(width=110).print(shown)


def main():
    """Compile all, print, write."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    beside = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cu13" / "bin" / "nvdisasm"
    disassembler = shutil.which("nvdisasm") or (str(beside) if beside.exists() else None)
    if disassembler is None:
        sys.exit("resources.py: nvdisasm is not installed; pip install nvidia-cuda-nvdisasm")
    work = [(variant, architecture) for variant in variants() for architecture in ARCHITECTURES]
    rows = [
        resources(variant, architecture, disassembler)
        for variant, architecture in track(work, "compiling", console=Console(stderr=True))
    ]
    table(rows)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["CUDA"] = {
        "command": "python benchmarks/gpu/resources.py",
        "compiler": "NVRTC {}.{}".format(*nvrtc.nvrtcVersion()[1:]),
        "cuda_core": cuda.core.__version__,
        "kernels": rows,
    }
    write(found)


def write(found):
    """Write what was found of each implementation, a kernel a line."""
    text = json.dumps(found, indent=1)
    rows = re.compile(r"\{[^{}[\]]*\}")
    RESULTS.write_text(rows.sub(lambda row: json.dumps(json.loads(row[0])), text) + "\n")


if __name__ == "__main__":
    main()
