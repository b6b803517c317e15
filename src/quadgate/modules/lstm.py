"""`LSTM` and `LSTMCell`: PyTorch's own classes, run by quadgate, with the options that PyTorch's lack.

They inherit from what `torch.nn.LSTM` and `torch.nn.LSTMCell` inherit from: the constructor, the parameters with their
names, shapes and initial values, the state dict and the checks of the input, so only what is computed is new. `LSTM` is
no `torch.nn.LSTM` itself, because `torch.compile` refuses to look into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from quadgate.cell import Activations
from quadgate.errors import InputError
from quadgate.modules.gpu import gains
from quadgate.modules.operator import OPERATOR, LSTMLayer, run_layers
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
from quadgate.modules.sequence import (
    Cell,
    Lengths,
    Normalised,
    State,
    gates,
    lengths_tensor,
    limited,
    over_steps,
)
from quadgate.modules.stack import Part, kernels_take, run_stack
from quadgate.modules.together import gain_behind, joined

_TORCH_FORWARD: Any = nn.LSTM.forward
# The compiler would write cuDNN's layers out step by step.
_CUDNN_FORWARD: Any = torch.compiler.disable(nn.LSTM.forward)
_PLACES = ("gate", "cell", "output")
_NORMS = 5  # of i, j, f, o and c


class LSTM(nn.RNNBase):
    """`torch.nn.LSTM` on quadgate's kernels: the same parameters, arguments and results, and more options.

    The arguments up to `dtype` are those of `torch.nn.LSTM`. Those that follow change the cell as it stands in
    `quadgate.lstm`; with their defaults the layer computes what PyTorch's does.

    Args:
        *args: as `torch.nn.LSTM`.
        forget_bias: added to f while running.
        activations: the functions of the cell.
        peepholes: whether the gates see the cell state, by weights `weight_ch_l{k} [3, H]` for i, f and o.
        cell_clip: limit of the cell state.
        projection_clip: limit of the projected h.
        layer_norm: whether each pre-activation and the shown cell state are normalised over the units, with
            `weight_ln_l{k}` and `bias_ln_l{k}`, both `[5, H]` for i, j, f, o, c (Ba, Kiros and Hinton, 2016).
        zoneout: the shares of the cell state and of h that keep their value from the step before, in training at
            random, in evaluation on average (Krueger and others, 2016); one number for both, or two.
        recurrent_dropout: the share of h that is dropped where it is fed back, by one mask for the whole sequence (Gal
            and Ghahramani, 2016).
        **kwargs: as `torch.nn.LSTM`.

    The last three, and `cells`, run step by step as operations of PyTorch's own: correct, and not faster than PyTorch.

    Raises:
        InputError: an option outside its range.

    >>> layer = LSTM(12, 64, batch_first=True, bidirectional=True)
    >>> layer.load_state_dict(nn.LSTM(12, 64, batch_first=True, bidirectional=True).state_dict())
    <All keys matched successfully>
    >>> outputs, (h, c) = layer(torch.zeros(2, 7, 12), lengths=[7, 3])
    >>> tuple(outputs.shape), tuple(h.shape), bool(outputs[1, 3:].any())
    ((2, 7, 128), (2, 2, 64), False)
    """

    # On the class, so that a torch.nn.LSTM whose class is exchanged for this one has them too.
    forget_bias = 0.0
    activations = Activations()
    peepholes = False
    cell_clip: float | None = None
    projection_clip: float | None = None
    layer_norm = False
    zoneout: tuple[float, float] = (0.0, 0.0)
    recurrent_dropout = 0.0

    check_forward_args = nn.LSTM.check_forward_args  # type: ignore[assignment]
    get_expected_cell_size = nn.LSTM.get_expected_cell_size
    permute_hidden = nn.LSTM.permute_hidden  # type: ignore[assignment]

    def __init__(
        self,
        *args: Any,
        forget_bias: float = 0.0,
        activations: Activations | None = None,
        peepholes: bool = False,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
        layer_norm: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__("LSTM", *args, **kwargs)
        self.forget_bias, self.activations = forget_bias, activations or Activations()
        self.peepholes, self.layer_norm = peepholes, layer_norm
        self.cell_clip, self.projection_clip = cell_clip, projection_clip
        self.zoneout, self.recurrent_dropout = _shares(zoneout), recurrent_dropout
        check_share("recurrent_dropout", recurrent_dropout)
        check_activations(self.activations, _PLACES)
        for suffix in suffixes(self):
            add_parameters(self, suffix, _NORMS if layer_norm else 0, peepholes)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as `torch.nn.LSTM` does; a normalisation starts as none."""
        super().reset_parameters()
        reset_norms(self)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 (PyTorch's name)
        hx: State | None = None,
        lengths: Lengths | None = None,
        cells: bool = False,
    ) -> Any:
        """Run over `input [T, N, C]`, `[N, T, C]` with `batch_first`, `[T, C]`, or a PackedSequence.

        Args:
            input: the sequences.
            hx: the starting `(h [L*D, N, P], c [L*D, N, H])`; zero where there is none.
            lengths: `[N]`, the number of steps of each case; past it the outputs are zero, and nothing is read.
            cells: whether the cell states of the top layer at every step, arranged as the outputs, are returned too.

        Returns:
            The outputs, and the final `(h, c)`, as `torch.nn.LSTM` does; with `cells`, then the cell states.

        Raises:
            RuntimeError, ValueError: as `torch.nn.LSTM`.
            InputError: lengths that do not fit, or that are given beside a PackedSequence.
        """
        taken = kernels_take(input) or gains(self, input)
        if not taken and has_defaults(self, LSTM, _OPTIONS) and lengths is None and not cells:
            x = input.data if isinstance(input, PackedSequence) else input
            return (_CUDNN_FORWARD if x.device.type == "cuda" else _TORCH_FORWARD)(self, input, hx)
        return run_stack(self, self._beside, self._behind, input, hx, lengths, cells)

    def _beside(self, parts: Sequence[Part]) -> tuple[Tensor, list[State], Tensor | None]:
        """Run one layer in each of its directions over the same `x [T, N, C]`."""
        if self._runs_by_step or parts[0].cells:
            outputs, states, cells = zip(*map(self._by_step, parts), strict=True)
            return joined(outputs), list(states), joined(cells)
        both, finals = run_layers([self._layer(part) for part in parts])
        return both, [(h, c) for c, h in finals], None

    def _behind(self, parts: Sequence[Part]) -> tuple[Tensor, list[State], None] | None:
        """Run all layers, each on the outputs of the one before, where that gains something."""
        if self._runs_by_step or parts[-1].cells or not gain_behind(parts[0].x, len(parts), list(self.parameters())):
            return None
        found = OPERATOR.behind([(*self._layer(part), False) for part in parts])
        return found[-1][0], [(h, c) for _, c, h, _ in found], None

    @property
    def _runs_by_step(self) -> bool:
        return self.layer_norm or any(self.zoneout) or bool(self.recurrent_dropout and self.training)

    def _weights(self, suffix: str) -> Weights:
        return Weights(
            kernel=getattr(self, f"weight_ih{suffix}"),
            recurrent_kernel=getattr(self, f"weight_hh{suffix}"),
            bias=getattr(self, f"bias_ih{suffix}") if self.bias else None,
            recurrent_bias=getattr(self, f"bias_hh{suffix}") if self.bias else None,
            peepholes=getattr(self, f"weight_ch{suffix}") if self.peepholes else None,
            projection=getattr(self, f"weight_hr{suffix}") if self.proj_size else None,
        )

    def _layer(self, part: Part) -> LSTMLayer:
        h, c = part.state or (None, None)
        options = ("torch.nn.LSTM", *_cell_of(self), part.reverse, True, 0)
        layer: tuple[Any, ...] = (part.x, *self._weights(part.suffix), part.lengths, c, h, *options)
        return LSTMLayer(*layer)

    def _by_step(self, part: Part) -> tuple[Tensor, State, Tensor]:
        x, N = part.x, part.x.shape[1]
        h, c = part.state or (x.new_zeros(N, self.proj_size or self.hidden_size), x.new_zeros(N, self.hidden_size))
        cell, matrices = _cell_of(self), normal("torch.nn.LSTM", self._weights(part.suffix))
        norm = None
        if self.layer_norm:
            norm = Normalised(getattr(self, f"weight_ln{part.suffix}"), getattr(self, f"bias_ln{part.suffix}"))
        fed_back = torch.ones_like(h)
        if self.training:
            fed_back = functional.dropout(fed_back, self.recurrent_dropout)

        def project(x: Tensor) -> Tensor:
            z = x @ matrices.w_x
            for bias in (matrices.b_x, matrices.b_h):
                z = z if bias is None else z + bias
            return z

        def step(z_x: Tensor, state: State) -> tuple[Tensor, State]:
            c_before, h_before = state
            z = z_x + (h_before * fed_back) @ matrices.w_h
            h, c = gates(z, c_before, cell, matrices.peepholes, norm)
            if matrices.projection is not None:
                h = limited(h @ matrices.projection, cell.projection_clip)
            c, h = (
                zoned(new, old, share, self.training)
                for new, old, share in zip((c, h), (c_before, h_before), self.zoneout, strict=True)
            )
            return torch.cat([h, c], 1), (c, h)

        by_case = x.transpose(0, 1)
        lengths = lengths_tensor(part.lengths, by_case)
        both, (c, h) = over_steps(step, by_case, lengths, (c, h), part.reverse, project)
        outputs, cells = both.transpose(0, 1).split([h.shape[1], c.shape[1]], dim=2)
        return outputs, (h, c), cells

    def extra_repr(self) -> str:
        """Say the sizes as PyTorch does, then the options that are not its own."""
        return super().extra_repr() + described_options(self, _OPTIONS)


