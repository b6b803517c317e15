"""Whether this machine has a GPU that quadgate can use, and if not, the reason and what to install, in one line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from quadgate.kernels.gpu.crossover import read

# The smallest compute capability: that of the tensor cores that bfloat16 and tf32 need.
LEAST_CAPABILITY = (8, 0)
_ENOUGH = 256 * 2**20
_NVIDIA = "0x10de"  # of PCI


@dataclass(frozen=True)
class Facts:
    """What was found about GPUs.

    Attributes:
        torch: the version of torch.
        cuda: that of CUDA which torch was built for; None for a build without.
        visible: `CUDA_VISIBLE_DEVICES`, None where it is not set.
        device: whether the machine has an NVIDIA device.
        driver: the version of its driver, None where none was found.
        error: what torch said when it was asked for the GPU; None where it got one.
        name: that of the GPU; empty where torch has none.
        capability: its compute capability.
        free, total: its memory in bytes.
    """

    torch: str
    cuda: str | None
    visible: str | None = None
    device: bool = False
    driver: str | None = None
    error: str | None = None
    name: str = ""
    capability: tuple[int, int] = (0, 0)
    free: int = 0
    total: int = 0


def why_not(facts: Facts) -> str | None:
    """Return why no GPU is used, and what to do; None where one is.

    >>> why_not(Facts(torch="2.13.0+cpu", cuda=None))
    'this torch, 2.13.0+cpu, was built without CUDA; for a build with it see https://pytorch.org/get-started/locally'
    """
    if facts.cuda is None:
        where = "for a build with it see https://pytorch.org/get-started/locally"
        return f"this torch, {facts.torch}, was built without CUDA; {where}"
    if not facts.name:
        return _why_torch_has_none(facts)
    old = too_old(facts.capability)
    if old:
        return f"{facts.name}: {old}; torch runs on it without them"
    if facts.free < _ENOUGH:
        free, total = facts.free / 2**20, facts.total / 2**30
        return f"{facts.name} has {free:.0f} MiB free of {total:.0f} GiB; see nvidia-smi for the process that fills it"
    return None


def _why_torch_has_none(facts: Facts) -> str:
    if facts.visible is not None and facts.visible.strip() in ("", "-1", "NoDevFiles"):
        return f"CUDA_VISIBLE_DEVICES={facts.visible!r} hides every GPU; unset it"
    error = facts.error or "no GPU"
    if re.search("out of memory", error, re.IGNORECASE):
        return f"its memory is full: {error}; see nvidia-smi for the process that fills it"
    if facts.driver is not None:
        versions = f"torch for CUDA {facts.cuda} finds none with the driver {facts.driver}"
        return f"{versions}: {error}; where the driver is older than that CUDA, install a newer one"
    if facts.device:
        return "an NVIDIA device is there, its driver is not loaded; install it: https://www.nvidia.com/drivers"
    return "this machine has no NVIDIA device"


def too_old(capability: tuple[int, int]) -> str | None:
    """Return why quadgate's kernels do not run on a GPU of a compute capability; None where they do.

    >>> print(too_old((7, 5)))
    its compute capability is 7.5, quadgate's kernels need 8.0
    """
    if capability >= LEAST_CAPABILITY:
        return None
    has, least = (".".join(map(str, one)) for one in (capability, LEAST_CAPABILITY))
    return f"its compute capability is {has}, quadgate's kernels need {least}"


def look(index: int = 0) -> Facts:
    """Ask torch for a GPU, and where it has none the system for the reason."""
    import torch

    facts = Facts(torch.__version__, torch.version.cuda, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if facts.cuda is None:
        return facts
    try:
        torch.cuda.init()
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
    except (RuntimeError, AssertionError) as error:
        said = str(error).partition("\n")[0].rstrip(". ")
        return replace(facts, device=_has_device(), driver=_driver(), error=said)
    capability = (properties.major, properties.minor)
    return replace(
        facts, device=True, driver=_driver(), name=properties.name, capability=capability, free=free, total=total
    )


def kernels(name: str) -> str:
    """Say which of quadgate's kernels run on a GPU of that name, and what decides between them."""
    import torch

    from quadgate.kernels.gpu.implementations import IMPLEMENTATIONS

    told = []
    for one in IMPLEMENTATIONS:
        refused = one.why_not(1, torch.float32, torch.device("cuda"))
        told.append(f"{one.name}: {refused}" if refused else f"{one.name} {one.reach}")
    table = read(name)
    by = "as quadgate tune has measured" if table else "cuDNN runs until quadgate tune has measured them"
    return f"{'; '.join(told)}; {by}"


def _has_device() -> bool:
    if Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists():  # the second: of Windows' subsystem for Linux
        return True
    vendors = Path("/sys/bus/pci/devices").glob("*/vendor") if Path("/sys/bus/pci/devices").exists() else ()
    classes = ((one.read_text().strip(), (one.parent / "class").read_text().strip()) for one in vendors)
    return os.name == "nt" or any(vendor == _NVIDIA and kind.startswith("0x03") for vendor, kind in classes)


def _driver() -> str | None:
    said = Path("/proc/driver/nvidia/version")
    if said.exists():
        found = re.search(r"(\d+\.\d+(\.\d+)?)", said.read_text(errors="replace"))
        return found[1] if found else "unknown"
    return "unknown" if os.name == "nt" or Path("/dev/dxg").exists() else None
