"""The explanation of a kernel as one page of text."""

from __future__ import annotations

from math import exp

from quadgate.explain.drawing import draw
from quadgate.explain.kernel_shape import KernelShape, Reading
from quadgate.explain.terminal import flow
from quadgate.explain.texts import texts


def explain_kernel(kernel: KernelShape, language: str = "en") -> str:
    """Say what every row, column and block of a kernel is, within 80 cells.

    >>> print(explain_kernel(KernelShape(inputs=12, units=64)).splitlines()[2])
      (12 inputs + 64 hidden) x (4 gates x 64 units) = 76 x 256 = 19,456
    """
    said = texts(language)
    sizes = said.sizes(kernel)
    forget = kernel.columns_of("f")
    return flow(
        said.page.format(
            **sizes,
            arithmetic=said.arithmetic.format(**sizes),
            drawing=draw(kernel, language),
            total=kernel.numbers + kernel.columns,
            f_start=forget.start,
            f_end=forget.stop,
            kept=1 / (1 + exp(-1)),
        )
    )


def explain_reading(found: tuple[int, int], reading: Reading, language: str = "en") -> str:
    """Say what a shape that is not a stacked kernel looks like; nothing where it is one.

    >>> from quadgate.explain import readings
    >>> print(explain_reading((256, 76), readings(256, 76)[0]))
    (256, 76) looks transposed: its 256 rows are the gates, for W @ [x, h] in place
    of [x, h] @ W. Turned round it is the kernel (76, 256) that follows.
    """
    said = texts(language)
    text = said.found_as[reading.arrangement]
    if reading.could_be_recurrent:
        text += said.could_be_recurrent
    names = {"input": "recurrent_kernel", "input_transposed": "weight_hh_l0"}
    return flow(
        text.format(
            **said.sizes(reading.kernel),
            found_rows=found[0],
            found_columns=found[1],
            recurrent_name=names.get(reading.arrangement),
        )
    )


def explain_others(found: tuple[int, int], others: tuple[Reading, ...], language: str = "en") -> str:
    """List what else a shape could be; nothing where there is nothing else."""
    if not others:
        return ""
    said = texts(language)
    text = said.others.format(found_rows=found[0], found_columns=found[1])
    return flow(text + "\n".join(said.other[other.arrangement].format(**said.sizes(other.kernel)) for other in others))