class LSTMCell(nn.LSTMCell):
    """`torch.nn.LSTMCell` with the options of the cell: the same parameters, arguments and results.

    One step is not worth packing the weights for a kernel: this is PyTorch's own step, and with options that it has
    not, a few operations more. `LSTM` runs sequences, `quadgate.load(...).stream()` frozen models step by step.

    Args:
        *args: as `torch.nn.LSTMCell`.
        forget_bias: added to f.
        activations: the functions of the cell.
        peepholes: as in `LSTM`, by `weight_ch [3, H]`.
        cell_clip: limit of the cell state.
        layer_norm: as in `LSTM`, with `weight_ln` and `bias_ln`, both `[5, H]`.
        zoneout: as in `LSTM`.
        **kwargs: as `torch.nn.LSTMCell`.

    Raises:
        InputError: an option outside its range.

    >>> h, c = LSTMCell(12, 64, forget_bias=1.0)(torch.zeros(4, 12))
    >>> tuple(h.shape), tuple(c.shape)
    ((4, 64), (4, 64))
    """

    forget_bias = 0.0
    activations = Activations()
    peepholes = False
    cell_clip: float | None = None
    layer_norm = False
    zoneout: tuple[float, float] = (0.0, 0.0)
    weight_ch: Tensor
    weight_ln: Tensor
    bias_ln: Tensor

    def __init__(
        self,
        *args: Any,
        forget_bias: float = 0.0,
        activations: Activations | None = None,
        peepholes: bool = False,
        cell_clip: float | None = None,
        layer_norm: bool = False,
        zoneout: float | tuple[float, float] = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.forget_bias, self.activations, self.cell_clip = forget_bias, activations or Activations(), cell_clip
        self.peepholes, self.layer_norm, self.zoneout = peepholes, layer_norm, _shares(zoneout)
        check_activations(self.activations, _PLACES)
        add_parameters(self, "", _NORMS if layer_norm else 0, peepholes)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as `torch.nn.LSTMCell` does; a normalisation starts as none."""
        super().reset_parameters()
        reset_norms(self)

    def forward(self, input: Tensor, hx: State | None = None) -> State:  # noqa: A002 (PyTorch's name)
        """Take `input [N, C]` or `[C]` and `(h, c)` to the next `(h, c)`, as `torch.nn.LSTMCell` does."""
        if has_defaults(self, LSTMCell, _CELL_OPTIONS) or input.dim() not in (1, 2):
            return super().forward(input, hx)
        batched = input.dim() == 2
        x = input if batched else input[None]
        h_before, c_before = hx or (x.new_zeros(len(x), self.hidden_size),) * 2
        if not batched and hx is not None:
            h_before, c_before = h_before[None], c_before[None]
        peepholes = self.weight_ch if self.peepholes else None
        matrices = normal(
            "torch.nn.LSTM",
            Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, peepholes=peepholes),
        )
        z = x @ matrices.w_x + h_before @ matrices.w_h
        if matrices.b_x is not None and matrices.b_h is not None:
            z = z + matrices.b_x + matrices.b_h
        norm = Normalised(self.weight_ln, self.bias_ln) if self.layer_norm else None
        cell = Cell(self.forget_bias, *_names(self.activations), cell_clip=self.cell_clip)
        h, c = gates(z, c_before, cell, matrices.peepholes, norm)
        c, h = (
            zoned(new, old, share, self.training)
            for new, old, share in zip((c, h), (c_before, h_before), self.zoneout, strict=True)
        )
        return (h, c) if batched else (h[0], c[0])

    def extra_repr(self) -> str:
        """Say the sizes as PyTorch does, then the options that are not its own."""
        return super().extra_repr() + described_options(self, _CELL_OPTIONS)


_OPTIONS = (
    "forget_bias",
    "activations",
    "peepholes",
    "cell_clip",
    "projection_clip",
    "layer_norm",
    "zoneout",
    "recurrent_dropout",
)


_CELL_OPTIONS = ("forget_bias", "activations", "peepholes", "cell_clip", "layer_norm", "zoneout")


def _shares(zoneout: float | tuple[float, float]) -> tuple[float, float]:
    """Return the shares of c and of h."""
    if isinstance(zoneout, int | float):
        zoneout = (zoneout, zoneout)
    if len(zoneout) != 2:
        raise InputError(f"zoneout: found {len(zoneout)} shares, expected one, or two, of c and of h")
    for share in zoneout:
        check_share("zoneout", share)
    return zoneout[0], zoneout[1]


def _names(activations: Activations) -> tuple[str, str, str]:
    return activations.gate, activations.cell, activations.output


def _cell_of(layer: LSTM) -> Cell:
    return Cell(float(layer.forget_bias), *_names(layer.activations), None, layer.cell_clip, layer.projection_clip)
