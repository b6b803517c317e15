"""Fuzzes every reader in turn and keeps what was found. `python tests/hostile/fuzz_all.py SECONDS FOLDER [TARGET ...]`.

One process at a time, of low priority. FOLDER/TARGET gets the grown corpus, the log, and what broke the promise. At
the end of each target the fewest inputs that reach the same lines go to `corpus/TARGET`, and its row of `RESULTS.md` is
written anew.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile.fuzz import CORPUS, TARGETS

RESULTS = Path(__file__).with_name("RESULTS.md")
LARGEST, MOST = 4096, 24
TOLD = {"inputs": r"number_of_executed_units:\s*(\d+)", "lines": r"cov: (\d+)", "peak": r"peak_rss_mb:\s*(\d+)"}
HEAD = """# What the fuzzer found

`python tests/hostile/fuzz_all.py SECONDS FOLDER` wrote this; the date is that of each target's last run. An input is
handed to the reader as a whole file; *lines* counts the places in quadgate's own code that the inputs reach, *kept* the
inputs of `corpus/` that together reach them, as far as they are small. A find is an input that was neither loaded nor
refused in one line that names the file, or took over a second of processor time or 200 MB.

Found and mended, each a test now: a list of storages in an old `.pt` with a set in it, which was no error of ours
(after 113,050 inputs); a name with a line end in a TensorFlow Lite file, which broke the line of the refusal. A row of
less than 600 seconds has not had its ten minutes. Those that had little of a busy machine are frozen-graph, saved-model
and checkpoint-objects, as their inputs/s show.

| reader | seconds | inputs | inputs/s | lines | kept | peak MB | finds | run on |
|---|---|---|---|---|---|---|---|---|
"""


def run(target: str, seconds: str, folder: Path) -> None:
    """Fuzz one reader, keep its corpus and write its row."""
    found = folder / target
    found.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), target, seconds, str(folder)]
    start = time.monotonic()
    with (found / "log").open("w") as log:
        subprocess.run(["nice", "-n", "19", *command], stdout=log, stderr=subprocess.STDOUT, check=False)
    spent = time.monotonic() - start
    text = (found / "log").read_text(errors="replace")
    finds = sorted(path.name for kind in ("crash", "timeout", "oom") for path in found.glob(f"{kind}-*"))
    kept = keep(target, folder)
    told = {name: re.findall(pattern, text) for name, pattern in TOLD.items()}
    numbers = {name: int(values[-1]) if values else 0 for name, values in told.items()}
    write_row(
        target,
        f"| {target} | {spent:.0f} | {numbers['inputs']:,} | {numbers['inputs'] / spent:.0f} | {numbers['lines']} "
        f"| {kept} | {numbers['peak']} | {', '.join(finds) or 'none'} | {time.strftime('%Y-%m-%d')}, {machine()} |",
    )


def keep(target: str, folder: Path) -> int:
    """Replace the kept corpus by the fewest inputs that reach every line that it and the found one reach."""
    merged, before = folder / target / "merged", CORPUS / target
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    before.mkdir(exist_ok=True)
    options = ["-merge=1", "-use_counters=0", str(merged), str(folder / target / "corpus"), str(before)]
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), target, "0", str(folder), *options]
    subprocess.run(["nice", "-n", "19", *command], capture_output=True, check=False)
    small = sorted(
        (path for path in merged.iterdir() if path.stat().st_size <= LARGEST), key=lambda p: p.stat().st_size
    )
    if not small:
        return len(list(before.iterdir()))
    for path in before.iterdir():
        path.unlink()
    for path in small[-MOST:]:
        data = path.read_bytes()
        (before / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    return len(list(before.iterdir()))


def write_row(target: str, row: str) -> None:
    before = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = {line.split("|")[1].strip(): line for line in before if line.startswith("| ")}
    rows[target] = row
    RESULTS.write_text(HEAD + "".join(rows[name] + "\n" for name in TARGETS if name in rows))


def machine() -> str:
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return f"{cpu[1] if cpu else platform.machine()}, Python {platform.python_version()}, atheris {version('atheris')}"


if __name__ == "__main__":
    for one in sys.argv[3:] or TARGETS:
        run(one, sys.argv[1], Path(sys.argv[2]))
