"""What this machine offers to quadgate, and where something is missing, why."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from quadgate.kernels.choice import compiled_is_built
from quadgate.kernels.threads import decide, processors


@dataclass(frozen=True)
class Finding:
    """One line of the report: a subject, what was found, and whether quadgate can use it."""

    subject: str
    found: str
    usable: bool


def examine() -> list[Finding]:
    """Look at the processor, the compiled kernels, torch, the GPU and the optional packages.

    Imports torch where it is installed, which takes a second or two.
    """
    return [
        Finding(
            "quadgate", f"{version('quadgate')} on Python {platform.python_version()}, {platform.platform()}", True
        ),
        _processor(),
        _compiled_kernels(),
        _threads(),
        *_torch(),
        *(_package(name, purpose) for name, purpose in _OPTIONAL.items()),
    ]


_OPTIONAL = {
    "aeon": "data sets by their archive name and .ts files; pip install 'quadgate[train]'",
    "sklearn": "metrics and splits; pip install 'quadgate[train]'",
    "pandas": "tables; pip install 'quadgate[train]'",
    "pyarrow": "Parquet; pip install 'quadgate[parquet]'",
}


def _processor() -> Finding:
    return Finding("processor", f"{_processor_name()}, {processors()} available to this process", True)


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _compiled_kernels() -> Finding:
    if not compiled_is_built():
        why = "not built: no C++ compiler or no Python headers at installation; quadgate runs on NumPy or torch"
        return Finding("compiled kernels", f"{why}; install both and reinstall quadgate", False)
    from quadgate.kernels.cpu import instruction_set, instruction_sets

    found = f"built; {instruction_set()} runs, of {', '.join(instruction_sets())} that this processor has"
    return Finding("compiled kernels", found, True)


def _threads() -> Finding:
    threads = decide()
    return Finding("threads", f"{threads.number}, decided by {threads.decided_by}", True)


def _torch() -> list[Finding]:
    if find_spec("torch") is None:
        return [
            Finding("torch", "not installed; training needs it: pip install 'quadgate[train]'", False),
            Finding("GPU", "not looked for: torch is not installed", False),
        ]
    import torch

    return [Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} threads", True), *_gpu()]


def _gpu() -> list[Finding]:
    from quadgate.kernels.gpu import findings

    facts = findings.look()
    refused = findings.why_not(facts)
    if refused:
        return [Finding("GPU", f"none is used: {refused}", False)]
    memory = f"{facts.free / 2**30:.1f} of {facts.total / 2**30:.1f} GiB free"
    found = f"{facts.name}, {memory}, CUDA {facts.cuda}, driver {facts.driver}"
    return [Finding("GPU", found, True), Finding("GPU kernels", findings.kernels(facts.name), True)]


def _package(name: str, purpose: str) -> Finding:
    distribution = {"sklearn": "scikit-learn"}.get(name, name)
    try:
        return Finding(distribution, version(distribution), True)
    except PackageNotFoundError:
        return Finding(distribution, f"not installed; needed for {purpose}", False)
