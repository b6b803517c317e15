"""`GRU` and `GRUCell`: PyTorch's own classes, run by quadgate, with options; see `quadgate.modules.lstm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from quadgate.cell import Activations
from quadgate.modules.gru_operator import OPERATOR, GRULayer, run_layers
from quadgate.modules.gru_sequence import GRUFunctions, gru_gates
from quadgate.modules.options import (
    add_parameters,
    check_activations,
    check_share,
    described_options,
    has_defaults,
    reset_norms,
    suffixes,
    zoned,
)
from quadgate.modules.placement import Weights, normal
from quadgate.modules.sequence import Lengths, Normalised, lengths_tensor, over_steps
from quadgate.modules.stack import Part, kernels_take, run_stack
from quadgate.modules.together import gain_behind, joined

_TORCH_FORWARD: Any = nn.GRU.forward
_PLACES = ("gate", "cell")
_NORMS = 4  # of z, r, and the shares of x and of h in n


class GRU(nn.RNNBase):
    """`torch.nn.GRU` on quadgate's kernels: the same parameters, arguments and results, and more options.

    The arguments up to `dtype` are those of `torch.nn.GRU`. There is no cell state, so nothing that an `LSTM` does to
    it can be asked for here; the outputs are all the states.

    Args:
        *args: as `torch.nn.GRU`.
        activations: the functions of the cell, `gate` of z and r, `cell` of n.
        layer_norm: whether the sums of z and of r, and in n the share of x and that of h, are normalised over the
            units, with `weight_ln_l{k}` and `bias_ln_l{k}`, both `[4, H]` in this order (Ba, Kiros and Hinton, 2016).
        zoneout: the share of h that keeps its value from the step before, in training at random, in evaluation on
            average (Krueger and others, 2016).
        recurrent_dropout: the share of h that is dropped where it goes into the product, by one mask for the whole
            sequence (Gal and Ghahramani, 2016).
        **kwargs: as `torch.nn.GRU`.

    The last three run step by step as operations of PyTorch's own: correct, and not faster than PyTorch.

    Raises:
        InputError: an option outside its range.

    >>> layer = GRU(12, 64, batch_first=True)
    >>> layer.load_state_dict(nn.GRU(12, 64, batch_first=True).state_dict())
    <All keys matched successfully>
    >>> outputs, h = layer(torch.zeros(2, 7, 12), lengths=[7, 3])
    >>> tuple(outputs.shape), tuple(h.shape), bool(outputs[1, 3:].any())
    ((2, 7, 64), (1, 2, 64), False)
    """

    # On the class, so that a torch.nn.GRU whose class is exchanged for this one has them too.
    activations = Activations()
    layer_norm = False
    zoneout = 0.0
    recurrent_dropout = 0.0

    def __init__(
        self,
        *args: Any,
        activations: Activations | None = None,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)
        self.activations, self.layer_norm = activations or Activations(), layer_norm
        self.zoneout, self.recurrent_dropout = zoneout, recurrent_dropout
        check_share("zoneout", zoneout)
        check_share("recurrent_dropout", recurrent_dropout)
        check_activations(self.activations, _PLACES)
        for suffix in suffixes(self):
            add_parameters(self, suffix, _NORMS if layer_norm else 0)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as `torch.nn.GRU` does; a normalisation starts as none."""
        super().reset_parameters()
        reset_norms(self)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 (PyTorch's name)
        hx: Tensor | None = None,
        lengths: Lengths | None = None,
    ) -> Any:
        """Run over `input [T, N, C]`, `[N, T, C]` with `batch_first`, `[T, C]`, or a PackedSequence.

        Args:
            input: the sequences.
            hx: the starting `h [L*D, N, H]`; zero where there is none.
            lengths: `[N]`, the number of steps of each case; past it the outputs are zero, and nothing is read.

        Returns:
            The outputs and the final h, as `torch.nn.GRU` does.

        Raises:
            RuntimeError, ValueError: as `torch.nn.GRU`.
            InputError: lengths that do not fit, or that are given beside a PackedSequence.
        """
        if not kernels_take(input) and has_defaults(self, GRU, _OPTIONS) and lengths is None:
            return _TORCH_FORWARD(self, input, hx)
        return run_stack(self, self._beside, self._behind, input, hx, lengths)

    def _beside(self, parts: Sequence[Part]) -> tuple[Tensor, list[Tensor], None]:
        """Run one layer in each of its directions over the same `x [T, N, C]`."""
        if self._runs_by_step:
            outputs, states = zip(*map(self._by_step, parts), strict=True)
            return joined(outputs), list(states), None
        return *run_layers([self._layer(part) for part in parts]), None

    def _behind(self, parts: Sequence[Part]) -> tuple[Tensor, list[Tensor], None] | None:
        """Run all layers, each on the outputs of the one before, where that gains something."""
        if self._runs_by_step or not gain_behind(parts[0].x, len(parts), list(self.parameters())):
            return None
        found = OPERATOR.behind([(*self._layer(part), False) for part in parts])
        return found[-1][0], [h for _, h, _ in found], None

    @property
    def _runs_by_step(self) -> bool:
        return self.layer_norm or bool(self.zoneout) or bool(self.recurrent_dropout and self.training)

    def _weights(self, suffix: str) -> Weights:
        return Weights(
            kernel=getattr(self, f"weight_ih{suffix}"),
            recurrent_kernel=getattr(self, f"weight_hh{suffix}"),
            bias=getattr(self, f"bias_ih{suffix}") if self.bias else None,
            recurrent_bias=getattr(self, f"bias_hh{suffix}") if self.bias else None,
        )

    def _layer(self, part: Part) -> GRULayer:
        options = ("torch.nn.GRU", *_functions(self), part.reverse, True, 0)
        layer: tuple[Any, ...] = (part.x, *self._weights(part.suffix)[:4], part.lengths, part.state, *options)
        return GRULayer(*layer)

    def _by_step(self, part: Part) -> tuple[Tensor, Tensor]:
        x = part.x
        h = x.new_zeros(x.shape[1], self.hidden_size) if part.state is None else part.state
        matrices, functions = normal("torch.nn.GRU", self._weights(part.suffix)), _functions(self)
        norm = _norm(self, part.suffix)
        fed_back = torch.ones_like(h)
        if self.training:
            fed_back = functional.dropout(fed_back, self.recurrent_dropout)

        def project(x: Tensor) -> Tensor:
            z = x @ matrices.w_x
            return z if matrices.b_x is None else z + matrices.b_x

        def step(of_x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
            of_h = (before * fed_back) @ matrices.w_h
            of_h = of_h if matrices.b_h is None else of_h + matrices.b_h
            h = gru_gates(of_x, of_h, before, functions, norm)
            h = zoned(h, before, self.zoneout, self.training)
            return h, h

        by_case = x.transpose(0, 1)
        outputs, h = over_steps(step, by_case, lengths_tensor(part.lengths, by_case), h, part.reverse, project)
        return outputs.transpose(0, 1), h

    def extra_repr(self) -> str:
        """Say the sizes as PyTorch does, then the options that are not its own."""
        return super().extra_repr() + described_options(self, _OPTIONS)


class GRUCell(nn.GRUCell):
    """`torch.nn.GRUCell` with the options of the cell: the same parameters, arguments and results.

    One step is not worth packing the weights for a kernel: this is PyTorch's own step, and with options that it has
    not, a few operations more.

    Args:
        *args: as `torch.nn.GRUCell`.
        activations: as in `GRU`.
        layer_norm: as in `GRU`, with `weight_ln` and `bias_ln`, both `[4, H]`.
        zoneout: as in `GRU`.
        **kwargs: as `torch.nn.GRUCell`.

    Raises:
        InputError: an option outside its range.

    >>> h = GRUCell(12, 64, layer_norm=True)(torch.zeros(4, 12))
    >>> tuple(h.shape)
    (4, 64)
    """

    activations = Activations()
    layer_norm = False
    zoneout = 0.0

    def __init__(
        self,
        *args: Any,
        activations: Activations | None = None,
        layer_norm: bool = False,
        zoneout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.activations, self.layer_norm, self.zoneout = activations or Activations(), layer_norm, zoneout
        check_share("zoneout", zoneout)
        check_activations(self.activations, _PLACES)
        add_parameters(self, "", _NORMS if layer_norm else 0)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as `torch.nn.GRUCell` does; a normalisation starts as none."""
        super().reset_parameters()
        reset_norms(self)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:  # noqa: A002 (PyTorch's name)
        """Take `input [N, C]` or `[C]` and h to the next h, as `torch.nn.GRUCell` does."""
        if has_defaults(self, GRUCell, _CELL_OPTIONS) or input.dim() not in (1, 2):
            return super().forward(input, hx)
        batched = input.dim() == 2
        x = input if batched else input[None]
        before = x.new_zeros(len(x), self.hidden_size) if hx is None else hx if batched else hx[None]
        matrices = normal("torch.nn.GRU", Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh))
        of_x, of_h = x @ matrices.w_x, before @ matrices.w_h
        if matrices.b_x is not None and matrices.b_h is not None:
            of_x, of_h = of_x + matrices.b_x, of_h + matrices.b_h
        h = gru_gates(of_x, of_h, before, _functions(self), _norm(self, ""))
        h = zoned(h, before, self.zoneout, self.training)
        return h if batched else h[0]

    def extra_repr(self) -> str:
        """Say the sizes as PyTorch does, then the options that are not its own."""
        return super().extra_repr() + described_options(self, _CELL_OPTIONS)


_OPTIONS = ("activations", "layer_norm", "zoneout", "recurrent_dropout")
_CELL_OPTIONS = ("activations", "layer_norm", "zoneout")


def _functions(module: GRU | GRUCell) -> GRUFunctions:
    return GRUFunctions(True, module.activations.gate, module.activations.cell)


def _norm(module: GRU | GRUCell, suffix: str) -> Normalised | None:
    if not module.layer_norm:
        return None
    return Normalised(getattr(module, f"weight_ln{suffix}"), getattr(module, f"bias_ln{suffix}"))
