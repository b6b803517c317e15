"""The network that `quadgate train` trains: LSTM layers, pooling over the steps, one linear head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quadgate.errors import InputError, suggest
from quadgate.modules.basic_lstm import BasicLSTM
from quadgate.modules.initializers import glorot_uniform_
from quadgate.modules.pooling import POOLS, pooled, running
from quadgate.modules.sequence import Lengths, check_tensor, lengths_tensor
from quadgate.modules.shared_batch import Dropout

HEADS = ("normal", "scaled")


class SequenceClassifier(nn.Module):
    """Tell the class of a sequence: `logits = pool(layers(x)) @ weights + biases`.

    With its defaults it is the seed network: one layer of 64 units, and a head on its last output, which starts from a
    standard normal distribution.

    Parameters: `forward_layers.K.kernel`, `.bias`, the same under `backward_layers` where there are two directions,
    `weights [F, classes]` and `biases [classes]`, where F is H, or 2H with both directions side by side, forward first;
    and `query [F]` for attention.

    Args:
        inputs: C, the channels of x.
        units: H of every layer.
        classes: K.
        layers: L; each reads the outputs of the one below.
        bidirectional: whether every layer also reads backward.
        pool: `"last"`, `"mean"`, `"max"` or `"attention"`: see `quadgate.modules.pooling`.
        forget_bias: added to f while running.
        activation: of the candidate and the cell state.
        dropout: the share that is dropped between layers and before the head, while training.
        initializer: of the layers, `"glorot"` or `"chrono"`.
        longest: the number of steps that `"chrono"` needs.
        head: how the head starts: `"normal"`, weights and biases from N(0, 1) as the seed network's, or `"scaled"`,
            weights by Glorot and biases of zero.
        chunk: steps that a gradient goes back at most: a series is read in chunks, which hand the state on without its
            gradient (truncated backpropagation through time, Williams and Peng 1990); 0 for no end. Pooled outputs
            reach their own chunk. What is computed forward stays the same.

    Raises:
        InputError: a size below 1, a dropout outside [0, 1), or a name that is not known.

    >>> module = SequenceClassifier(12)
    >>> sum(p.numel() for p in module.parameters())
    19842
    >>> tuple(module(torch.zeros(3, 7, 12), lengths=[7, 1, 0]).shape)
    (3, 2)
    """

    def __init__(
        self,
        inputs: int,
        units: int = 64,
        classes: int = 2,
        layers: int = 1,
        bidirectional: bool = False,
        pool: str = "last",
        forget_bias: float = 1.0,
        activation: str = "tanh",
        dropout: float = 0.0,
        initializer: str = "glorot",
        longest: int | None = None,
        head: str = "normal",
        chunk: int = 0,
    ) -> None:
        super().__init__()
        for name, size in (("classes", classes), ("layers", layers)):
            if size < 1:
                raise InputError(f"{name}: found {size}, expected at least 1")
        for name, value, known in (("pool", pool, POOLS), ("head", head, HEADS)):
            if value not in known:
                raise InputError(f"{name}: found {value!r}, which is not known; {suggest(value, known)}")
        if chunk < 0 or (chunk and bidirectional):
            raise InputError(f"chunk: found {chunk} steps, expected 0 or more, and 0 for a network that reads backward")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout: found {dropout}, expected a share from 0 up to, not including, 1")
        self.inputs, self.units, self.classes, self.layers = inputs, units, classes, layers
        self.bidirectional, self.pool = bidirectional, pool
        self.forget_bias, self.activation = forget_bias, activation
        self.dropout, self.chunk = Dropout(dropout), chunk

        features = 2 * units if bidirectional else units

        def stack(reverse: bool) -> nn.ModuleList:
            widths = [inputs] + [features] * (layers - 1)
            return nn.ModuleList(
                BasicLSTM(width, units, forget_bias, activation, initializer, longest, reverse) for width in widths
            )

        self.forward_layers = stack(reverse=False)
        self.backward_layers = stack(reverse=True) if bidirectional else nn.ModuleList()
        # A query of zeros starts as the mean.
        self.query = nn.Parameter(torch.zeros(features)) if pool == "attention" else None
        self.weights = nn.Parameter(torch.randn(features, classes))
        self.biases = nn.Parameter(torch.randn(classes))
        if head == "scaled":
            glorot_uniform_(self.weights)
            nn.init.zeros_(self.biases)

    def forward(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Return the logits `[N, K]` of `x [N, T, C]`, whose cases have `lengths [N]` steps, or all T.

        Raises:
            InputError: a shape, dtype or length that does not fit, or no step at all.
        """
        outputs, h = self.encode(x, lengths)
        features = pooled(outputs, h, lengths_tensor(lengths, x), self.pool, self.query)
        logits: Tensor = self.dropout(features) @ self.weights + self.biases
        return logits

    def steps(self, x: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Return the logits after every step, `[N, T, K]`; past the end of a case they mean nothing.

        Raises:
            InputError: as in `forward`, or the network also reads backward.
        """
        if self.bidirectional:
            raise InputError("steps: found layers that read backward, expected forward ones, which have an answer then")
        outputs, _ = self.encode(x, lengths)
        logits: Tensor = self.dropout(running(outputs, self.pool, self.query)) @ self.weights + self.biases
        return logits

    def encode(self, x: Tensor, lengths: Lengths | None = None) -> tuple[Tensor, Tensor]:
        """Return the top layer's outputs `[N, T, F]`, zero past the end of a case, and its final h `[N, F]`.

        Raises:
            InputError: as in `forward`.
        """
        check_tensor("x", x, ["cases", "steps", self.inputs], self.weights)
        if not x.shape[1]:
            raise InputError("x: found 0 steps, expected at least 1; case lengths of 0 are given by `lengths`")
        lengths = lengths_tensor(lengths, x)
        outputs, h = x, x
        for k, layer in enumerate(self.forward_layers):
            below = self.dropout(outputs) if k else outputs
            outputs, h = self._in_chunks(layer, below, lengths)
            if self.bidirectional:
                backward, (_, h_backward) = self.backward_layers[k](below, lengths)
                outputs, h = torch.cat([outputs, backward], 2), torch.cat([h, h_backward], 1)
        return outputs, h

    def _in_chunks(self, layer: nn.Module, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return a layer's outputs and final h; the state goes on from chunk to chunk, its gradient ends there."""
        T = x.shape[1]
        if not 0 < self.chunk < T:
            outputs, (_, h) = layer(x, lengths)
            return outputs, h
        steps = torch.full((len(x),), T, device=x.device) if lengths is None else lengths
        state, parts = None, []
        for begin in range(0, T, self.chunk):
            part, (c, h) = layer(x[:, begin : begin + self.chunk], (steps - begin).clamp(0, self.chunk), state)
            state = (c.detach(), h.detach())
            parts.append(part)
        outputs = torch.cat(parts, 1)
        # A case that ended in an earlier chunk has its last h there, with its gradient.
        ends = torch.take_along_dim(outputs, (steps - 1).clamp(min=0)[:, None, None], 1)[:, 0]
        return outputs, ends
