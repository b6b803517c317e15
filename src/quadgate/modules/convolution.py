"""Convolutions beside an LSTM, as in LSTM-FCN (Karim, Majumdar, Darabi and Chen 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quadgate.modules.classifier import SequenceClassifier
from quadgate.modules.initializers import glorot_uniform_
from quadgate.modules.sequence import lengths_tensor

EPSILON = 1e-5  # that batch normalisation adds to the variance
LENGTHS = (7, 5, 3)  # of the convolutions, in steps: 8, 5, 3 in the paper, but odd, so that they are centred


class Convolutions(nn.Module):
    """Convolutions, each with batch normalisation and a rectifier, then the mean over the steps of a case.

    Steps past the end of a case count neither in the normalisation nor in the mean.

    Args:
        inputs: C, the channels of x.
        filters: F of each convolution.

    >>> tuple(Convolutions(3, 16)(torch.zeros(2, 9, 3), torch.tensor([9, 4])).shape)
    (2, 16)
    """

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        widths = [inputs, *[filters] * len(LENGTHS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(width, filters, length, padding=length // 2)
            for width, length in zip(widths, LENGTHS, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(filters, EPSILON) for _ in LENGTHS)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the features `[N, F]` of `x [N, T, C]`, whose cases have `lengths [N]` steps."""
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        z = torch.where(valid[:, :, None], x, 0.0).transpose(1, 2)
        whole = bool(valid.all())
        for layer, norm in zip(self.layers, self.norms, strict=True):
            z = torch.relu(norm(layer(z))) if whole else _within(layer(z), norm, valid)
        return z.sum(2) / lengths.clamp(min=1)[:, None]

    def folded(self) -> list[tuple[Tensor, Tensor]]:
        """Return each layer's kernel `[k, C, F]` and bias `[F]`, with its normalisation as it is after training."""
        found = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            (weight, bias), (gain, shift) = layer.parameters(), norm.parameters()
            buffers = dict(norm.named_buffers())
            factor = gain / torch.sqrt(buffers["running_var"] + EPSILON)
            kernel = (weight * factor[:, None, None]).permute(2, 1, 0)
            found.append((kernel.detach(), ((bias - buffers["running_mean"]) * factor + shift).detach()))
        return found


def _within(z: Tensor, norm: nn.Module, valid: Tensor) -> Tensor:
    """Normalise and rectify `z [N, F, T]` where `valid [N, T]`; the rest is zero and counts for nothing."""
    result = z.new_zeros(len(z), z.shape[2], z.shape[1])
    result[valid] = torch.relu(norm(z.transpose(1, 2)[valid]))
    return result.transpose(1, 2)


class LSTMFCN(nn.Module):
    """A `SequenceClassifier`, and convolutions whose logits are added to its own.

    Args:
        lstm: the classifier that reads the same series.
        filters: F of each convolution.

    >>> module = LSTMFCN(SequenceClassifier(3, 8, classes=2), filters=16)
    >>> tuple(module(torch.zeros(2, 9, 3), [9, 4]).shape)
    (2, 2)
    """

    def __init__(self, lstm: SequenceClassifier, filters: int) -> None:
        super().__init__()
        self.lstm = lstm
        self.convolutions = Convolutions(lstm.inputs, filters)
        self.weights = nn.Parameter(torch.empty(filters, lstm.classes))
        glorot_uniform_(self.weights)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the logits `[N, K]` of `x [N, T, C]`, whose cases have `lengths [N]` steps, or all T."""
        steps = lengths_tensor(lengths, x)
        if steps is None:
            steps = torch.full((len(x),), x.shape[1], device=x.device)
        features = self.lstm.dropout(self.convolutions(x, steps))
        logits: Tensor = self.lstm(x, lengths) + features @ self.weights
        return logits
