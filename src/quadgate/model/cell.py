"""One recurrent layer in one direction, as a file holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Unpack

from quadgate.cell import Activations, GRUParameters, LSTMParameters
from quadgate.errors import InputError
from quadgate.layouts import Layout, Settings, decode, find, settled
from quadgate.layouts.layout import ArrayName, Tensor
from quadgate.layouts.sizes import Sizes, solve
from quadgate.model.variables import Array, Variables


@dataclass(frozen=True)
class Cell:
    """Which variables of a model are the tensors of one layer, and what no tensor tells of it.

    Attributes:
        name: the layer's name in the file: `rnn/basic_lstm_cell`, `lstm.l0_reverse`, `bidirectional_1/forward_lstm_1`.
        layout: the row of `layouts.LAYOUTS` that its tensors follow.
        tensors: pairs of a name in that row, as of layer 0 (`weight_ih_l0_reverse`), and the variable that is it.
        inputs: C.
        units: H.
        width: P, the width of the output and of the fed-back state; H without a projection.
        forget_bias, activations, cell_clip, projection_clip, input_clip, reset_after, reverse: as in
            `layouts.Settings`.

    Raises:
        InputError: there is no such row, or it has no such tensor or cannot take one of the settings.

    >>> cell = Cell("lstm", "torch.nn.LSTM", (("weight_ih_l0", "w"), ("weight_hh_l0", "u")), 12, 64, 64)
    >>> cell.shapes
    {'w': (256, 12), 'u': (256, 64)}
    >>> cell.arithmetic
    '(12 inputs + 64 hidden) x (4 gates x 64 units) = 76 x 256 = 19,456'
    """

    name: str
    layout: str
    tensors: tuple[tuple[str, ...], ...]
    inputs: int
    units: int
    width: int
    forget_bias: float = 0.0
    activations: Activations = field(default_factory=Activations)
    cell_clip: float | None = None
    projection_clip: float | None = None
    input_clip: float | None = None
    reset_after: bool = False
    reverse: bool = False

    def __post_init__(self) -> None:
        for name, size in (("inputs", self.inputs), ("units", self.units), ("width", self.width)):
            if size < 1:
                raise InputError(f"cell {self.name}: found {name} {size}, expected at least 1")
        if any(len(pair) != 2 for pair in self.tensors):
            raise InputError(f"cell {self.name}: found {self.tensors}, expected pairs of a row's name and a variable")
        known = {name for _, names in self._named() for name in names}
        for name, _ in self.tensors:
            if name not in known:
                raise InputError(f"cell {self.name}: {self.layout} has no tensor {name}")
        settled(self.row, self.settings)

    @classmethod
    def of(
        cls, name: str, layout: str, tensors: Mapping[str, str], variables: Variables, **settings: Unpack[Settings]
    ) -> Cell:
        """Describe the layer whose tensors have these names: sizes from the shapes, settings as given or by default.

        Args:
            name: the layer's name.
            layout: the row.
            tensors: the row's name of each tensor (as of layer 0), and the variable that is it.
            variables: those of the model, of which only shapes are looked at.
            **settings: what is known beside them; without them, the framework's own defaults.

        Raises:
            InputError: the shapes do not fit the row, or a setting does not.
        """
        row = find(layout)
        fields = settled(row, settings)
        shapes: dict[Tensor, tuple[int, ...]] = {}
        for tensor in row.tensors:
            own = [tensors[one] for one in row.present(tensor, tensors, 0, fields["reverse"])]
            if own:
                whole = _whole([variables.shape(one) for one in own], tensor.shard_axis or 0)
                shapes[replace(tensor, name=own[0])] = whole  # under the name that errors shall give
        sizes = solve(row, shapes)
        return cls(name, row.name, tuple(tensors.items()), sizes.C, sizes.H, sizes.P, **fields)

    @property
    def row(self) -> Layout:
        """The row of the table that the tensors follow."""
        return find(self.layout)

    @property
    def kind(self) -> Literal["lstm", "gru"]:
        """Which equations it computes."""
        return self.row.cell

    @property
    def settings(self) -> Settings:
        """What no tensor tells, as `layouts.decode` takes it."""
        settings = Settings(
            activations=self.activations,
            cell_clip=self.cell_clip,
            projection_clip=self.projection_clip,
            input_clip=self.input_clip,
            reverse=self.reverse,
        )
        if self.kind == "gru":
            settings["reset_after"] = self.reset_after
        else:
            settings["forget_bias"] = self.forget_bias
        return settings

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each variable."""
        variables = {pair[0]: pair[1] for pair in self.tensors}
        sizes = Sizes(self.inputs, self.units, self.width)
        shapes = {}
        for tensor, names in self._named():
            whole = sizes.shape(self.row, tensor)
            for shard, name in enumerate(names):
                shapes[variables[name]] = _piece(whole, tensor.shard_axis or 0, shard, len(names))
        return shapes

    def holds(self, array: ArrayName) -> bool:
        """Tell whether there is a tensor for an array of the normal form: `peepholes`, `projection`, `b_x`, `b_h`."""
        return any(names and array in tensor.arrays for tensor, names in self._named())

    def parameters(self, variables: Mapping[str, Array]) -> LSTMParameters | GRUParameters:
        """Return the layer's numbers in the normal form."""
        tensors = {name: variables[variable] for name, variable in self.tensors}
        return decode(tensors, self.row, inputs=self.inputs, units=self.units, **self.settings)

    @property
    def arithmetic(self) -> str:
        """Where the number of its weights comes from, in one line."""
        C, H, P, G = self.inputs, self.units, self.width, len(self.row.normal_gates)
        fed_back = "projected" if self.holds("projection") else "hidden"
        inputs, units = (f"{count} {name}" + "s" * (count != 1) for count, name in ((C, "input"), (H, "unit")))
        product = f"({inputs} + {P} {fed_back}) x ({G} gates x {units})"
        return f"{product} = {C + P} x {G * H} = {(C + P) * G * H:,}"

    def _named(self) -> Iterator[tuple[Tensor, list[str]]]:
        """Yield the tensors of the row, and under which names they are there: several where it is cut into shards."""
        names = {name for name, _ in self.tensors}
        for tensor in self.row.tensors:
            yield tensor, self.row.present(tensor, names, 0, self.reverse)


def _whole(pieces: list[tuple[int, ...]], axis: int) -> tuple[int, ...]:
    """Return the shape of shards put together."""
    shape = list(pieces[0])
    if len(pieces) > 1:
        shape[axis] = sum(piece[axis] for piece in pieces)
    return tuple(shape)


def _piece(whole: tuple[int, ...], axis: int, shard: int, shards: int) -> tuple[int, ...]:
    """Return the shape of a shard; where the whole does not divide, the first ones have one more, as in TensorFlow."""
    shape: list[Any] = list(whole)
    if shards > 1:
        size, more = divmod(whole[axis], shards)
        shape[axis] = size + (shard < more)
    return tuple(shape)
