"""Whether products of float32 may be tf32: by kind of operation since torch 2.9, before by one setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def exact() -> bool:
    """Tell whether products in float32 are to be exact, as PyTorch's setting for matrix products says.

    >>> exact()
    True
    """
    products: Any = torch.backends.cuda.matmul
    if not hasattr(products, "fp32_precision"):
        return torch.get_float32_matmul_precision() == "highest"
    everywhere: Any = torch.backends
    said = products.fp32_precision
    return bool((everywhere.fp32_precision if said == "none" else said) != "tf32")


@contextmanager
def float32_products(exactly: bool, cudnn: bool = False) -> Iterator[None]:
    """Let products be exact or tf32 while the block runs, with `cudnn` those of cuDNN's recurrent layers too."""
    products: Any = torch.backends.cuda.matmul
    places: list[tuple[Any, str, Any]]
    if hasattr(products, "fp32_precision"):
        kind = "ieee" if exactly else "tf32"
        places = [(products, "fp32_precision", kind), (torch.backends.cudnn.rnn, "fp32_precision", kind)]
    else:
        places = [(products, "allow_tf32", not exactly), (torch.backends.cudnn, "allow_tf32", not exactly)]
    places = places if cudnn else places[:1]
    before = [getattr(place, name) for place, name, _ in places]
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield
    finally:
        for (place, name, _), value in zip(places, before, strict=True):
            setattr(place, name, value)
