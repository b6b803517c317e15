"""The kernel as a figure for a paper or a slide; and a new cell, where there is a shape and no file."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np

from quadgate.cell import LSTMParameters
from quadgate.errors import InputError
from quadgate.explain.kernel_shape import KernelShape
from quadgate.explain.pages import drawing, figure_font, png
from quadgate.explain.pages.figures import DIVERGING
from quadgate.explain.texts import texts
from quadgate.explain.texts.pages import words
from quadgate.model import Model, Network

_LARGEST = 20_000_000  # numbers of a cell that is drawn from a shape alone


def new_model(kernel: KernelShape, language: str = "en") -> Model:
    """Return one new BasicLSTMCell of these sizes: weights as TensorFlow 1 draws them (Glorot uniform), biases zero.

    Raises:
        InputError: the cell is too large to draw, or has a projection.
    """
    if kernel.numbers > _LARGEST or kernel.projected is not None:
        raise InputError(f"kernel ({kernel.rows}, {kernel.columns}): expected at most {_LARGEST:,} numbers to draw")
    network = Network(kernel.inputs, kernel.units, None)
    limit = sqrt(6 / (kernel.rows + kernel.columns))
    weights = np.random.default_rng(0).uniform(-limit, limit, (kernel.rows, kernel.columns))
    name = network.cells[0][0].name
    variables = {f"{name}/kernel": weights.astype(np.float32), f"{name}/bias": np.zeros(kernel.columns, np.float32)}
    return Model(network, variables, source=words(language)["new_cell"].format(C=kernel.inputs, H=kernel.units))


def kernel_picture(model: Model, path: Path, language: str = "en") -> None:
    """Write the first layer's kernel and bias as PNG: the weights of x above those of h, gates i, j, f, o.

    Raises:
        InputError: the first layer is a GRU, or the machine has no Chinese font for a picture in Chinese.
        MissingDependencyError: matplotlib is not installed.
    """
    cell, p = model.cells[0][0], model.layers[0][0]
    if not isinstance(p, LSTMParameters):
        raise InputError(f"{cell.name}: found a GRU, expected an LSTM, whose kernel the picture shows")
    said = texts(language)
    kernel = KernelShape(cell.inputs, cell.units, cell.width if cell.holds("projection") else None)
    limit = float(np.quantile(np.abs(p.kernel), 0.995)) or 1.0
    shares = [kernel.inputs / kernel.rows, kernel.state_width / kernel.rows]
    heights = [max(0.12, share) for share in shares]
    options = {"height_ratios": [*(4 * height for height in heights), 0.22], "hspace": 0.02, "wspace": 0.02}
    with drawing(7.5, 4.6, 3, 4, font=figure_font(language), gridspec_kw=options) as (figure, axes):
        picture = None
        for column, gate in enumerate("ijfo"):
            blocks = (p.w_x[column], p.w_h[column], p.bias.reshape(4, -1)[column][None])
            for row, (source, block) in enumerate(zip(("x", "h", "b"), blocks, strict=True)):
                one = axes[row, column]
                picture = one.imshow(
                    block, aspect="auto", cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="none"
                )
                one.set_xticks([])
                one.set_yticks([])
                for side in one.spines.values():
                    side.set_visible(True)
                label = f"$b_{gate}$" if source == "b" else f"$W_{{{source}{gate}}}$"
                one.text(0.5, 0.5, label, transform=one.transAxes, ha="center", va="center", bbox=_CHIP)
            ends = kernel.columns_of(gate)  # type: ignore[arg-type]
            axes[0, column].set_title(f"{gate}  {said.gates[gate]}\n{ends[0]}..{ends[-1]}", fontsize=9)
        labels = (said.x_rows, said.h_rows, said.bias)
        for row, label in enumerate(labels):
            text = label.format(**said.sizes(kernel))
            axes[row, 0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)
        figure.suptitle(said.arithmetic.format(**said.sizes(kernel)), fontsize=10)
        figure.colorbar(picture, ax=axes, shrink=0.7, aspect=30)
        png(figure, path)


_CHIP = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
