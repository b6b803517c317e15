"""Convolutions beside an LSTM, as in LSTM-FCN (Karim, Majumdar, Darabi and Chen 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from quadgate.modules.classifier import SequenceClassifier
from quadgate.modules.initializers import glorot_uniform_
from quadgate.modules.sequence import lengths_tensor
from quadgate.modules.shared_batch import BatchNorm1d

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
        self.norms = nn.ModuleList(BatchNorm1d(filters, EPSILON) for _ in LENGTHS)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the features `[N, F]` of `x [N, T, C]`, whose cases have `lengths [N]` steps."""
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        z = torch.where(valid[:, :, None], x, 0.0).transpose(1, 2)
        whole = bool(valid.all())
        for layer, norm in zip(self.layers, self.norms, strict=True):
            z = torch.relu(norm(layer(z))) if whole else _within(layer(z), norm, valid)
        return z.sum(2) / lengths.clamp(min=1)[:, None]

    def unfold(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take over what `folded` returned, with normalisations that change nothing."""
        for layer, norm, (kernel, bias) in zip(self.layers, self.norms, layers, strict=True):
            layer.load_state_dict({"weight": kernel.permute(2, 1, 0), "bias": bias})
            _answer_as_before(norm, torch.zeros_like(bias), torch.ones_like(bias))

    def settle(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """After `unfold`: make each normalisation one of what its convolution answers to `(x [N, T, C], lengths [N])`.

        What the module answers stays the same after training, and in training nearly: a batch has not quite the mean
        and variance of all.
        """
        count = 0
        sums = [torch.zeros((), dtype=torch.float64) for _ in self.layers]
        with torch.no_grad():
            for x, lengths in batches:
                valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
                z = torch.where(valid[:, :, None], x, 0.0).transpose(1, 2)
                count += int(valid.sum())
                for number, layer in enumerate(self.layers):
                    z = layer(z)
                    there = z.transpose(1, 2)[valid].double()
                    sums[number] = sums[number].to(x.device) + torch.stack([there.sum(0), there.square().sum(0)])
                    z = torch.where(valid[:, None], torch.relu(z), 0.0)
            for norm, (first, second) in zip(self.norms, sums, strict=True):
                mean = first / count
                _answer_as_before(norm, mean, (second / count - mean.square()).clamp(min=0))

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


def _answer_as_before(norm: nn.Module, mean: Tensor, variance: Tensor) -> None:
    """Let a normalisation take off a mean and a variance, and put them back."""
    state = {"running_mean": mean, "running_var": variance, "bias": mean, "weight": torch.sqrt(variance + EPSILON)}
    norm.load_state_dict(norm.state_dict() | state)


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
