"""What a row of the table says: how one framework class keeps the numbers of a recurrent layer.

A row is data. Its tensors name, in the order of memory, what stands on each of their axes; everything else that a
person asks about a layout (orientation, interleaving, how many biases) follows from that, so it is stored once.

Letters of an axis: `g` gate, `u` unit, `r` row (an input channel for x, a value of the fed-back state for h), `p` value
of the projected output, `1` an axis of one. `(g u)` is one axis on which the gate is the slower index: a block of H
units for each gate. So TensorFlow 1's kernel is `r (g u)`, PyTorch's matrices are `(g u) r`, and Chainer's, which keep
the four gates of a unit together, are `(u g) r`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from quadgate.cell.parameters import Activations

ArrayName = Literal["w_x", "w_h", "b_x", "b_h", "peepholes", "projection"]
ClipName = Literal["cell_clip", "projection_clip", "input_clip"]
Evidence = Literal["V", "R", "D", "U"]

NORMAL_GATES = {"lstm": "ijfo", "gru": "zrn"}
PEEPHOLE_GATES = "ifo"
NORMAL_AXES: dict[ArrayName, str] = {
    "w_x": "gru",
    "w_h": "gru",
    "b_x": "gu",
    "b_h": "gu",
    "peepholes": "gu",
    "projection": "up",
}


@dataclass(frozen=True)
class Part:
    """A stretch of a tensor that comes from one array of the normal form.

    Attributes:
        array: the array of `LSTMParameters` or `GRUParameters`.
        axes: what stands on each axis, as the module says.
        gates: the gates that the part holds, in its order; empty for all of them in the layout's order.
        reread: the block of each gate is the memory of its transpose, under the shape of the block itself.
    """

    array: ArrayName
    axes: str
    gates: str = ""
    reread: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """The letters of each axis: `("r", "gu")` for `r (g u)`, an empty string for an axis of one."""
        return _groups(self.axes)

    @property
    def letters(self) -> str:
        """The letters of all axes, from the slowest index to the fastest."""
        return "".join(self.groups)


@cache
def _groups(axes: str) -> tuple[str, ...]:
    found = re.findall(r"\(([^)]*)\)|(\S)", axes)
    return tuple((several or one).replace(" ", "").replace("1", "") for several, one in found)


@dataclass(frozen=True)
class Tensor:
    """A tensor of the framework: its parts, one after the other along one axis.

    Attributes:
        name: its name in the layer; `{layer}`, `{direction}` and `{shard}` stand for what varies.
        parts: what it holds.
        axis: the axis along which the parts follow each other.
        shard_axis: the axis along which the framework cuts it into tensors of their own; None where it does not.
    """

    name: str
    parts: tuple[Part, ...]
    axis: int = 0
    shard_axis: int | None = None

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.parts[0].groups)

    @property
    def arrays(self) -> set[ArrayName]:
        """The arrays that it holds, or a part of them."""
        return {part.array for part in self.parts}


@dataclass(frozen=True)
class ForgetBias:
    """Where the number that opens the forget gate at first is kept.

    Attributes:
        run_time: what is added while running and stored in no tensor, unless another value is given; None where the
            framework has no default either.
        choices: the values that `run_time` can be given; None for any.
        stored: what the framework puts into the stored bias of a new layer.
        stored_in: the tensor that gets it.
    """

    run_time: float | None = 0.0
    choices: tuple[float, ...] | None = (0.0,)
    stored: float = 0.0
    stored_in: str = ""

    @property
    def text(self) -> str:
        """The convention in a few words."""
        if self.choices is None:
            return "run time" if self.run_time is None else f"run time {self.run_time:+g}"
        if len(self.choices) > 1:
            return "run time 0/1"
        if self.run_time:
            return f"always {self.run_time:+g}"
        return f"stored {self.stored:g}" if self.stored else "none"


@dataclass(frozen=True)
class ActivationRule:
    """The functions that a class can apply.

    Attributes:
        default: those of a layer that is told nothing.
        gates: the names that `gate` can be.
        cells: the names that `cell` and `output` can be.
        tied: whether `cell` and `output` are one setting.
        history: the defaults of other versions: the versions, and what they use.
    """

    default: Activations = field(default_factory=Activations)
    gates: tuple[str, ...] = ("sigmoid",)
    cells: tuple[str, ...] = ("tanh",)
    tied: bool = True
    history: tuple[tuple[str, Activations], ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.gates) == len(self.cells) == 1


@dataclass(frozen=True)
class Clip:
    """A limit that a class can apply, and its value in a layer that is told nothing."""

    name: ClipName
    default: float | None = None


@dataclass(frozen=True)
class Layout:
    """How one framework class keeps a layer.

    Attributes:
        name: the framework and its class, such as `torch.nn.LSTM`.
        gates: their order, in the project's letters: i, j (candidate; elsewhere g, c or z), f, o; for a GRU z, r, n.
        tensors: in the framework's own order.
        evidence: V read in the named source, R checked by running it on a real file, D documentation only,
            U unverified.
        source: where that can be read: the repository, the version or commit, the path.
        cell: "lstm" or "gru".
        state: the order in which the framework hands out the state; empty where it hands out none.
        scope: what usually stands before the tensors' names in a file.
        optional: the arrays that a layer may be without.
        forget: where the forget bias is.
        activations: the functions that the class can apply.
        clips: the limits that it can apply.
        directions: what `{direction}` stands for in a layer that reads forwards, and in one that reads backwards.
        reading: what a backward layer does with its outputs.
        reset_after: of a GRU; None where a setting says it.
        notes: what else to know, the traps first.
        unverified: facts of which nobody has seen the evidence.
        refusal: why the normal form cannot hold this class; empty where it can.
    """

    name: str
    gates: str
    tensors: tuple[Tensor, ...]
    evidence: Evidence
    source: str
    cell: Literal["lstm", "gru"] = "lstm"
    state: tuple[str, ...] = ()
    scope: str = ""
    optional: frozenset[ArrayName] = frozenset()
    forget: ForgetBias = field(default_factory=ForgetBias)
    activations: ActivationRule = field(default_factory=ActivationRule)
    clips: tuple[Clip, ...] = ()
    directions: tuple[str, str] = ("", "")
    reading: str = ""
    reset_after: bool | None = None
    notes: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def normal_gates(self) -> str:
        """The order of the normal form, which the gates are brought to."""
        return NORMAL_GATES[self.cell]

    def normal_order(self, array: ArrayName) -> str:
        """Return the gates on the first axis of an array of the normal form; none for the projection."""
        if array == "projection":
            return ""
        return PEEPHOLE_GATES if array == "peepholes" else self.normal_gates

    def gates_of(self, part: Part) -> str:
        """Return the gates of a part, in its order; none for the projection."""
        if part.array == "projection":
            return ""
        return part.gates or self.gates

    def holding(self, array: ArrayName) -> tuple[Tensor, ...]:
        """Return the tensors that hold an array, or parts of it."""
        return tuple(tensor for tensor in self.tensors if array in tensor.arrays)

    def gates_held(self, array: ArrayName) -> str:
        """Return the gates of an array for which there is a place, in normal order."""
        held = "".join(self.gates_of(part) for tensor in self.tensors for part in tensor.parts if part.array == array)
        return "".join(gate for gate in self.normal_order(array) if gate in held)

    def names(self, layer: int = 0, reverse: bool = False, shards: dict[str, int] | None = None) -> list[str]:
        """Return the names of a layer's tensors, those of optional arrays too.

        >>> from quadgate.layouts import LAYOUTS
        >>> LAYOUTS["torch.nn.LSTM"].names(layer=1, reverse=True)[:2]
        ['weight_ih_l1_reverse', 'weight_hh_l1_reverse']
        """
        return [
            self.name_of(tensor, layer, reverse, shard)
            for tensor in self.tensors
            for shard in range((shards or {}).get(tensor.name, 1))
        ]

    def name_of(self, tensor: Tensor, layer: int = 0, reverse: bool = False, shard: int = 0) -> str:
        """Return the name of a tensor in a layer."""
        return tensor.name.format(layer=layer, direction=self.directions[reverse], shard=shard)

    def present(self, tensor: Tensor, names: Container[str], layer: int = 0, reverse: bool = False) -> list[str]:
        """Return under which of `names` a tensor is there: one, or one for each shard from 0 on, or none."""
        found: list[str] = []
        name = self.name_of(tensor, layer, reverse)
        while name in names and name not in found:
            found.append(name)
            name = self.name_of(tensor, layer, reverse, len(found))
        return found

    @property
    def orientation(self) -> str:
        """`in x out` where the rows of the input's matrix are channels, `out x in` where they are units."""
        letters = self._letters("w_x")
        if not letters:
            return "-"
        return "in x out" if letters.index("r") < letters.index("u") else "out x in"

    @property
    def joined(self) -> bool:
        """Whether one tensor holds the weights of x and of h."""
        return any({"w_x", "w_h"} <= tensor.arrays for tensor in self.tensors)

    @property
    def per_gate(self) -> bool:
        """Whether each gate has tensors of its own."""
        return "g" not in self._letters("w_x")

    @property
    def interleaved(self) -> bool:
        """Whether the gates of one unit stand together."""
        letters = self._letters("w_x")
        return "g" in letters and letters.index("u") < letters.index("g")

    @property
    def flat(self) -> bool:
        """Whether everything is in one vector."""
        return len(self.tensors) == 1 and self.tensors[0].rank == 1

    @property
    def biases(self) -> tuple[ArrayName, ...]:
        """The biases for which there is a place, those of x first."""
        both: tuple[ArrayName, ArrayName] = ("b_x", "b_h")
        return tuple(array for array in both if self.holding(array))

    def _letters(self, array: ArrayName) -> str:
        parts = (part for tensor in self.tensors for part in tensor.parts if part.array == array)
        return next((part.letters for part in parts), "")
