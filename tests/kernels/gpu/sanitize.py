"""The emulated kernels under the sanitizers, by hand: `python -m kernels.gpu.sanitize`, run in tests/.

Every thread of a block is then one of the operating system. The thread sanitizer finds two threads that touch the same
number without a barrier between them, the address sanitizer a number outside of its array.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from kernels.gpu.emulation import HERE, KERNELS
from quadgate.kernels.gpu.cuda import Variant, _tiles


def main() -> None:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for sanitizer in ("thread", "address,undefined"):
            for mode in ("exact", "tf32", "bfloat16", "float16"):
                for kernel in ("forward", "backward"):
                    for units, cases in ((16, _tiles(mode)[0]), (32, _tiles(mode)[-1])):
                        variant = Variant(kernel, mode, units, cases)
                        program = Path(folder) / "program"
                        flags = ["-std=c++20", "-O1", "-g", f"-fsanitize={sanitizer}", "-DEMULATE_WITH_THREADS", "-w"]
                        flags += [f"-D{macro}={value}" for macro, value in variant.definitions.items()]
                        source = str(HERE / "alone.cpp")
                        command = ["g++", *flags, f"-I{HERE}", f"-I{KERNELS}", source, "-o", str(program)]
                        subprocess.run(command, check=True)
                        run = subprocess.run([str(program)], capture_output=True, text=True)
                        found = "nothing found" if run.returncode == 0 else run.stderr[:3000] or "it failed"
                        print(f"{sanitizer}: {kernel} {mode} {units} units, {cases} cases: {found}", flush=True)
                        failed += run.returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
