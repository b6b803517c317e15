"""The architecture of a network: what quadgate builds and trains, and what follows its recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass

from quadgate.cell import Activations
from quadgate.cell.activations import activation
from quadgate.errors import InputError, suggest
from quadgate.model.cell import Cell

POOLS = ("last", "mean", "max", "attention")
MOST_LAYERS = 1000  # a file may not ask for more, as each is described before its variables are looked for


@dataclass(frozen=True)
class Head:
    """What follows the recurrent layers: pooling over the steps, then `features @ weights + biases`.

    Attributes:
        weights: name of `[F, K]`, F the width of the top layer's outputs, both directions side by side.
        biases: name of `[K]`, or None.
        pool: `last` (the final state h), `mean`, `max` or `attention` over the steps of a case.
        query: name of `[F]`, the query of attention pooling; None for the others.
        features: F.
        classes: K.
        transposed: whether the weights are `[K, F]`, as PyTorch keeps them.
    """

    weights: str
    biases: str | None
    features: int
    classes: int
    pool: str = "last"
    query: str | None = None
    transposed: bool = False

    def __post_init__(self) -> None:
        if self.pool not in POOLS:
            raise InputError(f"pool: {self.pool!r} is not known, {suggest(self.pool, POOLS)}")
        if (self.query is not None) != (self.pool == "attention"):
            raise InputError(f"head: found query {self.query!r} with pool {self.pool!r}; attention alone has a query")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each variable."""
        F, K = self.features, self.classes
        shapes: dict[str, tuple[int, ...]] = {} if self.query is None else {self.query: (F,)}
        shapes[self.weights] = (K, F) if self.transposed else (F, K)
        return shapes if self.biases is None else {**shapes, self.biases: (K,)}


@dataclass(frozen=True)
class Network:
    """The classifier that quadgate builds and trains: equal layers of BasicLSTMCell, pooling, one dense layer.

    Attributes:
        inputs: C, channels of the series.
        units: H of every layer and direction.
        classes: K; None for a network of recurrent layers alone.
        layers: L.
        bidirectional: whether every layer reads the series in both directions.
        pool: `last`, `mean`, `max` or `attention`.
        forget_bias: added to the forget gate while running.
        activation: of the candidate and of the cell state's output.

    Raises:
        InputError: a size is below 1 or the pooling is not known.

    >>> Network(inputs=12, units=64, classes=2).shapes["rnn/basic_lstm_cell/kernel"]
    (76, 256)
    """

    inputs: int
    units: int
    classes: int | None
    layers: int = 1
    bidirectional: bool = False
    pool: str = "last"
    forget_bias: float = 1.0
    activation: str = "tanh"

    def __post_init__(self) -> None:
        for name, size in (("inputs", self.inputs), ("units", self.units)):
            if size < 1:
                raise InputError(f"{name}: found {size}, expected at least 1")
        if not 1 <= self.layers <= MOST_LAYERS:
            raise InputError(f"layers: found {self.layers}, expected 1 to {MOST_LAYERS}")
        if self.classes is not None and self.classes < 1:
            raise InputError(f"classes: found {self.classes}, expected at least 1, or None for no classifier")
        if self.pool not in POOLS:
            raise InputError(f"pool: {self.pool!r} is not known, {suggest(self.pool, POOLS)}")
        activation(self.activation)

    @property
    def features(self) -> int:
        """F, the width of the top layer's outputs."""
        return self.units * (2 if self.bidirectional else 1)

    @property
    def cells(self) -> tuple[tuple[Cell, ...], ...]:
        """The cells of each layer, forward before backward, under the names that TensorFlow 1 gives them."""
        directions = ("fw", "bw") if self.bidirectional else (None,)
        return tuple(tuple(self._cell(layer, direction) for direction in directions) for layer in range(self.layers))

    def _cell(self, layer: int, direction: str | None) -> Cell:
        if direction is None:
            scope = "rnn" if self.layers == 1 else f"rnn/multi_rnn_cell/cell_{layer}"
        else:
            scope = "" if self.layers == 1 else f"stack_bidirectional_rnn/cell_{layer}/"
            scope = f"{scope}bidirectional_rnn/{direction}"
        name = f"{scope}/basic_lstm_cell"
        return Cell(
            name=name,
            layout="tf1.BasicLSTMCell",
            tensors=(("kernel", f"{name}/kernel"), ("bias", f"{name}/bias")),
            inputs=self.inputs if layer == 0 else self.features,
            units=self.units,
            width=self.units,
            forget_bias=self.forget_bias,
            activations=Activations(cell=self.activation, output=self.activation),
            reverse=direction == "bw",
        )

    @property
    def head(self) -> Head | None:
        """The classifier's head, or None without classes."""
        if self.classes is None:
            return None
        query = "pool/query" if self.pool == "attention" else None
        return Head("out/weights", "out/biases", self.features, self.classes, self.pool, query)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every variable, in order."""
        shapes: dict[str, tuple[int, ...]] = {}
        for cell in (cell for layer in self.cells for cell in layer):
            shapes |= cell.shapes
        return shapes | ({} if self.head is None else self.head.shapes)

    @classmethod
    def describing(cls, cells: tuple[tuple[Cell, ...], ...], head: Head | None) -> Network | None:
        """Return the Network that computes the same as these cells and head, or None where there is none.

        Their names and the arrangement of their numbers do not count. There is none for a GRU, peepholes, projections,
        clips, and layers that differ from each other.
        """
        first = cells[0][0]
        network = cls(
            inputs=first.inputs,
            units=first.units,
            classes=None if head is None else head.classes,
            layers=len(cells),
            bidirectional=len(cells[0]) == 2,
            pool="last" if head is None else head.pool,
            forget_bias=first.forget_bias,
            activation=first.activations.cell,
        )
        same = [[_computation(cell) for cell in layer] for layer in cells]
        wanted = [[_computation(cell) for cell in layer] for layer in network.cells]
        return network if same == wanted else None


def _computation(cell: Cell) -> tuple[object, ...]:
    """Return all that decides what a cell computes from its numbers."""
    return cell.kind, cell.inputs, cell.units, cell.width, cell.holds("peepholes"), cell.settings
