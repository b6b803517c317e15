"""What training does to series so that no case is met twice alike: noise, scaling, window warping."""

from __future__ import annotations

import torch
from torch import Tensor

from quadgate.training.settings import Settings

WINDOW = 0.3  # share of a case that is warped


def augmented(x: Tensor, lengths: Tensor, settings: Settings) -> Tensor:
    """Return `x [N, T, C]` changed by chance, drawn from torch's generator; nothing is drawn for what is not asked."""
    if settings.warp:
        x = warped(x, lengths, settings.warp)
    if settings.scale:
        x = x * (1 + settings.scale * torch.randn(len(x), 1, 1, dtype=x.dtype, device=x.device))
    if settings.noise:
        x = x + settings.noise * torch.randn_like(x)
    return x


def warped(x: Tensor, lengths: Tensor, share: float) -> Tensor:
    """Stretch or squeeze a window of each case by up to `share`, and the rest so that its length stays.

    Window warping (Le Guennec and others 2016). The window is three tenths of the case, its place and its stretch are
    drawn evenly; between two steps values lie on a straight line. The first and the last step stay what they are, and
    so does the padding.
    """
    N, T, _ = x.shape
    if T < 2:
        return x
    begin = torch.rand(N, 1, device=x.device) * (1 - WINDOW)
    factor = 1 + share * (2 * torch.rand(N, 1, device=x.device) - 1)
    whole = 1 + WINDOW * (factor - 1)  # the length after stretching, in lengths of the case
    last = (lengths - 1).clamp(min=1)[:, None]
    place = torch.arange(T, device=x.device) / last * whole  # where each step of the result lies in the stretched case
    source = torch.where(
        place < begin,
        place,
        torch.where(place < begin + WINDOW * factor, begin + (place - begin) / factor, place - WINDOW * (factor - 1)),
    )
    step = (source * last).clamp(min=0)
    before = torch.minimum(step.floor().long(), last - 1)
    share_after = (step - before).clamp(0, 1)[:, :, None].to(x.dtype)
    low = torch.take_along_dim(x, before[:, :, None], 1)
    high = torch.take_along_dim(x, before[:, :, None] + 1, 1)
    result = low + share_after * (high - low)
    inside = (torch.arange(T, device=x.device) < lengths[:, None]) & (lengths[:, None] > 1)
    return torch.where(inside[:, :, None], result, x)
