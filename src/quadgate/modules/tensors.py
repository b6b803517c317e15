"""The caller's tensors on their way to the compiled kernels, and the library that the operators are registered in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, library, nn
from torch.autograd import forward_ad

from quadgate.errors import InputError
from quadgate.kernels.choice import compiled_is_built

COMPILED = compiled_is_built()
LIBRARY = library.Library("quadgate", "DEF")
NARROW_DTYPES = (torch.float16, torch.bfloat16)
_PLAIN = (Tensor, nn.Parameter)


def in_type(tensor: Tensor | None, dtype: torch.dtype) -> Any:
    """Bring a tensor of one of the types that autocast knows to another."""
    return tensor.to(dtype) if tensor is not None and tensor.dtype in (torch.float32, *NARROW_DTYPES) else tensor


def kernel_fits(x: Tensor) -> bool:
    """Tell whether the compiled kernels take this tensor."""
    return COMPILED and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and not seen_through()


def seen_through() -> bool:
    """Tell whether somebody wants to see operations of PyTorch's: `torch.func` or forward derivatives."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def unwatched(tensors: Iterable[Tensor | None]) -> bool:
    """Tell whether an operator can be called as the plain function that it is.

    PyTorch's way to an operator takes 50 microseconds, as long as 50 steps of one case, and 250 with a gradient. It has
    to be gone where somebody looks on: the compiler, an export or a trace, a mode, a profiler, a transform, a subclass
    of `Tensor`. A batch of gradients on its way back is such a transform, and its tensors do not show it by type.
    """
    return (
        not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and not torch._C._autograd._profiler_enabled()
        and not torch._C._are_functorch_transforms_active()
        and all(one is None or (type(one) in _PLAIN and not _is_batched(one)) for one in tensors)
    )


def _is_batched(tensor: Tensor) -> bool:
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


def bare(tensor: Tensor | None) -> Any:
    """Return the tensor's memory as an array: NumPy's are handed to the kernels in a third of the time of a tensor."""
    return None if tensor is None else tensor.numpy(force=True)


def dense(tensor: Tensor | None) -> Any:
    """The kernels take sequences of any strides but the last, and of states none."""
    if tensor is None:
        return None
    dense = tensor.stride(-1) == 1 if tensor.ndim == 3 else tensor.is_contiguous()
    return bare(tensor if dense else tensor.contiguous())


def whole_numbers(lengths: Tensor | None) -> Any:
    """Return lengths in the type that the kernels take.

    Raises:
        InputError: they are no whole numbers.
    """
    if lengths is None:
        return None
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise InputError(f"lengths: found {lengths.dtype}, expected whole numbers")
    return bare(lengths.long())
