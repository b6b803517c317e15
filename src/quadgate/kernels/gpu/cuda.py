"""The recurrence in CUDA C++, for H up to 128: one launch runs all steps, with the weights in registers.

The sources, `lstm.cu` and the files that it includes, are compiled by NVIDIA's NVRTC for the GPU that is there when a
kernel is first asked for, and kept in the user's cache folder. The signature is that of
`quadgate.kernels.gpu.recurrence`. No two blocks write to the same place, none waits for another, and a case gets the
same bits in any batch.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quadgate.errors import InputError
from quadgate.kernels.gpu.cache import cache_folder
from quadgate.kernels.gpu.findings import too_old
from quadgate.kernels.gpu.recurrence import Kept, Range, Recurrence, Steps

LARGEST = 128
_MODES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}
_CACHE_BYTES = 64 << 20


@dataclass(frozen=True)
class Variant:
    """A kernel as it is compiled.

    Attributes:
        kernel: forward or backward.
        mode: how it computes: exact (float32), tf32, bfloat16 or float16.
        units: H, filled up to a multiple of 16.
        cases: that a block runs at once.
    """

    kernel: str
    mode: str
    units: int
    cases: int

    @property
    def name(self) -> str:
        """The name of the kernel's function."""
        return f"lstm_{self.kernel}"

    @property
    def threads(self) -> int:
        """The threads of a block."""
        if self.mode == "exact":
            return 4 * self.units
        if self.kernel == "backward":
            return 2 * self.units
        return (2 if self.units > 96 else 4) * self.units

    @property
    def shared_bytes(self) -> int:
        """The shared memory of a block: h or d_z of two steps, and the weights for which the registers do not suffice.

        >>> Variant("forward", "bfloat16", 64, 8).shared_bytes, Variant("forward", "tf32", 128, 8).shared_bytes
        (2560, 139776)
        """
        forward, large = self.kernel == "forward", self.units > 96
        K, rows = (self.units, 4 * self.units) if forward else (4 * self.units, self.units)
        words = K if self.mode in ("exact", "tf32") else K // 2
        row = words + 8 if words % 16 == 0 else words
        # lstm.cu asserts that this is what it takes.
        if self.mode == "exact":
            rest = max(0, self.units // 16 - (4 if large else 8)) * 64 * self.units
        else:
            held = 36 if not forward else 8 if self.mode == "tf32" and large else 12
            rest = max(0, words // 8 - held) * 8 * rows
        return 4 * (2 * self.cases * row + rest)

    @property
    def definitions(self) -> dict[str, str]:
        """The macros that it is compiled with."""
        return {
            f"QUADGATE_{self.kernel.upper()}": "1",
            "QUADGATE_MODE": self.mode,
            "QUADGATE_HP": str(self.units),
            "QUADGATE_CASES": str(self.cases),
            "QUADGATE_THREADS": str(self.threads),
            "QUADGATE_SHARED": str(self.shared_bytes),
        }


def why_not(H: int, dtype: torch.dtype, device: torch.device | None = None) -> str | None:
    """Say why these kernels cannot run a layer; None where they can.

    Args:
        H: units.
        dtype: of x and the weights.
        device: the GPU; None asks of the kernels alone.

    >>> why_not(128, torch.float32), why_not(129, torch.float32)
    (None, 'keeps all weights on one multiprocessor: at most 128 units, not 129')
    """
    if dtype not in (torch.float32, *_MODES):
        return f"computes in float32, bfloat16 or float16, not {str(dtype).removeprefix('torch.')}"
    if not 1 <= H <= LARGEST:
        return f"keeps all weights on one multiprocessor: at most {LARGEST} units, not {H}"
    if device is None:
        return None
    if device.type != "cuda":
        return f"runs on NVIDIA GPUs, not on {device.type}"
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    return _nothing_to_compile_with() or _device_refuses(_filled_up(H), dtype, device)


@cache
def _nothing_to_compile_with() -> str | None:
    for module, package in (("cuda.core", "cuda-core"), ("cuda.bindings", "cuda-bindings")):
        try:
            there = find_spec(module) is not None
        except ModuleNotFoundError:
            there = False
        if not there:
            return f"{package} is not installed: pip install 'quadgate[gpu]'"
    from cuda.bindings import nvrtc

    try:
        nvrtc.nvrtcVersion()
    except RuntimeError as error:  # the library is not found, or is another version than the package
        return f"NVRTC cannot be loaded ({str(error).splitlines()[0]}): pip install 'quadgate[gpu]'"
    return None


@cache
def _device_refuses(units: int, dtype: torch.dtype, device: torch.device) -> str | None:
    found = torch.cuda.get_device_capability(device)
    if too_old(found):
        return too_old(found)
    from cuda.bindings import driver, nvrtc

    compiler, drives = nvrtc.nvrtcVersion()[1:], driver.cuDriverGetVersion()[1]
    if drives // 1000 < compiler[0]:
        return (
            f"NVRTC is of CUDA {compiler[0]}, the driver of CUDA {drives // 1000}.{drives % 1000 // 10}: "
            "update the driver"
        )
    newest = max(nvrtc.nvrtcGetSupportedArchs()[1])
    if 10 * found[0] + found[1] > newest:
        return f"NVRTC compiles for compute capability up to {newest / 10}, this GPU has {found[0]}.{found[1]}"
    # Whether a caller asks for exact products is not known here: either must fit.
    modes = [_MODES[dtype]] if dtype in _MODES else ["exact", "tf32"]
    most = max(
        Variant(kernel, mode, units, _tiles(mode)[-1]).shared_bytes
        for kernel in ("forward", "backward")
        for mode in modes
    )
    has = getattr(_properties(device), "shared_memory_per_block_optin", None)
    if has is not None and most > has:
        name = str(dtype).removeprefix("torch.")
        return f"needs {most} bytes of shared memory for {units} units in {name}, this GPU has {has}"
    return None


def forward(
    z: Tensor, w_h: Tensor, c: Tensor, h: Tensor, lengths: Tensor | None, steps: Range, *,
    forget_bias: float, reverse: bool, keep: Kept | None, exact: bool, outputs: Tensor | None = None,
) -> Steps:  # fmt: skip
    """Run the steps; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = *z.shape[:2], w_h.shape[0]
    outputs = z.new_empty(N, T, H) if outputs is None else outputs
    c_T, h_T = torch.empty_like(c), torch.empty_like(h)
    variant = _variant("forward", N, H, z, exact)
    arguments = (z, w_h, c, h, lengths, outputs, c_T, h_T, *(keep or (None, None)), N, T, H, *steps)
    _run(variant, z.device, N, T, *arguments, float(forget_bias), int(reverse))
    return Steps(outputs, c_T, h_T)


def backward(
    w_h: Tensor, kept: Kept, c: Tensor, lengths: Tensor | None, steps: Range,
    d_outputs: Tensor | None, d_c_T: Tensor | None, d_h_T: Tensor | None, *, reverse: bool, exact: bool,
    d_z: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run the steps back; see `quadgate.kernels.gpu.recurrence`."""
    N, T, H = kept.cells.shape
    d_z = torch.empty_like(kept.gates) if d_z is None else d_z
    d_c, d_h = torch.empty_like(c), torch.empty_like(c)
    if d_outputs is not None:
        d_outputs = d_outputs.to(d_z.dtype).contiguous()
    d_c_T, d_h_T = (None if d is None else d.float().contiguous() for d in (d_c_T, d_h_T))
    variant = _variant("backward", N, H, d_z, exact)
    arguments = (w_h, *kept, c, lengths, d_outputs, d_c_T, d_h_T, d_z, d_c, d_h, N, T, H, *steps)
    _run(variant, d_z.device, N, T, *arguments, int(reverse))
    return d_z, d_c, d_h


def _variant(kernel: str, N: int, H: int, like: Tensor, exact: bool) -> Variant:
    """Return the kernel for a batch: the smallest tile of cases with which all blocks run at once."""
    mode = _MODES.get(like.dtype) or ("exact" if exact else "tf32")
    processors = _processors(like.device)
    tiles = _tiles(mode)
    cases = next((tile for tile in tiles if -(-N // tile) <= processors), tiles[-1])
    return Variant(kernel, mode, _filled_up(H), cases)


def _filled_up(H: int) -> int:
    return -(-H // 16) * 16


def _tiles(mode: str) -> tuple[int, ...]:
    """Return the numbers of cases that a block can run at once."""
    return (1, 2, 4) if mode == "exact" else (4, 8)


def _run(variant: Variant, device: torch.device, N: int, T: int, *arguments: Tensor | float | None) -> None:
    if N * T >= 1 << 31:
        raise InputError(f"the batch: found {N} cases of {T} steps, expected fewer than 2^31 steps in all; split it")
    if N:
        launch(variant, device, -(-N // variant.cases), arguments)


def launch(variant: Variant, device: torch.device, blocks: int, arguments: tuple[Tensor | float | None, ...]) -> None:
    """Start a kernel on torch's current stream: tensors are passed as addresses, None as 0, int and float as C's."""
    from cuda.core import LaunchConfig
    from cuda.core import launch as start

    passed = [
        np.int32(one) if isinstance(one, int) else np.float32(one) if isinstance(one, float)
        else 0 if one is None else one.data_ptr()
        for one in arguments
    ]  # fmt: skip
    with torch.cuda.device(device):
        kernel = _loaded(variant, torch.cuda.current_device())
        config = LaunchConfig(grid=blocks, block=variant.threads, shmem_size=variant.shared_bytes)
        start(_stream(torch.cuda.current_stream().cuda_stream), config, kernel, *passed)


@cache
def _stream(handle: int) -> Any:
    """Return a stream of torch's in the form of CUDA's Python packages."""
    from cuda.core import Stream

    return Stream.from_handle(handle)


@cache
def _loaded(variant: Variant, device: int) -> Any:
    """Return the kernel, ready to be launched on a device."""
    from cuda.bindings import driver
    from cuda.core import Device, ObjectCode

    Device(device).set_current()
    major, minor = torch.cuda.get_device_capability(device)
    kernel = ObjectCode.from_cubin(compiled(variant, f"sm_{major}{minor}")).get_kernel(variant.name)
    most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    (status,) = driver.cuKernelSetAttribute(most, variant.shared_bytes, kernel.handle, driver.CUdevice(device))
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"{variant}: the driver refused {variant.shared_bytes} bytes of shared memory: {status!r}")
    return kernel


def compiled(variant: Variant, architecture: str) -> bytes:
    """Return the machine code of a kernel for an architecture such as `sm_90`, from the cache where it is there.

    The key is what it is compiled from: the source, the options, and the version of the compiler. Where the checksum of
    a file of the cache is wrong the kernel is compiled again; where the cache cannot be written, by every process.
    """
    from cuda.core import Program, ProgramOptions
    from cuda.core.utils import FileStreamProgramCache, make_program_cache_key

    options = ProgramOptions(
        name=variant.name, arch=architecture, std="c++17", define_macro=list(variant.definitions.items())
    )
    key = make_program_cache_key(code=source(), code_type="c++", options=options, target_type="cubin")
    try:
        files = FileStreamProgramCache(_cache(), max_size_bytes=_CACHE_BYTES)
        found = files.get(key)
    except OSError:
        files = found = None
    if found is not None and hashlib.sha256(found[32:]).digest() == found[:32]:
        return bytes(found[32:])
    code = bytes(Program(source(), "c++", options).compile("cubin").code)
    if files is not None:
        try:
            files[key] = hashlib.sha256(code).digest() + code
        except OSError as error:
            sys.stderr.write(f"quadgate: {_cache()} cannot be written ({error.strerror}): kernels are not kept\n")
    return code


@cache
def source() -> str:
    """Return the source of the kernels, with the files that it includes put in their places."""

    def text(name: str) -> str:
        return (Path(__file__).parent / name).read_text(encoding="utf-8")

    return re.sub(r"#include <(\w+\.cuh)>", lambda found: text(found[1]).replace("#pragma once\n", ""), text("lstm.cu"))


def _cache() -> Path:
    return cache_folder() / "cuda"


@cache
def _properties(device: torch.device) -> Any:
    return torch.cuda.get_device_properties(device)


def _processors(device: torch.device) -> int:
    return int(_properties(device).multi_processor_count)


CUDA = Recurrence("CUDA", forward, backward)
