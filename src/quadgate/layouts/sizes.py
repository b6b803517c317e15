"""The sizes of a layer, told from the shapes of its tensors; and what shapes a layer of given sizes has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from quadgate.errors import InputError
from quadgate.layouts.layout import Layout, Part, Tensor

_FIXED = {"u": "H", "p": "P"}


@dataclass(frozen=True)
class Sizes:
    """C inputs, H units, and P values of the fed-back state, which are H where nothing is projected."""

    C: int
    H: int
    P: int

    def lengths(self, row: Layout, part: Part) -> dict[str, int]:
        """Return how many values each letter of a part's axes takes."""
        return {
            "g": len(row.gates_of(part)),
            "u": self.H,
            "p": self.P,
            "r": self.C if part.array == "w_x" else self.P,
        }

    def shape(self, row: Layout, tensor: Tensor) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        shapes = [
            [prod(lengths[letter] for letter in group) for group in part.groups]
            for part in tensor.parts
            for lengths in [self.lengths(row, part)]
        ]
        shape = list(shapes[0])
        shape[tensor.axis] = sum(part[tensor.axis] for part in shapes)
        return tuple(shape)


@dataclass(frozen=True)
class _Equation:
    """The length found on an axis, and the terms that it is the sum of: a factor, and the sizes it multiplies."""

    tensor: Tensor
    length: int
    terms: tuple[tuple[int, tuple[str, ...]], ...]

    def solve(self, known: Mapping[str, int]) -> tuple[str, int] | None:
        """Return the one size that is not known and its value, or None where there is none such, or no whole one."""
        rest, factor, unknown = self.length, 0, set[str]()
        for count, names in self.terms:
            value = count * prod(known[name] for name in names if name in known)
            missing = [name for name in names if name not in known]
            if len(missing) > 1:
                return None
            unknown.update(missing)
            if missing:
                factor += value
            else:
                rest -= value
        if len(unknown) != 1 or rest < 1 or rest % factor:
            return None
        return unknown.pop(), rest // factor


def solve(
    row: Layout,
    shapes: Mapping[Tensor, tuple[int, ...]],
    inputs: int | None = None,
    units: int | None = None,
) -> Sizes:
    """Tell the sizes of a layer.

    Args:
        row: its layout.
        shapes: the shapes of the tensors that are there.
        inputs: C, where it is known or the shapes do not tell it.
        units: H, likewise.

    Raises:
        InputError: the shapes do not fit the layout or each other, or leave a size open.

    >>> from quadgate.layouts import LAYOUTS
    >>> row = LAYOUTS["tf1.BasicLSTMCell"]
    >>> solve(row, dict(zip(row.tensors, [(76, 256), (256,)])))
    Sizes(C=12, H=64, P=64)
    """
    projected = any("projection" in tensor.arrays for tensor in shapes)
    equations = [equation for tensor, shape in shapes.items() for equation in _equations(row, tensor, shape, projected)]
    known = {name: size for name, size in (("C", inputs), ("H", units)) if size is not None}
    while found := [size for equation in equations if (size := equation.solve(known))]:
        known.update(found[:1])
    sizes = Sizes(known.get("C", 0), known.get("H", 0), known.get("P" if projected else "H", 0))
    if not all((sizes.C, sizes.H, sizes.P)):
        _refuse_unsolved(row, shapes, projected, known)
    for tensor, shape in shapes.items():
        if shape != sizes.shape(row, tensor):
            raise InputError(
                f"{row.name}: found {tensor.name} of shape {shape}, expected {sizes.shape(row, tensor)}: "
                f"{shape_text(row, tensor, projected)} for {_sizes_text(sizes, projected)}"
            )
    return sizes


def shape_text(row: Layout, tensor: Tensor, projected: bool = False) -> str:
    """Write the shape of a tensor with the names of the dimensions.

    >>> from quadgate.layouts import LAYOUTS
    >>> [shape_text(LAYOUTS["onnx.LSTM"], tensor) for tensor in LAYOUTS["onnx.LSTM"].tensors]
    ['[1, 4H, C]', '[1, 4H, H]', '[1, 8H]', '[1, 3H]']
    """
    axes = []
    for axis in range(tensor.rank):
        parts = tensor.parts if axis == tensor.axis else tensor.parts[:1]
        counts = Counter[tuple[str, ...]]()
        for count, names in (_term(row, part, part.groups[axis], projected) for part in parts):
            counts[names] += count
        axes.append("+".join(_product(count, names) for names, count in counts.items()))
    return f"[{', '.join(axes)}]"


def _equations(row: Layout, tensor: Tensor, shape: tuple[int, ...], projected: bool) -> list[_Equation]:
    if len(shape) != tensor.rank:
        raise InputError(
            f"{row.name}: found {tensor.name} of shape {shape}, expected {shape_text(row, tensor, projected)}"
        )
    along = tuple(_term(row, part, part.groups[tensor.axis], projected) for part in tensor.parts)
    across = [
        _Equation(tensor, shape[axis], (_term(row, part, group, projected),))
        for part in tensor.parts
        for axis, group in enumerate(part.groups)
        if axis != tensor.axis
    ]
    return [*across, _Equation(tensor, shape[tensor.axis], along)]


def _term(row: Layout, part: Part, group: str, projected: bool) -> tuple[int, tuple[str, ...]]:
    """Return what a part has on one axis: `4H` as `(4, ("H",))`."""
    count = len(row.gates_of(part)) if "g" in group else 1
    rows = "C" if part.array == "w_x" else "P" if projected and part.array == "w_h" else "H"
    names = [_FIXED.get(letter, rows) for letter in group if letter != "g"]
    return count, tuple(sorted(names, reverse=True))


def _product(count: int, names: tuple[str, ...]) -> str:
    return "".join(names) if count == 1 and names else f"{count}{''.join(names)}"


def _refuse_unsolved(
    row: Layout, shapes: Mapping[Tensor, tuple[int, ...]], projected: bool, known: Mapping[str, int]
) -> None:
    found = ", ".join(
        f"{tensor.name} {shape}, expected {shape_text(row, tensor, projected)}" for tensor, shape in shapes.items()
    )
    hint = "; give units=" if row.flat and "H" not in known else ""
    raise InputError(f"{row.name}: the shapes do not tell the sizes: found {found}{hint}")


def _sizes_text(sizes: Sizes, projected: bool) -> str:
    return f"C={sizes.C}, H={sizes.H}" + (f", P={sizes.P}" if projected else "")
