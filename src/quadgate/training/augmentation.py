"""What training does to series so that no case is met twice alike: noise, scaling, window warping."""

from __future__ import annotations

import torch
from torch import Tensor

from quadgate.modules.shared_batch import Share
from quadgate.training.settings import Settings

WINDOW = 0.3  # share of a case that is warped


def augmented(x: Tensor, lengths: Tensor, settings: Settings, share: Share | None = None) -> Tensor:
    """Return `x [N, T, C]` changed by chance, drawn from torch's generator; nothing is drawn for what is not asked.

    Where `x` is a share of a batch, chance is drawn for all of it, so that every case meets what it would in the whole.
    """
    N, T, C = len(x) if share is None else share.cases, *x.shape[1:]

    def own(drawn: Tensor) -> Tensor:
        return drawn if share is None else drawn[share.rows]

    if settings.warp and T > 1:
        begin, stretch = (own(torch.rand(N, 1, device=x.device)) for _ in range(2))
        x = warped(x, lengths, begin * (1 - WINDOW), 1 + settings.warp * (2 * stretch - 1))
    if settings.scale:
        x = x * (1 + settings.scale * own(torch.randn(N, 1, 1, dtype=x.dtype, device=x.device)))
    if settings.noise:
        x = x + settings.noise * own(torch.randn(N, T, C, dtype=x.dtype, device=x.device))
    return x


def warped(x: Tensor, lengths: Tensor, begin: Tensor, factor: Tensor) -> Tensor:
    """Stretch or squeeze a window of each case by a `factor [N, 1]`, and the rest so that its length stays.

    Window warping (Le Guennec and others 2016). The window is three tenths of the case and begins at `begin [N, 1]` of
    it; between two steps values lie on a straight line. The first and the last step stay what they are, and so does the
    padding.
    """
    T = x.shape[1]
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
